"""The ring of data keys: each sealed text names the key that sealed it, the newest key seals, all of them open.

Belongs here: AES-256-GCM of short texts. Does not belong here: where the wrapped keys are kept (`resources/store/key_ring`).
"""

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from resources.vault import Vault, VaultError
from resources.vault.wrapping import NONCE_BYTES

_MARK = "lx1"


@dataclass(frozen=True)
class WrappedKey:
    """A data key as it is kept. `wrapped_with` names the key that encrypts it."""

    key_id: str
    wrapped: str = field(repr=False)
    wrapped_with: str


@dataclass(frozen=True)
class Ring:
    """The data keys of an installation, opened as they are needed. `active` seals; None: nothing has been sealed yet."""

    vault: Vault = field(repr=False)
    keys: Mapping[str, WrappedKey]
    active: str | None

    def seal(self, purpose: str, text: str, place: str) -> str:
        """The text under the active key. It opens only for the same purpose and place, such as `customer:7:email`.

        `lx1.<key id>.<nonce and ciphertext in base64>`; the key's id, the purpose and the place are associated data.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self.active is None:
            raise VaultError("there is no data key to seal with. Run `luxauto vault rotate`.")
        nonce = os.urandom(NONCE_BYTES)
        sealed = AESGCM(self._key(self.active)).encrypt(nonce, text.encode(), _bound_to(self.active, purpose, place))
        return f"{_MARK}.{self.active}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def unseal(self, purpose: str, sealed: str, place: str) -> str:
        """Raises VaultError where it was sealed for something else, where it was changed, or where its key is not there.

        What earlier versions sealed opens as well (Fernet).
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not sealed.startswith(f"{_MARK}."):
            return self.vault.unseal(purpose, sealed)
        try:
            _, key_id, content = sealed.split(".")
            cipher = AESGCM(self._key(key_id))
            raw = base64.urlsafe_b64decode(content)
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _bound_to(key_id, purpose, place)).decode()
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise VaultError(
                f"what was sealed for {purpose} cannot be opened with {self.vault.key_file}: it was changed, or moved here "
                "from elsewhere. Restore the store from a backup."
            ) from error
        except VaultError as error:
            raise VaultError(
                f"what was sealed for {purpose} cannot be opened with {self.vault.key_file}: "
                f"restore that file from a backup. ({error})"
            ) from error

    def _key(self, key_id: str) -> bytes:
        found = self.keys.get(key_id)
        if found is None:
            raise VaultError(f"the data key {key_id} is not in the store: restore the store from a backup.")
        return self.vault.wrapping_key_named(found.wrapped_with).unwrap(key_id, found.wrapped)


def key_of(sealed: str) -> str | None:
    """Id of the data key that sealed a text; None for what an earlier version sealed."""
    return sealed.split(".")[1] if sealed.startswith(f"{_MARK}.") and sealed.count(".") == 2 else None


def _bound_to(key_id: str, purpose: str, place: str) -> bytes:
    return "\0".join(("luxauto", key_id, purpose, place)).encode()
