"""Keys, and what is done with them so that a person cannot be read out of the lake.

Belongs here: the installation's secret key, keyed hashes, sealing what must come back as it was. Does not belong here: personal
data or credentials themselves (`store`).
"""

import base64
import hashlib
import hmac
import os
import secrets
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

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
        key = self._key_for(purpose)
        return {value: hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32] for value in set(values)}

    def seal(self, purpose: str, text: str) -> str:
        """The text, encrypted and authenticated (Fernet) under a key of this purpose."""
        return self._cipher(purpose).encrypt(text.encode()).decode()

    def unseal(self, purpose: str, sealed: str) -> str:
        """Raises VaultError where another key sealed it, or where it was changed."""
        from cryptography.fernet import InvalidToken

        try:
            return self._cipher(purpose).decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise VaultError(
                f"what was sealed for {purpose} cannot be opened with {self._path}: restore that file from a backup."
            ) from error

    def _cipher(self, purpose: str) -> Any:
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(self._key_for(purpose)))

    def _key_for(self, purpose: str) -> bytes:
        return hmac.digest(self._key(), purpose.encode(), hashlib.sha256)

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
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{KEY_FILE}.{uuid.uuid4().hex}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(KEY_BYTES))
        with suppress(FileExistsError):
            os.link(temporary, self._path)
        temporary.unlink()
