"""Tokens: taking one back before it ends. They are issued on the command line, by whoever holds the installation."""

from datetime import UTC, datetime, timedelta

from fastapi import Request
from pydantic import BaseModel

from luxauto_pipelines.gateway.dependencies import Books, Caller, requires, state_of
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Key
from luxauto_pipelines.gateway.tokens import LEEWAY_SECONDS
from resources.store.tokens import revoke

router = make_router("/tokens", "Tokens")


class Revocation(BaseModel):
    """The token is refused from now on, by other workers within two seconds."""

    success: bool = True
    token_id: str
    already: bool


@router.post("/{token_id}/revoke", dependencies=[requires("token:write")])
def revoke_token(request: Request, books: Books, caller: Caller, token_id: Key) -> Revocation:
    """Refuse the token with this `jti` from now on."""
    state = state_of(request)
    now = datetime.now(UTC)
    # How long it would have lived is not known here; none lives longer than this.
    ends = now + state.settings.longest_lifetime + timedelta(seconds=LEEWAY_SECONDS)
    with books.write() as (connection, brand):
        new = revoke(connection, token_id, caller.subject, now, ends)
        caller.record(connection, brand, "token.revoked", token_id, {})
    state.forget_revoked()
    return Revocation(token_id=token_id, already=not new)
