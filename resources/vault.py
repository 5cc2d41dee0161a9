"""Keys, and what is done with them so that a person cannot be read out of the lake.

Belongs here: the installation's secret key and keyed hashes. Does not belong here: personal data itself (`store`).
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

KEY_FILE = "secret.key"
KEY_BYTES = 32


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
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return bytes.fromhex(self._path.read_text(encoding="ascii").strip())
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            key = secrets.token_bytes(KEY_BYTES)
            file.write(key.hex())
        return key
