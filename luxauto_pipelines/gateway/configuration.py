"""What the gateway is told by its environment, and what it refuses to start with.

Belongs here: the variables, their defaults and the rules of production. Does not belong here: where the installation is and
which brand it works for (`resources/settings.py`).
"""

import hashlib
import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property

from limits import RateLimitItem
from limits import parse as parse_limit
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from resources.settings import SettingsError
from resources.vault import Vault

MIN_SECRET_BYTES = 32
_PLACEHOLDER = re.compile(
    r"change[-_ ]?(me|this|it)|your[-_ ]|secret[-_ ]?key|example|placeholder|default|password|insecure|xxxxxx",
    re.IGNORECASE,
)
_VARIABLES = {
    "environment": "LUXAUTO_ENV",
    "jwt_secret": "JWT_SECRET_KEY",
    "jwt_keys": "LUXAUTO_JWT_KEYS",
    "cors_origins": "LUXAUTO_CORS_ORIGINS",
    "allowed_hosts": "LUXAUTO_ALLOWED_HOSTS",
    "rate_limit": "LUXAUTO_RATE_LIMIT",
    "cost_ceiling_usd": "LUXAUTO_COST_CEILING_USD",
    "body_limit": "LUXAUTO_BODY_LIMIT",
    "debug": "LUXAUTO_DEBUG",
}


class Environment(StrEnum):
    """Where the gateway runs. Development alone answers without a token."""

    development = "development"
    production = "production"


class GatewaySettings(BaseSettings):
    """The gateway's settings. Lists are separated by commas."""

    model_config = SettingsConfigDict(env_prefix="LUXAUTO_", frozen=True, extra="ignore", env_ignore_empty=True)

    environment: Environment = Field(
        Environment.development, validation_alias=AliasChoices("environment", "LUXAUTO_ENV")
    )
    jwt_secret: SecretStr | None = Field(None, validation_alias=AliasChoices("jwt_secret", "JWT_SECRET_KEY"))
    jwt_keys: SecretStr | None = Field(None, description="kid:secret,kid:secret; the first signs, all verify.")
    jwt_issuer: str = "luxauto"
    jwt_audience: str = "luxauto-gateway"
    jwt_hours: int = Field(24, ge=1, le=24 * 366, description="Longest lifetime of a token.")
    cors_origins: str = ""
    allowed_hosts: str = ""
    rate_limit: str | None = Field(None, description="Such as 600/minute; `off` for none.")
    cost_ceiling_usd: Decimal = Field(Decimal(50), ge=0, description="Per principal and day (UTC).")
    body_limit: int = Field(4_000_000, ge=1024, le=100_000_000, description="Bytes.")
    trusted_proxies: str = Field("", description="Addresses whose X-Forwarded-For is believed.")
    redis_url: SecretStr | None = Field(None, validation_alias=AliasChoices("redis_url", "REDIS_URL"))
    debug: bool = False
    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")

    @field_validator("rate_limit")
    @classmethod
    def _known_limit(cls, value: str | None) -> str | None:
        if value and value != "off":
            parse_limit(value)
        return value

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.production

    @property
    def limit(self) -> RateLimitItem | None:
        """Requests per principal; in development none unless one is set."""
        default = "6000/minute" if self.is_production else "off"
        chosen = self.rate_limit or default
        return None if chosen == "off" else parse_limit(chosen)

    @property
    def longest_lifetime(self) -> timedelta:
        return timedelta(hours=self.jwt_hours)

    @property
    def origins(self) -> list[str]:
        return _listed(self.cors_origins)

    @property
    def hosts(self) -> list[str]:
        return _listed(self.allowed_hosts)

    @cached_property
    def configured_keys(self) -> dict[str, str]:
        """Secrets by key id, in the order of their configuration; empty when none is set."""
        keys = dict(_pairs(self.jwt_keys.get_secret_value())) if self.jwt_keys else {}
        if self.jwt_secret and self.jwt_secret.get_secret_value():
            secret = self.jwt_secret.get_secret_value()
            # A name that does not tell the secret, and changes with it.
            keys.setdefault(hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:12], secret)
        return keys

    def keys(self, vault: Vault) -> dict[str, str]:
        """The keys that tokens are signed with. In development one is derived from the installation's key if none is set."""
        if self.configured_keys or self.is_production:
            return self.configured_keys
        halves = vault.pseudonyms("gateway-tokens", ["first half", "second half"])
        return {"development": halves["first half"] + halves["second half"]}


def load_gateway_settings() -> GatewaySettings:
    """Read and check the settings. Raises SettingsError naming the field and the remedy."""
    try:
        settings = GatewaySettings()  # pyright: ignore[reportCallIssue]
        faults = _faults(settings)
    except ValidationError as error:
        faults = [_explain(str(e["loc"][0]) if e["loc"] else "", e["msg"]) for e in error.errors(include_input=False)]
    if faults:
        raise SettingsError("\n".join(faults))
    return settings


def _faults(settings: GatewaySettings) -> list[str]:
    faults = [_explain(name, fault) for name, fault in _malformed_keys(settings)]
    if faults or not settings.is_production:
        return faults
    if not settings.configured_keys:
        faults.append(_explain("jwt_secret", "production needs a secret. Make one with `openssl rand -base64 48`"))
    for kid, secret in settings.configured_keys.items():
        if len(secret.encode()) < MIN_SECRET_BYTES:
            faults.append(_explain("jwt_secret", f"the secret of key {kid!r} is shorter than {MIN_SECRET_BYTES} bytes"))
        elif _PLACEHOLDER.search(secret) or len(set(secret)) < 8:
            faults.append(_explain("jwt_secret", f"the secret of key {kid!r} is a placeholder. Make a random one"))
    if any("*" in origin for origin in settings.origins):
        faults.append(
            _explain("cors_origins", "production allows no wildcard. List the origins, such as https://a.example")
        )
    if settings.debug:
        faults.append(_explain("debug", "production does not run with debug. Unset it"))
    return faults


def _malformed_keys(settings: GatewaySettings) -> list[tuple[str, str]]:
    if settings.jwt_keys is None:
        return []
    pairs = _listed(settings.jwt_keys.get_secret_value())
    names = [pair.partition(":")[0] for pair in pairs]
    if any(not name or not pair.partition(":")[2] for name, pair in zip(names, pairs, strict=True)):
        return [("jwt_keys", "must be kid:secret,kid:secret")]
    return [("jwt_keys", "names a key twice")] if len(set(names)) < len(names) else []


def _pairs(listed: str) -> list[tuple[str, str]]:
    return [(kid, secret) for kid, _, secret in (pair.partition(":") for pair in _listed(listed))]


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _explain(field: str, fault: str) -> str:
    name = field if field.isupper() else _VARIABLES.get(field, f"LUXAUTO_{field.upper()}")
    return f"setting `{name}`: {fault}. Correct the environment variable {name}."
