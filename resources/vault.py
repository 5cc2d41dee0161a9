"""Keys, and what is done with them so that a person cannot be read out of the lake.

Belongs here: the installation's secret key and keyed hashes. Does not belong here: personal data itself (`store`).
"""

import hashlib
import hmac
import os
import secrets
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

KEY_FILE = "secret.key"
KEY_BYTES = 32


class VaultError(Exception):
    """The key cannot be used; the message says what to do."""


class Vault:
    """The installation's key, made on first use, readable by its owner alone."""

    def __init__(self, home: Path) -> None:
        self._path = home / KEY_FILE

    def pseudonyms(self, purpose: str, values: Iterable[str]) -> dict[str, str]:
        """A stable stand-in for each value: HMAC-SHA256 under a key of this purpose, 128 bits in hexadecimal.

        Without the key a value can neither be read nor be found by trying (unlike with a plain hash).
        """
        key = hmac.digest(self._key(), purpose.encode(), hashlib.sha256)
        return {value: hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32] for value in set(values)}

    def _key(self) -> bytes:
        try:
            key = bytes.fromhex(self._path.read_text(encoding="ascii").strip())
        except FileNotFoundError:
            self._make()
            return self._key()
        except ValueError as error:
            raise VaultError(f"{self._path} holds no key: {error}. Restore it from a backup.") from error
        if len(key) != KEY_BYTES:
            raise VaultError(
                f"{self._path} holds {len(key)} bytes where {KEY_BYTES} are a key. Restore it from a backup."
            )
        return key

    def _make(self) -> None:
        """Put a new key there at once and whole, unless another process has just done so."""
        temporary = self._path.with_name(f"{KEY_FILE}.{uuid.uuid4().hex}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(temporary, self._path)
        temporary.unlink()
