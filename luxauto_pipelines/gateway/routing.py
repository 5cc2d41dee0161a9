"""How routes are made: with their problems documented, their caller checked before the body is read, and every POST idempotent.

Does not belong here: any route (`gateway/routers`), or how first answers are kept (`idempotency`).
"""

from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from luxauto_pipelines.gateway.card_guard import refuse_card_data
from luxauto_pipelines.gateway.dependencies import authorise, gate
from luxauto_pipelines.gateway.idempotency import HEADER, KEY_PATTERN, answer_once
from luxauto_pipelines.gateway.problems import PROBLEM_RESPONSES

BASE = "/api/v1/luxury-automation"


async def _documented_key(
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            min_length=1,
            max_length=255,
            pattern=KEY_PATTERN,
            description="The same key and body gives the first answer; the same key with another body is a 409.",
        ),
    ] = None,
) -> None:
    """In the OpenAPI document; the route class reads the header itself."""


class GatewayRoute(APIRoute):
    """A route that checks its caller before anything else, refuses card data, and gives a repeated POST its first answer."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._posts = "POST" in (options.get("methods") or ())
        if self._posts:
            options["dependencies"] = [*(options.get("dependencies") or []), Depends(_documented_key)]
        super().__init__(path, endpoint, **options)
        self._beginning = self.path_format.partition("{")[0]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Most routes are of another area; telling so by a prefix costs a tenth of the full comparison.
        if not scope.get("root_path") and not scope["path"].startswith(self._beginning):
            return Match.NONE, {}
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = self.endpoint if self._takes_the_request_alone() else super().get_route_handler()
        scopes = [part.own_oauth_scopes or () for part in self.dependant.dependencies if part.call is gate]
        permissions = frozenset(permission for group in scopes for permission in group)
        if not permissions:
            return _open(handle)
        posts = self._posts

        async def guarded(request: Request) -> Response:
            principal = await authorise(request, permissions)
            await refuse_card_data(request)
            key = request.headers.get(HEADER) if posts else None
            if key is None:
                return await handle(request)
            return await answer_once(request, principal, key, handle)

        return guarded

    def _takes_the_request_alone(self) -> bool:
        """Whether the endpoint reads its request by itself and answers in full: nothing is left for FastAPI to find out."""
        own = self.dependant
        others = (*own.path_params, *own.query_params, *own.header_params, *own.cookie_params, *own.body_params)
        # Both are seen to by the route itself: the caller before all else, the key where an answer is kept.
        known = all(part.call in (gate, _documented_key) for part in own.dependencies)
        return known and not others and own.request_param_name is not None and _answers(self.endpoint)


def _answers(endpoint: Callable[..., Any]) -> bool:
    """Whether it gives a response and is to be awaited."""
    return iscoroutinefunction(endpoint) and endpoint.__annotations__.get("return") is Response


def _open(
    handle: Callable[[Request], Coroutine[Any, Any, Response]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def open_to_all(request: Request) -> Response:
        # The body is a channel's message: it is signed as it is, and redacted before it is kept.
        await refuse_card_data(request, body=False)
        return await handle(request)

    return open_to_all


def router(prefix: str, tag: str, base: str = BASE) -> APIRouter:
    """A router whose routes document every problem; give each route `dependencies=[requires(…)]`."""
    return APIRouter(prefix=base + prefix, tags=[tag], route_class=GatewayRoute, responses=PROBLEM_RESPONSES)
