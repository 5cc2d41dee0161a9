"""Where card numbers can be put and how they can be written: every field of an OpenAPI document, in many forms.

Belongs here: what is sent, and the bytes by which it would be found again. Does not belong here: what must happen to it
(`test_card_numbers`).
"""

import itertools
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.byte_search import forms_of, json_escaped

NUMBERS = (
    "4539578763621486",
    "5555341244441115",
    "371449635398431",
    "6011000990139424",
    "30569309025904",
    "3530111333300000",
    "6205500000000000004",
)
"""Test numbers of Visa, Mastercard, American Express, Discover, Diners, JCB and UnionPay."""


def _printed(number: str, mark: str) -> str:
    sizes = (4, 6, 5) if len(number) == 15 else (4, 6, 4) if len(number) == 14 else (4, 4, 4, 4, 3)
    ends = list(itertools.accumulate(sizes))
    return mark.join(
        number[end - size : end] for end, size in zip(ends, sizes, strict=True) if number[end - size : end]
    )


def _script(zero: int) -> Callable[[str], str]:
    return lambda number: "".join(chr(zero + int(digit)) for digit in number)


FORMS: dict[str, Callable[[str], Any]] = {
    "plain": str,
    "spaces": lambda number: _printed(number, " "),
    "dashes": lambda number: _printed(number, "-"),
    "dots": lambda number: _printed(number, "."),
    "full width": _script(0xFF10),
    "Arabic-Indic": _script(0x0660),
    "zero-width joiners": lambda number: "\u200d".join(number),
    "sentence": lambda number: f"Please charge {_printed(number, ' ')}, not the other one.",
    "JSON in a text": lambda number: json.dumps({"payment": {"pan": number}}),
    "integer": int,
    "track 2": lambda number: f";{number}=29121010000012300000?",
    "track 1": lambda number: f"%B{number}^DURAND/ELODIE^29121010000012300000?",
}


def written(number: str) -> list[str]:
    """The number in every form, without what stands around it."""
    around = ("sentence", "JSON in a text", "track 1", "track 2", "integer")
    return [str(write(number)) for name, write in FORMS.items() if name not in around]


def traces() -> set[bytes]:
    """The bytes by which the numbers are found, whichever way they are written; halves too, where they were split."""
    found: set[bytes] = set()
    for number in NUMBERS:
        found |= forms_of(number)
        # Halves of the others are so short, or have so many zeros, that chance writes them too.
        split = halves(number) if number == NUMBERS[0] else ()
        for text in (*written(number), *split, quote(FORMS["spaces"](number))):
            found |= {text.encode(), text.encode("utf-16-le"), json_escaped(text)}
            found.add(text.encode("ascii", "backslashreplace"))
    return found


def halves(number: str) -> tuple[str, str]:
    return number[:8], number[8:]


# Requests


@dataclass(frozen=True)
class Sent:
    """One request. `where` says what was planted and is for messages of tests."""

    method: str
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    where: str = ""

    def with_body(self, body: Any, where: str) -> "Sent":
        return Sent(self.method, self.path, self.query, self.headers, body, where)


@dataclass(frozen=True)
class Operation:
    """An operation of the document, with a request that it would understand."""

    document: dict[str, Any]
    method: str
    path: str
    told: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def clean(self) -> Sent:
        path, query, headers = self.path, {}, {}
        for parameter in self.told.get("parameters", ()):
            value = self.example(parameter["schema"])
            if parameter["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", quote(str(value)))
            elif parameter["in"] == "query" and parameter.get("required"):
                query[parameter["name"]] = value
        content = self.told.get("requestBody", {}).get("content", {}).get("application/json")
        return Sent(self.method, path, query, headers, self.example(content["schema"]) if content else None)

    def places(self) -> Iterator[tuple[str, Callable[[Any], Sent]]]:
        """Each field of the address, the headers and the body: its name, and what is sent when a value is put there."""
        clean = self.clean()
        for parameter in self.told.get("parameters", ()):
            yield f"{parameter['in']} {parameter['name']}", self._into(parameter, clean)
        for pointer in leaves(clean.body):
            yield (
                f"body {pointer}",
                lambda value, pointer=pointer: clean.with_body(put(clean.body, pointer, value), str(pointer)),
            )
        if isinstance(clean.body, dict):
            yield "body, name of a field", lambda value: clean.with_body({**clean.body, str(value): 1}, "a name")

    def _into(self, parameter: dict[str, Any], clean: Sent) -> Callable[[Any], Sent]:
        name = parameter["name"]

        def plant(value: Any) -> Sent:
            if parameter["in"] == "path":
                good = quote(str(self.example(parameter["schema"])))
                start, end = self.path.split("{" + name + "}")
                assert clean.path == start + good + end
                return Sent(self.method, start + quote(str(value), safe="") + end, clean.query, {}, clean.body, name)
            if parameter["in"] == "query":
                return Sent(self.method, clean.path, {**clean.query, name: value}, {}, clean.body, name)
            return Sent(self.method, clean.path, clean.query, {name: str(value)}, clean.body, name)

        return plant

    def example(self, schema: dict[str, Any]) -> Any:
        """A value with every field that the schema knows."""
        if "$ref" in schema:
            known = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                known = known[part]
            return self.example(known)
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return self.example(next(one for one in schema[choice] if one.get("type") != "null"))
        if "const" in schema or "enum" in schema:
            return schema.get("const", schema.get("enum", [None])[0])
        match schema.get("type"):
            case "object":
                named = {name: self.example(inner) for name, inner in schema.get("properties", {}).items()}
                return named or {"note": "a note"}
            case "array":
                return [self.example(schema["items"])]
            case "integer":
                return max(1, int(schema.get("minimum", 1)))
            case "number":
                return 1
            case "boolean":
                return True
            case _:
                return _text(schema)


def _text(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern", "")
    if schema.get("format") in ("date", "date-time"):
        return "2026-03-02" if schema["format"] == "date" else "2026-03-02T10:00:00Z"
    if pattern.startswith("^https?"):
        return "https://hooks.example.com/luxauto"
    if pattern.startswith("^(workflow"):
        return "workflow.completed"
    if pattern.startswith("^before-"):
        return "before-7"
    return "1" if "\\d" in pattern or "[0-9]" in pattern or "[1-9]" in pattern else "abcdef12"


def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(document, method.upper(), path, told)
        for path, told_of in document["paths"].items()
        for method, told in told_of.items()
    ]


def leaves(value: Any, pointer: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of a document where a value stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*pointer, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*pointer, index))
    elif value is not None:
        yield pointer


def put(document: Any, pointer: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with another value in one place."""
    if not pointer:
        return value
    copy = deepcopy(document)
    inner = copy
    for part in pointer[:-1]:
        inner = inner[part]
    inner[pointer[-1]] = value
    return copy


def spread(number: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Fields over which a number is spread, and those of a verification code and a track."""
    first, second = halves(number)
    groups = [number[start : start + 4] for start in range(0, 16, 4)]
    yield "two fields that are numbered", {"card_1": first, "card_2": second}
    yield "two fields that are numbered, as integers", {"part1": int(first), "part2": int(second)}
    yield "the items of a list", {"parts": [first, second]}
    yield "neighbours in printed groups", dict(zip("abcd", groups, strict=True))
    yield "a list of digits", {"digits": list(number)}
    yield "a verification code", {"cvv": "737"}
    yield "a verification code in words", {"note": "CVC: 737"}
    yield "a track", {"track_2": ";1=2?"}


def leftovers(folders: list[Path], forms: set[bytes]) -> list[str]:
    """Files below the folders in which one of the forms stands, and which."""
    from tests.byte_search import _contents

    return [
        f"{file.name}: {form!r} in {content[max(0, content.find(form) - 60) : content.find(form) + 60]!r}"
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        for content in _contents(file)
        for form in forms
        if form in content
    ]
