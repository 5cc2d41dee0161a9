"""Forms with files in them (multipart/form-data, RFC 7578) as bytes.

Belongs here: taking such a body apart. Does not belong here: what its fields mean (`wire`).
"""

import re
from dataclasses import dataclass, field

_BOUNDARY = re.compile(r"""^multipart/form-data\s*;.*?\bboundary=(?:"([^"]{1,70})"|([^\s";]{1,70}))""", re.IGNORECASE)
_DISPOSITION = re.compile(r"^content-disposition\s*:\s*form-data(.*)$", re.IGNORECASE | re.MULTILINE)
_PARAMETER = re.compile(r""";\s*([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))""")
_MOST_PARTS = 64


class InvalidForm(ValueError):
    """The body is not such a form; the message says what is wrong with it."""


@dataclass
class Form:
    """Its fields as text, and its files."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def read_form(content_type: str, body: bytes) -> Form:
    """Take a body apart. A name that comes twice is refused. Raises InvalidForm."""
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise InvalidForm("the content type is not multipart/form-data with a boundary")
    delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1")
    parts = (b"\r\n" + body).split(delimiter)
    if len(parts) < 2 or not parts[-1].startswith(b"--"):
        raise InvalidForm("the form is cut off: its last boundary is missing")
    if len(parts) > _MOST_PARTS + 2:
        raise InvalidForm(f"the form has more than {_MOST_PARTS} parts")
    form = Form()
    for part in parts[1:-1]:
        head, separator, content = part.partition(b"\r\n\r\n")
        found = _DISPOSITION.search(head.decode("utf-8", "replace"))
        parameters = {
            key.lower(): quoted or bare for key, quoted, bare in _PARAMETER.findall(found[1] if found else "")
        }
        if not separator or not parameters.get("name"):
            raise InvalidForm("a part of the form has no name")
        name = parameters["name"].removesuffix("[]")
        if name in form.fields or name in form.files:
            raise InvalidForm(f"{name} is given more than once")
        if parameters.keys() & {"filename", "filename*"}:
            form.files[name] = content
            continue
        try:
            form.fields[name] = content.decode()
        except UnicodeDecodeError as error:
            raise InvalidForm(f"{name} is not text in UTF-8") from error
    return form
