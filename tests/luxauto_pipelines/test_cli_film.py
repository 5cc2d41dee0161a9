"""`luxauto visuals film`: a film from files or from a brief, judged, signed and verified."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import ImageFilter
from typer.testing import CliRunner

from assets.visuals.errors import VisualsError
from luxauto_pipelines import cli
from tests.assets.visuals.films import decoded
from tests.assets.visuals.kits import write_kit
from tests.assets.visuals.scenes import encoded, scene

BRIEF = """
id: tote
template: product_card
product: {name: Seine tote, colour: "#8A4B2A"}
photo: tote.jpg
texts:
  en: {headline: The Seine tote, call_to_action: Discover}
  de: {headline: Die Tasche Seine, call_to_action: Entdecken}
"""
SMALL = ("--size", "480x270", "--fps", "12")


def visuals(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli.app, ["visuals", *words, "--format", "json"], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


@pytest.fixture
def kit(tmp_path: Path) -> str:
    return str(write_kit(tmp_path / "kit"))


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    files = [tmp_path / f"{name}.png" for name in ("one", "two")]
    for number, file in enumerate(files):
        file.write_bytes(encoded(scene(number, (900, 600))))
    return [str(file) for file in files]


@pytest.fixture
def brief(tmp_path: Path) -> str:
    (tmp_path / "tote.jpg").write_bytes(encoded(scene(7), "JPEG"))
    (tmp_path / "brief.yaml").write_text(BRIEF)
    return str(tmp_path / "brief.yaml")


def test_stills_in_their_order_become_a_film_that_passes_and_is_verified(tmp_path: Path, kit: str, images: list[str]):
    out = tmp_path / "films" / "film.mp4"
    made = visuals("film", "--images", *images, "--kit", kit, *SMALL, "--seconds", "6", "--out", str(out))
    assert (made["status"], made["width"], made["height"], made["frames"], made["seconds"]) == (
        "passed",
        480,
        270,
        72,
        6.0,
    )
    assert (made["media_type"], made["signed"]) == ("video/mp4", True)
    film = decoded(out.read_bytes())
    assert len(film.pictures) == 72
    assert film.metadata["title"] == "Maison Orsenna"
    found = visuals("verify", str(out), made["poster"])
    assert [(one["state"], one["source"]) for one in found] == [("trusted", "composite")] * 2
    content = bytearray(out.read_bytes())
    content[len(content) // 2] ^= 1
    out.write_bytes(bytes(content))
    assert visuals("verify", str(out), code=1)[0]["state"] == "invalid"


def test_the_same_command_makes_the_same_unsigned_bytes_and_order_matters(tmp_path: Path, kit: str, images: list[str]):
    def sha256(*stills: str) -> str:
        said = ("--kit", kit, *SMALL, "--seconds", "6", "--no-sign", "--out", str(tmp_path / "film.mp4"))
        return visuals("film", "--images", *stills, *said)["sha256"]

    first = sha256(*images)
    assert sha256(*images) == first
    assert sha256(*reversed(images)) != first


def test_a_brief_alone_is_drawn_by_the_studio_in_its_language(tmp_path: Path, kit: str, brief: str):
    out = tmp_path / "film.webm"
    said = (
        "--brief",
        brief,
        "--language",
        "de",
        "--kit",
        kit,
        *SMALL,
        "--seconds",
        "6",
        "--poster",
        str(tmp_path / "p.webp"),
    )
    made = visuals("film", *said, "--out", str(out))
    assert made["media_type"] == "video/webm" and made["signed"] is False
    assert made["metadata"]["Title"] == "Die Tasche Seine"
    assert made["metadata"]["luxauto:language"] == "de" and made["metadata"]["luxauto:brief"]
    assert "WebM holds no content credentials" in made["notes"][-1]
    assert (tmp_path / "p.webp").read_bytes()[8:12] == b"WEBP"


def test_a_film_that_fails_a_check_is_written_and_ends_with_exit_code_two(tmp_path: Path, kit: str):
    soft = tmp_path / "soft.png"
    soft.write_bytes(encoded(scene(1, (900, 600)).filter(ImageFilter.GaussianBlur(24))))
    out = tmp_path / "film.mp4"
    made = visuals("film", "--images", str(soft), "--kit", kit, *SMALL, "--seconds", "5", "--out", str(out), code=2)
    assert [check["name"] for check in made["checks"] if check["status"] == "failed"] == ["scene_2_still"]
    assert out.is_file()


def test_a_table_tells_people_what_was_made(tmp_path: Path, kit: str, images: list[str]):
    words = ["visuals", "film", *images, "--kit", kit, *SMALL, "--seconds", "6", "--out", str(tmp_path / "film.mp4")]
    done = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "passed" in done.stdout and "6 s, " in done.output and "2 stills" in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "none were given"),
        (["{one}", "--size", "481x270"], "odd side"),
        (["{one}", "--size", "huge"], "no size"),
        (["{one}", "--seconds", "61"], "61 s is too long"),
        (["{one}", "{one}", "{one}", "--seconds", "4"], "too short for 3 stills"),
        (["none.png"], "none.png cannot be read"),
        (["{brief}"], r"brief\.yaml cannot be read as a PNG, JPEG or WebP"),
        (["{one}", "--brief", "{brief}", "--language", "fr"], "has no words in fr"),
        (["{one}", "--out", "film.avi"], r"end in \.mp4 or \.webm"),
        (["{one}", "--poster", "p.gif"], r"end in \.png or \.webp"),
    ],
)
def test_what_cannot_be_made_is_said_and_leaves_nothing(
    tmp_path: Path, kit: str, images: list[str], brief: str, words: list[str], message: str
):
    out = tmp_path / "out" / "film.mp4"
    said = [word.format(one=images[0], brief=brief) for word in words]
    end = [] if "--out" in said else ["--out", str(out)]
    with pytest.raises(VisualsError, match=message):
        visuals("film", "--kit", kit, "--fps", "12", *said, *end)
    assert not out.parent.exists()
