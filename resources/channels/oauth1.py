"""Requests signed by OAuth 1.0a (RFC 5849) with a consumer's key and secret, in the query.

Belongs here: the signature, as shops ask for it that are reached without TLS. Does not belong here: any vendor's paths, or
OAuth's dance for a user's token.
"""

import base64
import hmac
import secrets
import time
from collections.abc import Generator, Sequence
from urllib.parse import quote, urlsplit

import httpx2 as httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}


class OAuth1(httpx.Auth):
    """Signs every request anew, so that one that is sent again has its own nonce. The body is not signed."""

    def __init__(self, key: str, secret: str) -> None:
        self._key = key
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        own = {
            "oauth_consumer_key": self._key,
            "oauth_nonce": secrets.token_hex(16),
            "oauth_signature_method": "HMAC-SHA256",
            "oauth_timestamp": str(int(time.time())),
            "oauth_version": "1.0",
        }
        params = [*request.url.params.multi_items(), *own.items()]
        own["oauth_signature"] = signature(request.method, str(request.url), params, self._secret)
        request.url = request.url.copy_merge_params(own)
        yield request


def signature(
    method: str,
    url: str,
    params: Sequence[tuple[str, str]],
    consumer_secret: str,
    token_secret: str = "",
    digest: str = "sha256",
) -> str:
    """The signature in base64. `params` are all, not encoded, without `oauth_signature`; `digest` is "sha256" or "sha1"."""
    key = f"{_encoded(consumer_secret)}&{_encoded(token_secret)}"
    return base64.b64encode(hmac.digest(key.encode(), base_string(method, url, params).encode(), digest)).decode()


def base_string(method: str, url: str, params: Sequence[tuple[str, str]]) -> str:
    """What is signed (RFC 5849, 3.4.1). The query of `url` is not looked at: its parameters are in `params`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    where = f"{parts.scheme.lower()}://{host}{parts.path or '/'}"
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in params)
    return "&".join([method.upper(), _encoded(where), _encoded("&".join(f"{name}={value}" for name, value in pairs))])


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")
