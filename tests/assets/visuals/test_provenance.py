"""Content credentials: what is signed is found again; one bit that changes, anywhere, is noticed."""

import io
import json
from datetime import UTC, datetime, timedelta

import c2pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from assets.visuals.provenance import Credentials, ProvenanceError, new_credentials, renewed, sign, verify
from assets.visuals.studio.render import text_of, with_text
from tests.assets.visuals.scenes import encoded, scene

NOW = datetime.now(UTC)
SAID = {"brand_kit": "abc123", "seed": "7"}


@pytest.fixture(scope="module")
def keys() -> Credentials:
    return new_credentials("Maison Orsenna", NOW)


def signed(content: bytes, keys: Credentials) -> bytes:
    return sign(content, keys, title="look.png", software="luxauto studio", source="algorithmicMedia", said=SAID)


@pytest.fixture(scope="module")
def picture(keys: Credentials) -> bytes:
    return signed(with_text(encoded(scene(size=(200, 200))), {"Title": "Élan"}), keys)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_what_was_signed_is_found_again(keys: Credentials, format: str):
    content = encoded(scene(size=(200, 200)), format)
    found = verify(signed(content, keys), keys.anchor)
    assert (found.state, found.signer, found.source) == ("trusted", "Maison Orsenna", "algorithmicMedia")
    assert found.actions == ("c2pa.created",)
    assert found.said == SAID
    assert found.problems == ()


def test_credentials_are_small_and_leave_pixels_and_text_as_they_are(keys: Credentials, picture: bytes):
    plain = with_text(encoded(scene(size=(200, 200))), {"Title": "Élan"})
    assert len(picture) - len(plain) < 8_000
    assert text_of(picture)["Title"] == "Élan"
    with Image.open(io.BytesIO(plain)) as a, Image.open(io.BytesIO(picture)) as b:
        assert a.tobytes() == b.tobytes()


def test_a_strangers_program_finds_it_valid_and_its_signer_unknown(keys: Credentials, picture: bytes):
    assert verify(picture).state == "untrusted"
    assert verify(picture, new_credentials("Other", NOW).anchor).state == "untrusted"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_one_flipped_bit_anywhere_is_noticed(keys: Credentials, picture: bytes, data: st.DataObject):
    place = data.draw(st.integers(0, len(picture) * 8 - 1))
    changed = bytearray(picture)
    changed[place // 8] ^= 1 << place % 8
    found = verify(bytes(changed), keys.anchor)
    assert not found.is_intact, (place // 8, found)


def test_a_flipped_bit_of_the_pixels_is_called_a_change(keys: Credentials, picture: bytes):
    changed = bytearray(picture)
    changed[changed.rindex(b"IDAT") + 40] ^= 1
    found = verify(bytes(changed), keys.anchor)
    assert (found.state, found.problems) == ("invalid", ("assertion.dataHash.mismatch",))


def test_credentials_of_another_picture_do_not_pass(keys: Credentials, picture: bytes):
    other = encoded(scene(2, (200, 200)))
    start = picture.index(b"caBX") - 4
    chunk = picture[start : start + 12 + int.from_bytes(picture[start : start + 4], "big")]
    end = other.index(b"IDAT") - 4
    assert verify(other[:end] + chunk + other[end:], keys.anchor).state == "invalid"


def test_a_picture_saved_again_has_none(picture: bytes):
    with Image.open(io.BytesIO(picture)) as opened:
        again = encoded(opened.copy())
    assert verify(again).state == "absent"
    assert verify(b"no picture").state == "unreadable"


def test_credentials_that_a_picture_brings_become_its_ingredient(keys: Credentials):
    provider = new_credentials("A provider", NOW)
    painted = sign(
        encoded(scene(size=(200, 200))),
        provider,
        title="theirs",
        software="model",
        source="trainedAlgorithmicMedia",
        said={"model": "m"},
    )
    ours = signed(painted, keys)
    found = verify(ours, keys.anchor)
    assert found.state == "trusted"
    assert found.actions == ("c2pa.opened", "c2pa.edited")
    assert len(found.ingredients) == 1
    with c2pa.Reader("image/png", io.BytesIO(ours)) as reader:
        assert "trainedAlgorithmicMedia" in json.dumps(json.loads(reader.json()))


def test_broken_credentials_are_not_signed_over(keys: Credentials, picture: bytes):
    changed = bytearray(picture)
    changed[changed.rindex(b"IDAT") + 40] ^= 1
    with pytest.raises(ProvenanceError, match="broken"):
        signed(bytes(changed), keys)


def test_a_signer_near_its_end_is_replaced_under_the_same_authority(keys: Credentials, picture: bytes):
    assert renewed(keys, "Maison Orsenna", NOW) is None
    later = renewed(keys, "Maison Orsenna", NOW + timedelta(days=5 * 365 - 30))
    assert later is not None
    assert later.anchor == keys.anchor
    assert later.key != keys.key


def test_any_name_can_sign():
    named = new_credentials("Élégance " * 20, NOW)
    assert verify(signed(encoded(scene(size=(100, 100))), named), named.anchor).state == "trusted"
