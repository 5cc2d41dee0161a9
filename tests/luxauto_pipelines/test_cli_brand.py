"""`luxauto brand …`: a kit is written, checked and shown."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from assets.visuals.brand_kit import InvalidBrandKit
from assets.visuals.errors import VisualsError
from luxauto_pipelines import cli
from tests.assets.visuals.kits import write_kit


def brand(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli.app, ["brand", *words, "--format", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_a_new_kit_passes_its_own_check(home: Path):
    made = brand("init", "--name", "Élégance Noir")
    assert Path(made["file"]).is_relative_to(home)
    checked = brand("check")
    assert (checked["usable"], checked["version"], checked["findings"]) == (True, made["version"], [])
    shown = brand("show")
    assert shown["name"] == "Élégance Noir"
    assert "Jost" in shown["installed_families"]


@pytest.mark.parametrize("name", ['Quote " and \\', "日本", "<b>&</b>", "3.1", "yes"])
def test_any_name_makes_a_kit(tmp_path: Path, name: str):
    brand("init", "--name", name, "--to", str(tmp_path))
    assert brand("show", str(tmp_path))["name"] == name


def test_a_kit_is_not_written_over_unless_one_says_so(tmp_path: Path):
    brand("init", "--to", str(tmp_path))
    with pytest.raises(InvalidBrandKit, match="--force"):
        brand("init", "--to", str(tmp_path))
    brand("init", "--to", str(tmp_path), "--force")


def test_a_kit_for_a_folder_that_takes_no_files_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(VisualsError, match="cannot be written"):
        brand("init", "--to", str(tmp_path / "file" / "kit"))


def test_a_check_names_the_field_and_exits_with_one(tmp_path: Path):
    file = write_kit(tmp_path, palette__ink__hex="#BBBBBB", typefaces__display__family="Didot Rara")
    found = brand("check", str(file), code=1)
    assert not found["usable"]
    assert found["findings"][0]["field"] == "palette.ink.hex"
    assert found["findings"][0]["level"] == "error"


def test_a_typeface_that_is_not_installed_is_said(tmp_path: Path):
    file = write_kit(tmp_path, typefaces__display__family="Didot Rara")
    assert "Didot Rara" in brand("check", str(file))["notes"][0]


def test_people_read_tables(tmp_path: Path):
    file = write_kit(tmp_path)
    for words in (["check", str(file)], ["show", str(file)]):
        done = CliRunner().invoke(cli.app, ["brand", *words], catch_exceptions=False)
        assert done.exit_code == 0
        assert "version" in done.output
