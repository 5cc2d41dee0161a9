"""Files that people open: written whole or not at all."""

import uuid
from pathlib import Path


def write_file(path: Path, content: bytes) -> Path:
    """Replace a file at once, so that a reader sees the old one or the new one. Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
