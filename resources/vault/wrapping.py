"""Keys that encrypt keys: from the environment, from the key file, or held by a key management service (KMS).

Belongs here: encrypting one data key and getting it back. Does not belong here: data (`ring`), where wrapped keys are kept
(`resources/store/key_ring`).
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_VARIABLE = "LUXAUTO_VAULT_KEY"
OLD_KEYS_VARIABLE = "LUXAUTO_VAULT_OLD_KEYS"
KMS_VARIABLE = "LUXAUTO_KMS_COMMAND"
KMS_SECONDS = 30


class VaultError(Exception):
    """The key cannot be used; the message says what to do."""


class WrappingKey(Protocol):
    """Encrypts data keys. `name` says which key it is and nothing about it."""

    @property
    def name(self) -> str: ...

    def wrap(self, key_id: str, key: bytes) -> str: ...

    def unwrap(self, key_id: str, wrapped: str) -> bytes: ...


@dataclass(frozen=True)
class LocalKey:
    """A key that this process holds: AES-256-GCM, with the data key's id as associated data."""

    name: str
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, kind: str, key: bytes) -> "LocalKey":
        return cls(f"{kind}:{hmac.new(key, b'name of this key', hashlib.sha256).hexdigest()[:12]}", key)

    def wrap(self, key_id: str, key: bytes) -> str:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + AESGCM(self.key).encrypt(nonce, key, _bound_to(key_id))).decode()

    def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """Raises VaultError where another key wrapped it, or where it was changed."""
        return _unwrap(self.key, key_id, wrapped)


@dataclass(frozen=True)
class KmsCommand:
    """A key that never leaves its service. The command reads one JSON object on standard input and writes one.

    `{"operation": "wrap", "key_id": …, "plaintext": base64}` is answered by `{"ciphertext": …}`, and `unwrap` the other way
    round. Both texts are the service's own business.
    """

    command: str

    @property
    def name(self) -> str:
        return f"kms:{hashlib.sha256(self.command.encode()).hexdigest()[:12]}"

    def wrap(self, key_id: str, key: bytes) -> str:
        return _ask(self.command, "wrap", key_id, "plaintext", base64.b64encode(key).decode(), "ciphertext")

    def unwrap(self, key_id: str, wrapped: str) -> bytes:
        """Raises VaultError where the service does not give the key."""
        return _unwrapped_by(self.command, key_id, wrapped)


def kms_of(environment: Mapping[str, str]) -> KmsCommand | None:
    """The service whose command LUXAUTO_KMS_COMMAND names."""
    command = environment.get(KMS_VARIABLE, "").strip()
    return KmsCommand(command) if command else None


def local_keys_of(environment: Mapping[str, str]) -> list[LocalKey]:
    """LUXAUTO_VAULT_KEY, and the earlier keys of LUXAUTO_VAULT_OLD_KEYS (between commas) that still open what they wrapped."""
    named = [(KEY_VARIABLE, environment.get(KEY_VARIABLE, ""))]
    named += [(OLD_KEYS_VARIABLE, text) for text in environment.get(OLD_KEYS_VARIABLE, "").split(",")]
    return [LocalKey.of("env", _key_of(variable, text.strip())) for variable, text in named if text.strip()]


def _key_of(variable: str, text: str) -> bytes:
    for decode in (
        bytes.fromhex,
        lambda given: base64.b64decode(given.replace("-", "+").replace("_", "/"), validate=True),
    ):
        try:
            key = decode(text)
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    raise VaultError(
        f"{variable} holds no key of {KEY_BYTES} bytes in hexadecimal or base64. Make one: openssl rand -hex 32"
    )


@lru_cache(maxsize=64)
def _unwrap(key: bytes, key_id: str, wrapped: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        content = base64.b64decode(wrapped, validate=True)
        return AESGCM(key).decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], _bound_to(key_id))
    except (InvalidTag, ValueError) as error:
        raise VaultError(
            f"the data key {key_id} cannot be opened: it was changed. Restore the store from a backup."
        ) from error


@lru_cache(maxsize=64)
def _unwrapped_by(command: str, key_id: str, wrapped: str) -> bytes:
    text = _ask(command, "unwrap", key_id, "ciphertext", wrapped, "plaintext")
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise VaultError(f"{KMS_VARIABLE} answered no base64 for the data key {key_id}.") from error
    if len(key) != KEY_BYTES:
        raise VaultError(f"{KMS_VARIABLE} answered {len(key)} bytes for the data key {key_id}; {KEY_BYTES} are a key.")
    return key


def _ask(command: str, operation: str, key_id: str, given: str, value: str, wanted: str) -> str:
    question = json.dumps({"operation": operation, "key_id": key_id, given: value})
    try:
        # What it answers and complains of may hold a key: it is shown nowhere.
        said = subprocess.run(
            shlex.split(command), input=question, capture_output=True, text=True, check=False, timeout=KMS_SECONDS
        )
        answer: Any = json.loads(said.stdout) if said.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise VaultError(
            f"{KMS_VARIABLE} could not {operation} a key: {type(error).__name__}. Try the command."
        ) from error
    if not isinstance(answer, dict) or not isinstance(answer.get(wanted), str):
        raise VaultError(
            f"{KMS_VARIABLE} could not {operation} a key: it ended with {said.returncode} and no {wanted!r}. Try the command."
        )
    return answer[wanted]


def _bound_to(key_id: str) -> bytes:
    return f"luxauto data key {key_id}".encode()
