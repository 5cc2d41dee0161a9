"""Bearer tokens: JSON Web Tokens signed with HS256.

Belongs here: issuing and verifying. Does not belong here: which requests need one (`dependencies`), and the list of revoked
tokens (`resources/store/tokens.py`).
"""

import hashlib
import secrets
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from luxauto_pipelines.gateway.authorization import ROLES

ALGORITHM = "HS256"
TYPE = "access"
LEEWAY_SECONDS = 10
MAX_TOKEN_BYTES = 4096
_REQUIRED = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub", "typ"]
_CACHED = 4096


class InvalidToken(Exception):
    """A token that proves nothing; the message may be shown to whoever sent it."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    subject: str
    roles: tuple[str, ...]
    token_id: str
    not_before: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token and what is in it."""

    token: str
    token_id: str
    subject: str
    role: str
    expires_at: datetime


class TokenAuthority:
    """Signs with the first of `keys`, verifies with all. Keys are secrets by key id, which a token can only name."""

    def __init__(self, keys: Mapping[str, str], issuer: str, audience: str, longest: timedelta) -> None:
        self._keys = dict(keys)
        self._issuer = issuer
        self._audience = audience
        self._longest = longest.total_seconds()
        self._verified: dict[bytes, Claims] = {}

    def issue(self, subject: str, role: str, lifetime: timedelta) -> Issued:
        """Raises InvalidToken when the role is unknown, the subject is blank or the lifetime longer than allowed."""
        if role not in ROLES:
            raise InvalidToken(f"there is no role {role!r}; there are {', '.join(ROLES)}")
        if not subject.strip() or len(subject) > 255:
            raise InvalidToken("a token needs a subject of 1 to 255 characters")
        if not 0 < lifetime.total_seconds() <= self._longest:
            raise InvalidToken(f"a token lives at most {self._longest / 3600:g} hours")
        kid, secret = next(iter(self._keys.items()))
        now = int(time.time())
        expires = now + int(lifetime.total_seconds())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": subject,
            "roles": [role],
            "iat": now,
            "nbf": now,
            "exp": expires,
            "jti": secrets.token_hex(16),
            "typ": TYPE,
        }
        token = jwt.encode(claims, secret, ALGORITHM, headers={"kid": kid})
        return Issued(token, claims["jti"], subject, role, datetime.fromtimestamp(expires, UTC))

    def verify(self, token: str, revoked: Collection[str] = ()) -> Claims:
        """What the token says, if it is ours, in force and not among the `revoked` ids. Raises InvalidToken."""
        digest = hashlib.sha256(token.encode()).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._decode(token)
            if len(self._verified) >= _CACHED:
                self._verified.clear()
            # A signature need not be checked twice. Time and revocation are, below.
            self._verified[digest] = claims
        now = time.time()
        if now >= claims.expires_at + LEEWAY_SECONDS:
            raise InvalidToken("the token has expired")
        if claims.token_id in revoked:
            raise InvalidToken("the token was revoked")
        return claims

    def _decode(self, token: str) -> Claims:
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidToken("the token is too long")
        try:
            secret = self._secret_of(jwt.get_unverified_header(token))
            payload = jwt.decode(
                token,
                secret,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise InvalidToken("the token has expired") from error
        except jwt.ImmatureSignatureError as error:
            raise InvalidToken("the token is not valid yet") from error
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError) as error:
            # Why a signature is wrong is for no stranger to know.
            raise InvalidToken("the token is not valid") from error
        return self._claims(payload)

    def _secret_of(self, header: Mapping[str, Any]) -> str:
        kid = header.get("kid")
        if kid is None and len(self._keys) == 1:
            kid = next(iter(self._keys))
        if header.get("alg") != ALGORITHM or not isinstance(kid, str) or kid not in self._keys:
            raise jwt.InvalidTokenError("neither the algorithm nor the key is ours")
        return self._keys[kid]

    def _claims(self, payload: Mapping[str, Any]) -> Claims:
        roles = payload.get("roles", [])
        numbers = [payload["exp"], payload["iat"], payload["nbf"]]
        right_kinds = (
            payload["typ"] == TYPE
            and isinstance(roles, list)
            and all(isinstance(role, str) for role in roles)
            and all(isinstance(payload[name], str) and 0 < len(payload[name]) <= 255 for name in ("sub", "jti"))
            and all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers)
        )
        if not right_kinds or payload["exp"] - payload["iat"] > self._longest:
            raise InvalidToken("the token is not valid")
        return Claims(payload["sub"], _known(roles), payload["jti"], float(payload["nbf"]), float(payload["exp"]))


def unverified_id(token: str) -> tuple[str, datetime] | None:
    """The id and end of a token that is to be revoked, whatever its signature; None where there are none."""
    try:
        payload = jwt.decode(token, options={"verify_signature": False})
        return str(payload["jti"]), datetime.fromtimestamp(float(payload["exp"]), UTC)
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, OverflowError):
        return None


def _known(roles: Iterable[str]) -> tuple[str, ...]:
    return tuple(role for role in roles if role in ROLES)
