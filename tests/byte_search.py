"""Looking for card numbers where they must not be: in the bytes of every file of a folder, in each form a number may have."""

import base64
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

_FULL_WIDTH = {ord("0") + n: 0xFF10 + n for n in range(10)}
_ARABIC = {ord("0") + n: 0x0660 + n for n in range(10)}
_MATHEMATICAL = {ord("0") + n: 0x1D7D8 + n for n in range(10)}


def forms_of(number: str) -> set[bytes]:
    """The number as bytes: plain, in groups, in digits of other scripts, as JSON escapes them, encoded."""
    groups = [number[start : start + 4] for start in range(0, len(number), 4)]
    texts = {number, *(mark.join(groups) for mark in (" ", "-", ".", "/", "_", "\u00a0", "\u200b", '","', '", "', ","))}
    texts |= {number.translate(table) for table in (_FULL_WIDTH, _ARABIC, _MATHEMATICAL)}
    texts |= {"\u200b".join(number), " ".join(number), "".join(f"%3{digit}" for digit in number)}
    forms = {text.encode() for text in texts} | {text.encode("utf-16-le") for text in texts}
    forms |= {text.encode("ascii", "backslashreplace") for text in texts} | {number.encode().hex().encode()}
    # JSON writes what is beyond the first plane as two escapes.
    forms |= {json_escaped(text) for text in texts}
    return forms | {base64.b64encode(number.encode())[:18]}


def json_escaped(text: str) -> bytes:
    import json

    return json.dumps(text)[1:-1].encode()


def found_in(folders: Iterable[Path], numbers: Iterable[str]) -> list[str]:
    """Files below the folders that hold one of the numbers in any form. Parquet is searched as it is and unpacked."""
    forms = set(itertools.chain.from_iterable(forms_of(number) for number in numbers))
    return [
        str(file)
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file() and any(form in content for content in _contents(file) for form in forms)
    ]


def _contents(file: Path) -> Iterator[bytes]:
    yield file.read_bytes()
    if file.suffix == ".parquet":
        yield pl.read_parquet(file).write_json().encode()
