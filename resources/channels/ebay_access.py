"""How eBay lets us in: as the seller by a refresh token, as the application by its own credentials.

Belongs here: tokens and how a connection is dialled. Does not belong here: what is asked then (`ebay`, `ebay_notifications`).
"""

from collections.abc import Mapping
from datetime import timedelta

from resources.channels.protocol import Connection, CredentialsRefused, RequestRefused
from resources.channels.transport import Dial, Token, TokenSource, Tools, Transport

_SCOPE = "https://api.ebay.com/oauth/api_scope"
_SELLER_SCOPES = f"{_SCOPE}/sell.inventory {_SCOPE}/sell.fulfillment"


def application(connection: Connection, tools: Tools) -> Transport:
    """eBay as the application itself, without the seller: quotas, notification destinations, public keys."""
    tokens = tokens_of(connection, tools, {"grant_type": "client_credentials", "scope": _SCOPE})
    return Transport(dial(connection, connection.url, token=tokens), tools)


def dial(
    connection: Connection, url: str, headers: Mapping[str, str] | None = None, token: TokenSource | None = None
) -> Dial:
    """With the connection's options. Without a token: by the client's id and secret."""
    options = connection.options
    basic = None if token else (_secret(connection, "client_id"), _secret(connection, "client_secret"))
    return Dial(
        name=connection.name,
        url=url,
        headers=headers or {},
        basic=basic,
        token=token,
        verify=str(options["ca_file"]) if options.get("ca_file") else not options.get("insecure", False),
        timeout_seconds=float(options.get("timeout_seconds", 30.0)),
    )


def refresh_grant(connection: Connection) -> dict[str, str]:
    """What is sent for a token of the seller. The scopes must be among those that the seller consented to."""
    return {
        "grant_type": "refresh_token",
        "refresh_token": _secret(connection, "refresh_token"),
        "scope": str(connection.options.get("scopes", _SELLER_SCOPES)),
    }


def tokens_of(connection: Connection, tools: Tools, grant: Mapping[str, str]) -> TokenSource:
    """Access tokens last two hours; the refresh token is not renewed by its use."""
    url = str(connection.options.get("auth_url") or f"{connection.url.rstrip('/')}/identity/v1/oauth2/token")
    identity = Transport(dial(connection, url), tools)

    def fetch() -> Token:
        try:
            answer = identity.read("POST", url, data=dict(grant)).json()
        except RequestRefused as refused:
            raise CredentialsRefused(f"{connection.name}: eBay gives no token: {refused}") from refused
        return Token(answer["access_token"], tools.clock.now() + timedelta(seconds=int(answer["expires_in"])))

    return TokenSource(fetch, tools.clock)


def _secret(connection: Connection, name: str) -> str:
    value = connection.secrets.get(name)
    if not value:
        raise CredentialsRefused(f"{connection.name} lacks the secret {name}. Save it with the connection.")
    return value
