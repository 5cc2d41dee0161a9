"""Films as files: what was planned is decoded again, the same every time, and no more is held than two stills."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.visuals.brand_kit import LoadedKit
from assets.visuals.briefs import Brief, InvalidBrief
from assets.visuals.motion import Film, FilmPlan, FilmRefused, Still, judge_film, make_film, signed_film, stills_of
from assets.visuals.motion.credentials import source_of
from assets.visuals.motion.encode import encoded_film, said_in
from assets.visuals.motion.film import frames_of
from assets.visuals.provenance import Credentials, new_credentials, sign, verify
from assets.visuals.studio.render import text_of
from tests.assets.visuals.films import SIZE, Decoded, boxes, decoded, small_plan, texts
from tests.assets.visuals.kits import load, write_kit
from tests.assets.visuals.scenes import encoded, scene

NOW = datetime.now(UTC)
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> LoadedKit:
    return load(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def film(kit: LoadedKit) -> Film:
    return make_film(kit, small_plan())


@pytest.fixture(scope="module")
def seen(film: Film) -> Decoded:
    return decoded(film.content)


@pytest.fixture(scope="module")
def keys() -> Credentials:
    return new_credentials("Maison Orsenna", NOW)


def test_a_film_is_decoded_with_the_frames_size_rate_and_length_that_were_planned(film: Film, seen: Decoded):
    assert (seen.codec, seen.pixel_format, seen.size, seen.rate, seen.seconds) == ("h264", "yuv420p", SIZE, 12, 6.0)
    assert len(seen.pictures) == film.timeline.frames == 72
    assert seen.times == pytest.approx([n / 12 for n in range(72)], abs=1e-4)
    assert (film.media_type, film.width, film.height, film.seconds, film.fps) == ("video/mp4", *SIZE, 6.0, 12)


def test_its_colours_are_tagged_and_those_that_were_drawn(kit: LoadedKit, film: Film, seen: Decoded):
    assert seen.colours == (1, 1, 1, 1)
    ground = seen.pictures[0][4:12, 4:12].reshape(-1, 3).mean(axis=0)
    assert np.abs(ground - (0xF8, 0xF4, 0xEC)).max() <= 2
    for drawn, found in zip(frames_of(kit, small_plan()), seen.pictures, strict=True):
        assert np.abs(drawn.astype(np.int16) - found).mean() < 4


def test_the_index_stands_before_the_pictures_so_that_it_plays_while_it_loads(film: Film):
    kinds = [kind for kind, _, _ in boxes(film.content)]
    assert kinds.index("moov") < kinds.index("mdat")


def test_the_first_and_the_last_frame_hold(kit: LoadedKit, film: Film):
    frames = list(frames_of(kit, small_plan()))
    opening, closing = film.timeline.alone(0), film.timeline.alone(3)
    assert len(opening) >= 6 and len(closing) >= 6
    assert all((frames[n] == frames[0]).all() for n in opening)
    assert all((frames[n] == frames[-1]).all() for n in closing)
    moving = [n for scene in (1, 2) for n in film.timeline.alone(scene)]
    assert all((frames[a] != frames[b]).any() for a, b in pairwise(moving))


def test_a_fade_meets_in_the_mean_light_of_both_pictures(kit: LoadedKit, film: Film):
    """In the film's own frames: at the cut from the still title, the card's plain ground shows what the still brings."""
    frames = list(frames_of(kit, small_plan()))
    cut = film.timeline.scenes[1].first
    light = [((frame[2, 2].astype(float) / 255) ** 2.2) for frame in (frames[0], frames[cut])]
    after = (frames[cut + film.timeline.half + 1][2, 2].astype(float) / 255) ** 2.2
    assert np.abs(light[1] - (light[0] + after) / 2).max() < 0.05


def test_the_file_says_what_it_was_made_from_and_no_time(kit: LoadedKit, film: Film, seen: Decoded):
    said = said_in(seen.metadata)
    assert said == dict(film.metadata)
    assert (said["Title"], said["Software"]) == ("Light lines", "luxauto motion 1")
    assert (said["luxauto:brand_kit"], said["luxauto:brief"]) == (kit.version, "abc123def456")
    assert len(said["luxauto:stills"].split(",")) == 2
    assert seen.metadata["title"] == "Light lines"
    assert "creation_time" not in seen.metadata
    assert said_in({"comment": "by hand"}) == said_in({"comment": "[1]"}) == said_in({}) == {}


def test_the_poster_is_the_first_stills_key_frame(kit: LoadedKit, film: Film):
    frames = list(frames_of(kit, small_plan()))
    with Image.open(io.BytesIO(film.poster)) as poster:
        assert poster.format == "PNG"
        assert (np.asarray(poster) == frames[film.timeline.key_frame(1)]).all()
    assert text_of(film.poster)["luxauto:brand_kit"] == kit.version


_AGAIN = """
import hashlib, sys
from pathlib import Path
from assets.visuals.brand_kit import read_kit
from assets.visuals.motion import make_film
from tests.assets.visuals.films import small_plan
film = make_film(read_kit(Path(sys.argv[1])), small_plan(container=sys.argv[2]))
print(hashlib.sha256(film.content).hexdigest(), hashlib.sha256(film.poster).hexdigest())
"""


def in_a_process(program: str, *words: str, seed: str = "0") -> str:
    """What a new interpreter prints."""
    own = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, env=own, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_another_process_makes_the_same_bytes(tmp_path: Path, container: str):
    file = str(write_kit(tmp_path))
    assert in_a_process(_AGAIN, file, container, seed="1") == in_a_process(_AGAIN, file, container, seed="2")


@pytest.mark.parametrize("size", [SIZE, (640, 360), (270, 480), (482, 322)])
def test_the_same_frames_give_the_same_bytes_whatever_memory_held_before(kit: LoadedKit, size: tuple[int, int]):
    plan = small_plan(size=size)
    frames = list(frames_of(kit, plan))
    found = set()
    for number in range(5):
        litter = [np.full(200_000 + 977 * n, (n * 31 + number) % 256, dtype=np.uint8) for n in range(40 + 13 * number)]
        del litter[::2]
        found.add(encoded_film(frames, size, plan.fps, "mp4", {"Title": "a", "Software": "b"}))
    assert len(found) == 1


_MOST = """
import resource, sys
from pathlib import Path
from assets.visuals.brand_kit import read_kit
from assets.visuals.motion import make_film
from tests.assets.visuals.films import small_plan
make_film(read_kit(Path(sys.argv[1])), small_plan(size=(640, 360), seconds=float(sys.argv[2])))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_film_four_times_as_long_needs_no_more_memory(tmp_path: Path):
    """Held frames would add 250 MB."""
    file = str(write_kit(tmp_path))
    short, long = (int(in_a_process(_MOST, file, seconds)) for seconds in ("10", "40"))
    assert long - short < 40, (short, long)


def test_a_webm_holds_vp9_with_the_same_frames_and_metadata(kit: LoadedKit, film: Film):
    plan = small_plan(container="webm", poster="webp")
    made = make_film(kit, plan)
    found = decoded(made.content)
    assert (found.codec, found.size, found.rate, len(found.pictures)) == ("vp9", SIZE, 12, 72)
    assert made.media_type == "video/webm"
    assert found.seconds == pytest.approx(6.0, abs=1 / 12)
    assert said_in(found.metadata) == dict(made.metadata) == dict(film.metadata)
    with Image.open(io.BytesIO(made.poster)) as poster:
        assert (poster.format, poster.size) == ("WEBP", SIZE)
    assert judge_film(made.content, size=SIZE, seconds=6.0, fps=12).status == "passed"


def test_what_is_done_is_told_frame_by_frame(kit: LoadedKit):
    told: list[tuple[int, int]] = []
    make_film(kit, small_plan(seconds=5.75), lambda done, of: told.append((done, of)))
    assert told == [(n + 1, 69) for n in range(69)]


def test_a_still_that_cannot_be_read_is_named(kit: LoadedKit):
    stills = (*small_plan().stills, Still("looks/broken.jpg", b"\xff\xd8 broken"))
    with pytest.raises(FilmRefused, match=r"looks/broken\.jpg cannot be read"):
        make_film(kit, small_plan(stills=stills, seconds=9))


def test_words_that_the_brand_does_not_say_are_refused(kit: LoadedKit):
    with pytest.raises(InvalidBrief, match="bargain"):
        make_film(kit, small_plan(texts=texts(headline="A bargain")))
    with pytest.raises(InvalidBrief, match="discount"):
        make_film(kit, small_plan(texts=texts(call_to_action="See the discount")))


BRIEF = {
    "id": "tote",
    "template": "product_card",
    "product": {"name": "Seine tote", "colour": "#8A4B2A"},
    "texts": {"en": {"headline": "The Seine tote"}},
}


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
def test_a_film_that_the_studio_made_alone_from_a_brief_passes(kit: LoadedKit, seed: int):
    brief = Brief.model_validate({**BRIEF, "seed": seed})
    stills = tuple(stills_of(kit, brief, SIZE, "en"))
    assert [(still.name, still.page, still.drawn) for still in stills] == [
        ("tote-picture", False, True),
        ("tote-page", True, True),
    ]
    made = make_film(kit, FilmPlan(stills, SIZE, 6.0, 12, brief.words("en"), brief=brief.hash))
    report = judge_film(made.content, size=SIZE, seconds=6.0, fps=12)
    assert report.status == "passed", report.as_dict()
    assert source_of(stills) == "algorithmicMedia"


def test_a_briefs_photograph_fills_the_frame_and_makes_it_a_composite(kit: LoadedKit):
    photo = encoded(scene(7), "JPEG")
    stills = tuple(stills_of(kit, Brief.model_validate(BRIEF), SIZE, "en", photo))
    assert stills[0].content == photo
    assert source_of(stills) == "composite"


def test_a_film_and_its_poster_are_signed_and_pictures_stay_as_they_are(film: Film, seen: Decoded, keys: Credentials):
    made = signed_film(film, small_plan().stills, keys)
    found = verify(made.content, keys.anchor)
    assert (found.state, found.source, found.actions) == ("trusted", "composite", ("c2pa.created",))
    assert found.said is not None
    assert found.said["timeline"] == str(film.timeline) and found.said["brief"] == "abc123def456"
    assert verify(made.poster, keys.anchor).state == "trusted"
    assert verify(film.content).state == "absent"
    again = decoded(made.content)
    assert all((a == b).all() for a, b in zip(again.pictures, seen.pictures, strict=True))
    assert [kind for kind, _, _ in boxes(made.content)].index("moov") < [k for k, _, _ in boxes(made.content)].index(
        "mdat"
    )


def test_a_flipped_bit_in_a_signed_films_pictures_or_index_is_noticed(film: Film, keys: Credentials):
    made = signed_film(film, small_plan().stills, keys).content
    places = {kind: (at, size) for kind, at, size in boxes(made)}
    random = np.random.default_rng(3)
    for kind in ("moov", "mdat"):
        at, size = places[kind]
        for place in random.integers(at + 8, at + size, 25):
            changed = bytearray(made)
            changed[place] ^= 1 << int(random.integers(8))
            assert not verify(bytes(changed), keys.anchor).is_intact, (kind, place)


def test_a_still_that_a_model_painted_makes_the_film_say_so(keys: Credentials):
    painted = sign(
        encoded(scene(3)), keys, title="look", software="model", source="trainedAlgorithmicMedia", said={"model": "m"}
    )
    plain = Still("plain.png", encoded(scene(4)))
    assert source_of([plain]) == "composite"
    assert source_of([Still("look.png", painted), plain]) == "compositeWithTrainedAlgorithmicMedia"
    broken = bytearray(painted)
    broken[broken.rindex(b"IDAT") + 40] ^= 1
    with pytest.raises(FilmRefused, match=r"look\.png brings credentials that are broken"):
        source_of([Still("look.png", bytes(broken))])


def test_a_webm_stays_unsigned_and_says_so(kit: LoadedKit, keys: Credentials):
    made = make_film(kit, small_plan(container="webm", seconds=5.75))
    after = signed_film(made, small_plan().stills, keys)
    assert after.content == made.content
    assert "WebM holds no content credentials" in after.notes[-1]
    assert verify(after.poster, keys.anchor).state == "trusted"


def test_an_installation_without_an_encoder_says_what_to_ask_for(kit: LoadedKit, monkeypatch: pytest.MonkeyPatch):
    import av

    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libvpx-vp9"})
    with pytest.raises(FilmRefused, match="no libvpx-vp9: ask for mp4"):
        make_film(kit, small_plan(container="webm"))


def test_neither_an_encoder_nor_a_decoder_is_loaded_before_it_is_needed():
    heavy = "('av', 'numpy', 'PIL', 'c2pa')"
    program = f"import sys, json, assets.visuals.motion; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    assert json.loads(in_a_process(program)) == []
