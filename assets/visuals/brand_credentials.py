"""The keys that sign a brand's pictures: made once, kept in the installation's home, readable by its user alone.

Belongs here: files. Does not belong here: what a certificate holds and how a picture is signed (`assets/visuals/provenance`).
"""

import os
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assets.visuals.provenance import Credentials
    from resources.settings import Settings

ANCHOR = "anchor.pem"
_FILES = {"anchor": ANCHOR, "anchor_key": "anchor.key", "certificates": "signer.pem", "key": "signer.key"}


def credentials_folder(settings: "Settings") -> Path:
    return settings.home / "brands" / settings.brand / "credentials"


def credentials_of(settings: "Settings", brand_name: str) -> "Credentials":
    """The brand's keys; made where there are none, and a signer near its end is replaced.

    Processes that begin together end with the same keys: a folder appears whole or not at all.
    """
    from assets.visuals.provenance import new_credentials, renewed

    folder = credentials_folder(settings)
    now = datetime.now(UTC)
    if not folder.is_dir():
        _write(folder, new_credentials(brand_name, now))
    found = _read(folder)
    fresh = renewed(found, brand_name, now)
    if fresh is None:
        return found
    aside = folder.with_name(f"{folder.name}.{now:%Y%m%d%H%M%S}")
    folder.rename(aside)
    _write(folder, fresh)
    return _read(folder)


def anchors_of(settings: "Settings") -> bytes:
    """Certificates that pictures are verified by; empty where the brand has signed nothing yet."""
    file = credentials_folder(settings) / ANCHOR
    return file.read_bytes() if file.is_file() else b""


def _read(folder: Path) -> "Credentials":
    from assets.visuals.provenance import Credentials, ProvenanceError

    try:
        return Credentials(**{field: (folder / name).read_bytes() for field, name in _FILES.items()})
    except OSError as error:
        raise ProvenanceError(
            f"the signing keys in {folder} cannot be read ({error.strerror}): put the file back, or move the folder away "
            "for new keys"
        ) from error


def _write(folder: Path, credentials: "Credentials") -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    temporary.mkdir(mode=0o700)
    try:
        for field, name in _FILES.items():
            handle = os.open(temporary / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(getattr(credentials, field))
                file.flush()
                os.fsync(file.fileno())
        temporary.rename(folder)
    except OSError:
        # Another process was first: its folder is there and is not empty.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
