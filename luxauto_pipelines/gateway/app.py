"""The gateway's application: its routers, its layers, its documentation, put together.

Does not belong here: what any of them does, and how it is served (`serve`).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from luxauto_pipelines.gateway import problems, telemetry
from luxauto_pipelines.gateway.configuration import GatewaySettings, load_gateway_settings
from luxauto_pipelines.gateway.dependencies import GatewayState
from luxauto_pipelines.gateway.limits import Limiter
from luxauto_pipelines.gateway.lineage import lineage
from luxauto_pipelines.gateway.middleware import Shell
from luxauto_pipelines.gateway.routers import (
    alerts,
    audit,
    code,
    finance,
    inbox,
    marketing,
    system,
    system_probes,
    tokens,
    visual_content,
    webhook_subscriptions,
    workflows,
)
from luxauto_pipelines.gateway.routing import BASE
from luxauto_pipelines.gateway.tokens import TokenAuthority
from luxauto_pipelines.instance import prepare
from resources.settings import Settings, load_settings

__all__ = ["BASE", "Gateway", "create_app"]
VERSION = "0.1.0"
THREADS = 32
ROUTERS = (
    visual_content.router,
    finance.router,
    marketing.router,
    code.router,
    workflows.router,
    webhook_subscriptions.router,
    alerts.router,
    inbox.router,
    tokens.router,
    audit.router,
    system.router,
    system_probes.router,
    system_probes.root,
)


def create_app(settings: Settings | None = None, gateway: GatewaySettings | None = None) -> FastAPI:
    """The gateway of an installation; both kinds of settings are read from the environment if not given.

    Raises SettingsError when the settings are not fit for where it runs.
    """
    chosen = gateway or load_gateway_settings()
    books = prepare(settings or load_settings())
    redis_url = chosen.redis_url.get_secret_value() if chosen.redis_url else None
    state = GatewayState(
        settings=chosen,
        books=books,
        authority=TokenAuthority(
            chosen.keys(books.vault), chosen.jwt_issuer, chosen.jwt_audience, chosen.longest_lifetime
        ),
        limiter=Limiter(chosen.limit, books.settings.home, redis_url),
    )
    telemetry.configure_logging(chosen.log_level)
    app = Gateway(state)
    for router in ROUTERS:
        # Not `include_router`: it would match every path three times, which costs more than the token does.
        app.router.routes.extend(router.routes)
    return app


class Gateway(FastAPI):
    """FastAPI with the shell around everything else, and problems in its OpenAPI document."""

    def __init__(self, state: GatewayState) -> None:
        super().__init__(
            title="luxauto",
            version=VERSION,
            description="Operations of a luxury brand: stock, books, pictures, campaigns, code and the workflows over them.",
            debug=state.settings.debug,
            max_body_size=state.settings.body_limit,
            lifespan=_lifespan,
        )
        self.state.gateway = state
        self.state.books = state.books
        problems.add_handlers(self)
        if state.settings.origins:
            self.add_middleware(
                CORSMiddleware,
                allow_origins=state.settings.origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "X-Request-Id"],
                expose_headers=["ETag", "Idempotent-Replayed", "Retry-After", "X-Request-Id"],
            )

    def build_middleware_stack(self) -> ASGIApp:
        return Shell(super().build_middleware_stack(), self.state.gateway.settings)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = problems.SCHEMA
        return self.openapi_schema or {}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
    await run_in_threadpool(lineage.close)
    app.state.gateway.limiter.close()
    app.state.gateway.books.store.close()
