"""`luxauto visuals review …`: pictures that wait are shown, approved, rejected, opened."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from assets.visuals.errors import VisualsError
from luxauto_pipelines import cli
from luxauto_pipelines.agents.registry import Call
from luxauto_pipelines.agents.visual_content import AGENT
from luxauto_pipelines.agents.visual_content.errors import Conflict, UnknownPicture
from luxauto_pipelines.instance import prepare
from resources.settings import load_settings

BANNER = {"prompt": "a bag", "content_type": "banner_ad", "width": 700, "height": 600, "variations": 2}


def review(*words: str, format: str = "json") -> Any:
    options = [] if words[0] == "open" else ["--format", format]
    done = CliRunner().invoke(cli.app, ["visuals", "review", *words, *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if options and format == "json" else done.stdout


@pytest.fixture
def waiting() -> list[str]:
    """Two pictures that wait."""
    books = prepare(load_settings())
    made = AGENT.call("generate", Call(books, "one"), BANNER)
    with books.write() as (connection, _):
        connection.exec_driver_sql("UPDATE pictures SET state = 'needs_review'")
    return [picture["id"] for picture in made["pictures"]]


def test_pictures_that_wait_are_listed_shown_and_decided_once(waiting: list[str]) -> None:
    assert [row["id"] for row in review("list")] == waiting[::-1]
    assert "pictures, needs_review" in review("list", format="table")
    shown = review("show", waiting[0])
    assert shown["details"]["candidates"] and shown["checks"]
    assert "Who could be asked" in review("show", waiting[0], format="table")

    assert review("approve", waiting[0], "--note", "as it should be")["state"] == "approved"
    assert "is rejected" in review("reject", waiting[1], format="table")
    assert review("list") == []
    assert "No picture is needs_review" in review("list", format="table")
    assert [row["note"] for row in review("list", "--state", "approved")] == ["as it should be"]
    with pytest.raises(Conflict, match="approved already"):
        review("reject", waiting[0])


def test_a_picture_is_written_where_one_can_look_at_it(waiting: list[str], tmp_path: Path) -> None:
    file = Path(review("open", waiting[0], "--out", str(tmp_path)).strip())
    assert file == tmp_path / f"{waiting[0]}.png"
    assert Image.open(file).size == (700, 600)


def test_what_is_not_there_or_was_deleted_is_said(waiting: list[str], tmp_path: Path) -> None:
    with pytest.raises(UnknownPicture, match="review list"):
        review("show", "pic_none")
    AGENT.call("delete_generated", Call(prepare(load_settings()), "x"), {"pictures": waiting[:1]})
    with pytest.raises(VisualsError, match="was deleted"):
        review("open", waiting[0], "--out", str(tmp_path))
