"""Probes: whether the process is up, whether it can work, and its counters."""

import importlib.util
from functools import cache
from typing import Any, Literal

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError

from luxauto_pipelines.gateway import telemetry
from luxauto_pipelines.gateway.dependencies import Books, requires
from luxauto_pipelines.gateway.problems import RETRY_SECONDS, Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.instance import MODULE
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.engine import MIGRATIONS, StoreError

router = make_router("", "Probes")
# Where platforms look for them.
root = make_router("", "Probes", base="")
_METRICS: dict[str, Any] = {
    "dependencies": [requires("status:read")],
    "response_class": Response,
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """What was found to work."""

    status: Literal["ready"] = "ready"
    checks: dict[str, Literal["ok"]]


@root.get("/healthz")
@router.get("/healthz")
async def healthz() -> Health:
    """The process is up."""
    return Health()


@root.get("/readyz")
@router.get("/readyz")
def readyz(books: Books) -> Readiness:
    """The store answers and is migrated, and Dagster's code location is there. 503 names what is not."""
    checks = {"store": _store_fault(books), "code_location": _code_location_fault(books)}
    faults = [{"pointer": name, "message": fault} for name, fault in checks.items() if fault]
    if faults:
        detail = "; ".join(f"{fault['pointer']}: {fault['message']}" for fault in faults)
        raise Problem(503, "Not ready", detail, faults, {"Retry-After": str(RETRY_SECONDS)})
    return Readiness(checks=dict.fromkeys(checks, "ok"))


@root.get("/metrics", **_METRICS)
@router.get("/metrics", **_METRICS)
def metrics() -> Response:
    """Counters of all workers, as Prometheus reads them."""
    body, media_type = telemetry.exposition()
    return Response(body, headers={"content-type": media_type})


def _store_fault(books: BrandStore) -> str | None:
    try:
        with books.store.engine.connect() as connection:
            revision = run(connection, "SELECT version_num FROM alembic_version").scalar()
    except (SQLAlchemyError, StoreError):
        return "the store does not answer, or holds nothing"
    return None if revision == _newest_revision() else "the store is not migrated; run `luxauto init`"


def _code_location_fault(books: BrandStore) -> str | None:
    # Importing it would cost seconds; Dagster's own processes do that.
    if importlib.util.find_spec(MODULE) is None:
        return f"the module {MODULE} cannot be found"
    if not (books.settings.dagster_home / "dagster.yaml").is_file():
        return "the Dagster instance has no dagster.yaml; run `luxauto init`"
    return None


@cache
def _newest_revision() -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(MIGRATIONS)).get_current_head()
