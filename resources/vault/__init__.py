"""Keys, and what is done with them so that a person cannot be read out of the lake, nor a credential out of the store.

Belongs here: the installation's secret key, keyed hashes, and the keys that encrypt data keys (`wrapping`). Does not belong
here: the data keys (`ring`, `resources/store/key_ring`), personal data or credentials themselves (`store`).
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

from resources.vault.wrapping import KEY_BYTES, LocalKey, VaultError, WrappingKey, kms_of, local_keys_of

__all__ = ["KEY_BYTES", "KEY_FILE", "Vault", "VaultError"]
KEY_FILE = "secret.key"


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

    @property
    def key_file(self) -> Path:
        return self._path

    def wrapping_key(self) -> WrappingKey:
        """What data keys are encrypted with: a KMS by its command, else the environment's key, else one of the key file's."""
        return kms_of(os.environ) or next(iter(local_keys_of(os.environ)), None) or self._own_wrapping_key()

    def wrapping_key_named(self, name: str) -> WrappingKey:
        """The key of this name among those that this process can use. Raises VaultError where there is none."""
        kms = kms_of(os.environ)
        if name.startswith("kms:") and kms is not None:
            return kms
        known = [*local_keys_of(os.environ), self._own_wrapping_key()]
        found = next((key for key in known if key.name == name), None)
        if found is None:
            raise VaultError(
                f"the data keys are encrypted with {name}, which is none of this process's keys: "
                f"set the variable that held it, or restore {self._path} from a backup."
            )
        return found

    def _own_wrapping_key(self) -> LocalKey:
        return LocalKey.of("file", self._key_for("vault-wrapping-key"))

    def seal(self, purpose: str, text: str) -> str:
        """The text as earlier versions sealed it (Fernet, under a key of this purpose). Nothing new is sealed like this."""
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
