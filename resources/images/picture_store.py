"""Pictures' bytes, each under its SHA-256 beside the lake.

Belongs here: writing, reading and deleting bytes, whole or not at all. Does not belong here: who still needs them
(`resources/store/pictures`), and what is remembered of a request (`cache`).

Layout: `<lake>/<brand>/_pictures/<first two digits>/<sha256>`, in a local folder or an object store.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.files import write_file
from resources.lake import Lake
from resources.settings import Settings

FOLDER = "_pictures"
_SUM = re.compile(r"[0-9a-f]{64}")


class MissingPicture(Exception):
    """There are no bytes under that sum, or they are not what was put there."""


def open_picture_store(settings: Settings) -> "PictureStore":
    """The brand's."""
    return PictureStore(Lake(settings.lake_url, settings.brand))


@dataclass(frozen=True)
class PictureStore:
    """One brand's. May be used by many threads and processes at once."""

    lake: Lake

    def put(self, content: bytes) -> str:
        """Keep bytes and return their SHA-256. What is there already is not written again."""
        sha256 = hashlib.sha256(content).hexdigest()
        if not self.exists(sha256):
            if self.lake.is_local:
                write_file(Path(self._path(sha256)), content)
            else:
                # An object store shows an object only when all of it has arrived.
                self._files.pipe_file(self._path(sha256), content)
        return sha256

    def get(self, sha256: str) -> bytes:
        """Raises MissingPicture where nothing is there, and where the bytes are no longer those that were put."""
        path = self._path(sha256)
        try:
            content = Path(path).read_bytes() if self.lake.is_local else self._files.cat_file(path)
        except FileNotFoundError as error:
            raise MissingPicture(f"the picture {sha256} is not in the store: it was deleted") from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise MissingPicture(f"{path} is damaged: its bytes have another sum than its name. Delete or restore it")
        return content

    def exists(self, sha256: str) -> bool:
        path = self._path(sha256)
        return Path(path).is_file() if self.lake.is_local else bool(self._files.exists(path))

    def delete(self, sha256: str) -> None:
        """Remove the bytes; nothing happens where there are none."""
        path = self._path(sha256)
        if self.lake.is_local:
            Path(path).unlink(missing_ok=True)
        elif self._files.exists(path):
            self._files.rm_file(path)

    def sums(self) -> Iterator[tuple[str, datetime]]:
        """The SHA-256 of all that is kept, and when it was written; in no order."""
        for path, about in self._files.find(self.lake.folder(FOLDER), detail=True).items():
            name = str(path).rsplit("/", 1)[-1]
            if _SUM.fullmatch(name):
                written = about.get("mtime") or about.get("LastModified")
                yield name, datetime.fromtimestamp(written, UTC) if isinstance(written, (int, float)) else written

    def _path(self, sha256: str) -> str:
        if not _SUM.fullmatch(sha256):
            raise MissingPicture(f"{sha256!r} is no SHA-256: 64 hexadecimal digits in lower case")
        return f"{self.lake.folder(FOLDER)}/{sha256[:2]}/{sha256}"

    @property
    def _files(self) -> Any:
        return self.lake.filesystem
