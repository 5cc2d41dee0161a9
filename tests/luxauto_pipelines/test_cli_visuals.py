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


BRIEFS = """
briefs:
  - id: hero
    template: banner
    sizes: [600x750]
    seed: 5
    texts:
      en: {headline: Light lines, call_to_action: See}
      de: {headline: Lichte Linien, call_to_action: Ansehen}
  - {id: tote, template: product_card, sizes: [600x800], photo: tote.jpg, product: {name: Seine tote}}
"""


def briefs(folder: Path, text: str = BRIEFS) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "tote.jpg").write_bytes(encoded(scene(), "JPEG"))
    (folder / "briefs.yaml").write_text(text)
    return str(folder / "briefs.yaml")


def test_pictures_of_a_brief_are_made_judged_and_listed(tmp_path: Path):
    kit, out = str(write_kit(tmp_path / "kit")), tmp_path / "out"
    said = ["generate", "--brief", briefs(tmp_path), "--provider", "studio", "--kit", kit, "--out", str(out)]
    made = visuals(*said)
    names = sorted(file.name for file in out.iterdir())
    assert names == [
        "contact-sheet.png",
        "hero-de-600x750.png",
        "hero-en-600x750.png",
        "pictures.json",
        "tote-en-600x800.png",
    ]
    assert all(row["status"] != "failed" and row["score"] > 0.8 for row in made["pictures"])
    assert json.loads((out / "pictures.json").read_text())["pictures"] == made["pictures"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BRIEFS.replace("tote.jpg", "none.jpg"), "none.jpg"),
        (BRIEFS.replace("Light lines", "A bargain"), "bargain"),
        (BRIEFS.replace("tote.jpg", "briefs.yaml"), "is no PNG"),
    ],
)
def test_nothing_is_made_when_one_brief_cannot_be(tmp_path: Path, text: str, message: str):
    kit, out = str(write_kit(tmp_path / "kit")), tmp_path / "out"
    with pytest.raises(VisualsError, match=message):
        visuals("generate", "--brief", briefs(tmp_path, text), "--kit", kit, "--out", str(out))
    assert not out.exists()


def test_a_provider_that_is_not_here_is_said(tmp_path: Path):
    with pytest.raises(VisualsError, match="use studio"):
        visuals("generate", "--brief", briefs(tmp_path), "--provider", "dalle_9", "--out", str(tmp_path / "out"))
