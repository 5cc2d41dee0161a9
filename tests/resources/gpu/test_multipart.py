"""Forms with files: what is inside of them comes out as it went in."""

import httpx2 as httpx
import pytest

from resources.gpu.multipart import InvalidForm, read_form


def form_of(data: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[str, bytes]:
    """As a real client writes it."""
    sent = httpx.Request("POST", "http://server", data=data, files=files)
    return sent.headers["Content-Type"], sent.read()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\r\n",
        b"\r\n--",
        b"\n\n\r\n\r\n",
        bytes(range(256)) * 9,
        b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n',
    ],
)
def test_every_byte_of_a_file_is_kept(content: bytes) -> None:
    form = read_form(*form_of({"prompt": "une écharpe\r\n"}, {"image": ("a.png", content), "mask": ("b", b"m")}))
    assert form.files == {"image": content, "mask": b"m"}
    assert form.fields == {"prompt": "une écharpe\r\n"}


def test_the_name_of_a_file_is_not_the_name_of_a_field() -> None:
    form = read_form(*form_of({}, {"image": ('a; name=mask; b="c".png', b"1")}))
    assert form.files == {"image": b"1"}


def test_what_one_program_calls_a_list_is_the_field() -> None:
    body = b'--b\r\ncontent-disposition: form-data; filename=x; name="image[]"\r\n\r\n1\r\n--b--'
    assert read_form('Multipart/Form-Data; charset=utf-8; boundary="b"', body).files == {"image": b"1"}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "cut off"),
        (b"--b\r\n", "cut off"),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n', "cut off"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", "no name"),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n1\r\n--b--', "no name"),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n1' * 2 + b"\r\n--b--", "more than once"),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n\xff\r\n--b--', "not text"),
        (b'--b\r\nContent-Disposition: form-data; name="n"\r\n\r\n1\r\n' * 90 + b"--b--", "more than 64 parts"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, why: str) -> None:
    if why == "more than once":
        body = body.replace(b"1--b", b"1\r\n--b")
    with pytest.raises(InvalidForm, match=why):
        read_form("multipart/form-data; boundary=b", body)
    with pytest.raises(InvalidForm, match="content type"):
        read_form("application/json", body)
