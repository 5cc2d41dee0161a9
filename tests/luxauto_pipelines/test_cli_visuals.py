"""`luxauto visuals …`: pictures are made, signed, checked and verified."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from assets.visuals.brand_credentials import credentials_of
from assets.visuals.errors import VisualsError
from luxauto_pipelines import cli
from luxauto_pipelines.providers_shown import lifecycle_of
from resources.images.registry import read_registry
from resources.settings import load_settings
from tests.assets.visuals.kits import write_kit
from tests.assets.visuals.scenes import encoded, scene
from tests.peers.openai_peer import KEY, OpenAIPeer


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


@pytest.mark.parametrize("provider", ["studio", "auto"])
def test_a_folder_that_takes_no_files_is_said(home: Path, tmp_path: Path, provider: str):
    kit = write_kit(tmp_path / "kit")
    brief = tmp_path / "logo.yaml"
    brief.write_text("briefs:\n  - {id: mark, template: logo, sizes: [600x600]}\n")
    taken = written(tmp_path / "file", b"")
    with pytest.raises(VisualsError, match="cannot be written"):
        visuals("generate", "--brief", str(brief), "--kit", str(kit), "--provider", provider, "--out", f"{taken}/out")


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
    with pytest.raises(VisualsError, match=r"dalle_9.*or auto"):
        visuals("generate", "--brief", briefs(tmp_path), "--provider", "dalle_9", "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIPeer]:
    with OpenAIPeer() as peer:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", peer.base_url)
        yield peer


def test_a_provider_paints_the_briefs_once_and_writes_the_same_files(tmp_path: Path, openai: OpenAIPeer):
    kit, out = str(write_kit(tmp_path / "kit")), tmp_path / "out"
    said = ["generate", "--brief", briefs(tmp_path), "--kit", kit, "--out", str(out), "--provider", "dalle_3"]
    said += ["--quality", "low"]
    done = CliRunner().invoke(cli.app, ["visuals", *said, "--format", "json"], catch_exceptions=False)
    made = json.loads(done.stdout)["pictures"]
    asked = openai.paid_calls()
    assert {row["provider"] for row in made} == {"openai"}
    assert asked >= 3
    assert sorted(file.name for file in out.iterdir()) == [
        "contact-sheet.png",
        "hero-de-600x750.png",
        "hero-en-600x750.png",
        "pictures.json",
        "tote-en-600x800.png",
    ]
    assert done.exit_code == (2 if any(row["status"] == "failed" for row in made) else 0)
    tote = next(row for row in made if row["brief"] == "tote")
    assert Image.open(tote["file"]).size == (600, 800)
    found = visuals("verify", tote["file"])
    assert (found[0]["state"], found[0]["source"]) == ("trusted", "trainedAlgorithmicMedia")
    again = CliRunner().invoke(cli.app, ["visuals", *said, "--format", "json"], catch_exceptions=False)
    assert json.loads(again.stdout)["pictures"] == made
    assert openai.paid_calls() == asked
    CliRunner().invoke(cli.app, ["visuals", *said, "--again", "2", "--format", "json"], catch_exceptions=False)
    assert openai.paid_calls() >= asked


def test_nobody_able_leaves_a_row_that_says_why_and_exit_code_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    kit, out = str(write_kit(tmp_path / "kit")), tmp_path / "out"
    said = ["generate", "--brief", briefs(tmp_path), "--kit", kit, "--out", str(out), "--provider", "dalle_3"]
    made = visuals(*said, code=2)
    assert all(row["file"] is None and "OPENAI_API_KEY" in row["why"][0] for row in made["pictures"])
    assert [file.name for file in out.iterdir()] == ["pictures.json"]


def test_auto_takes_who_is_best_and_the_studio_where_nobody_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    kit, out = str(write_kit(tmp_path / "kit")), tmp_path / "out"
    made = visuals("generate", "--brief", briefs(tmp_path), "--kit", kit, "--out", str(out), "--provider", "auto")
    assert {row["provider"] for row in made["pictures"]} == {"studio"}


def test_providers_are_shown_with_score_price_reason_and_end(tmp_path: Path, openai: OpenAIPeer):
    kit = str(write_kit(tmp_path / "kit"))
    [found] = visuals("providers", "--kit", kit)
    by_model = {row["model"]: row for row in found["candidates"]}
    assert found["content_type"] == "product_photo"
    assert [row["model"] for row in found["candidates"] if row["chosen"]] == [found["candidates"][0]["model"]]
    flare, studio = by_model["gpt-image-2.5-flare"], by_model["studio"]
    assert flare["rejected"] is None and set(flare["parts"]) == {"quality", "cost", "latency", "queue"}
    assert flare["price"] == "$0.0527 by tokens"
    assert (studio["outcome"], studio["price"]) == ("no: makes no product_photo", "nothing")
    assert "retired on 2026-05-12" in by_model["dall-e-3"]["lifecycle"]
    assert "terms of service" in by_model["midjourney-gateway"]["outcome"]
    of_briefs = visuals("providers", "--kit", kit, "--brief", briefs(tmp_path))
    assert [one["of"] for one in of_briefs] == ["hero, en, 600x750", "hero, de, 600x750", "tote, en, 600x800"]
    table = CliRunner().invoke(cli.app, ["visuals", "providers", "--kit", kit], catch_exceptions=False)
    assert table.exit_code == 0 and "would be asked first" in " ".join(table.stdout.split())
    assert openai.paid_calls() == 0


def test_the_end_of_a_model_is_told_before_it_comes():
    model = read_registry().by_id["gpt-image-1-mini"]
    assert lifecycle_of(model, date(2026, 6, 1)) is None
    assert lifecycle_of(model, date(2026, 11, 26)) == (
        "retires on 2026-12-01, in 5 days; gpt-image-2.5-flare replaces it"
    )
    assert lifecycle_of(model, date(2026, 12, 1)) == "retired on 2026-12-01; gpt-image-2.5-flare replaces it"


def test_pictures_are_signed_and_a_change_is_found(tmp_path: Path, home: Path):
    kit, out = str(write_kit(tmp_path / "kit")), tmp_path / "out"
    visuals("generate", "--brief", briefs(tmp_path), "--kit", kit, "--out", str(out))
    hero, tote = out / "hero-en-600x750.png", out / "tote-en-600x800.png"
    found = visuals("verify", str(hero), str(tote))
    assert [(one["state"], one["source"]) for one in found] == [
        ("trusted", "algorithmicMedia"),
        ("trusted", "composite"),
    ]
    assert found[0]["said"]["template"] == "banner"

    anchor = home / "brands/maison/credentials/anchor.pem"
    assert visuals("verify", str(hero), "--anchor", str(anchor))[0]["state"] == "trusted"
    content = bytearray(hero.read_bytes())
    content[len(content) // 2] ^= 1
    changed = written(tmp_path / "changed.png", bytes(content))
    assert visuals("verify", changed, code=1)[0]["state"] == "invalid"
    bare = written(tmp_path / "bare.png", encoded(scene()))
    assert visuals("verify", bare, code=1)[0]["state"] == "absent"


def test_keys_are_made_once_and_are_their_users_alone(tmp_path: Path, home: Path):
    settings = load_settings()
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: credentials_of(settings, "Maison").key, range(8)))
    assert len(found) == 1
    folder = home / "brands/maison/credentials"
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in folder.parent.iterdir()] == ["credentials"]


def test_unsigned_pictures_are_the_same_bytes_each_time(tmp_path: Path):
    kit, file = str(write_kit(tmp_path / "kit")), briefs(tmp_path)
    sums = []
    for name in ("a", "b"):
        made = visuals("generate", "--brief", file, "--kit", kit, "--out", str(tmp_path / name), "--no-sign")
        sums.append([row["sha256"] for row in made["pictures"]])
    assert sums[0] == sums[1]
