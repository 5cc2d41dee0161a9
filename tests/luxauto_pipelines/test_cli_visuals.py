"""`luxauto visuals …`: pictures are checked."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from assets.visuals.errors import VisualsError
from luxauto_pipelines import cli
from tests.assets.visuals.kits import write_kit
from tests.assets.visuals.scenes import encoded, scene


def visuals(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli.app, ["visuals", *words, "--format", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def written(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    return str(file)


def test_a_check_tells_its_parts_and_fails_with_exit_code_one(tmp_path: Path):
    kit = write_kit(tmp_path / "kit")
    good = written(tmp_path / "good.png", encoded(scene()))
    blank = written(tmp_path / "blank.png", encoded(Image.new("RGB", (600, 600), "white")))
    found = visuals("check", good, "--kit", str(kit))
    assert found["images"][0]["status"] == "passed"
    assert found["kit_version"]
    both = visuals("check", good, blank, good, "--kit", str(kit), code=1)
    assert [image["status"] for image in both["images"]] == ["passed", "failed", "failed"]


def test_without_a_kit_colours_are_skipped(tmp_path: Path):
    found = visuals("check", written(tmp_path / "good.png", encoded(scene())))
    assert {c["name"]: c["status"] for c in found["images"][0]["checks"]}["palette"] == "skipped"


def test_what_is_not_there_or_no_size_is_said(tmp_path: Path):
    with pytest.raises(VisualsError, match="check the path"):
        visuals("check", str(tmp_path / "none.png"))
    with pytest.raises(VisualsError, match="1080x1350"):
        visuals("check", written(tmp_path / "a.png", encoded(scene())), "--size", "big")
