"""Pictures: generate one or several, look at them, decide about them, who would make them, status.

Belongs here: requests to the agent, and its refusals as problems. Does not belong here: what it does (`agents/visual_content`).
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Body, Request, Response
from pydantic import BaseModel

from luxauto_pipelines.agents.registry import Call
from luxauto_pipelines.agents.visual_content import AGENT as VISUAL_CONTENT
from luxauto_pipelines.agents.visual_content.errors import (
    BudgetReached,
    Conflict,
    InvalidFields,
    NoProvider,
    PictureBlocked,
    UnknownPicture,
)
from luxauto_pipelines.agents.visual_content.parameters import Batch, Generation
from luxauto_pipelines.gateway.agent_calls import call_of
from luxauto_pipelines.gateway.caching import etag_json, matches
from luxauto_pipelines.gateway.dependencies import Books, Budget, Caller, EffectKey, Spend, requires
from luxauto_pipelines.gateway.lineage import lineage
from luxauto_pipelines.gateway.pagination import Cursor, PageSize, read_cursor, write_cursor
from luxauto_pipelines.gateway.problems import RETRY_SECONDS, Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Key
from luxauto_pipelines.gateway.schemas.visual_content import (
    BatchBody,
    Candidates,
    Decided,
    Reviews,
    Verdict,
    VisualBatch,
    VisualGenerated,
    VisualRequest,
    VisualsGenerated,
    VisualState,
    VisualStatus,
)
from resources.card_data import redact

THREADS = 8
"""Orders that one process works on at a time; others wait, and no other route waits for them."""
WAITING = 64
"""Orders that may wait; one more is told to come again."""
NO_PROVIDER_SECONDS = 60
router = make_router("/visual-content", "Visual content")
PictureState = StrEnum("PictureState", ["accepted", "needs_review", "approved", "rejected", "deleted"])
_Answer = TypeVar("_Answer", bound=BaseModel)
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("image/png", "image/webp", "image/jpeg", "video/mp4")
        },
    },
    304: {"description": "As the caller has it"},
}


@router.post("/generate", dependencies=[requires("visual:write")])
async def generate(
    request: Request, wanted: VisualRequest, books: Books, caller: Caller, key: EffectKey, budget: Spend
) -> VisualGenerated:
    """Generate a picture in up to four variations."""
    return await _apart(request.app, VisualGenerated, "generate", call_of(books, caller, key), wanted, budget)


@router.post("/batch-generate", dependencies=[requires("visual:write")])
async def batch_generate(
    request: Request,
    wanted: Annotated[BatchBody, Body()],
    books: Books,
    caller: Caller,
    key: EffectKey,
    budget: Spend,
) -> VisualsGenerated:
    """Generate several pictures. `success` only when every one succeeded."""
    batch = Batch(requests=wanted.requests if isinstance(wanted, VisualBatch) else wanted)
    return await _apart(request.app, VisualsGenerated, "batch_generate", call_of(books, caller, key), batch, budget)


@router.post("/providers", dependencies=[requires("visual:write")])
def providers(wanted: VisualRequest, books: Books, caller: Caller, key: EffectKey) -> Candidates:
    """Who would make this picture, and why the others would not. Nobody is asked, and nothing is spent."""
    return Candidates.model_validate(_do("providers", call_of(books, caller, key), wanted))


@router.get("/images/{image_id}", dependencies=[requires("visual:read")], response_class=Response, responses=_FILES)
def image(image_id: Key, books: Books, request: Request) -> Response:
    """The file of a picture. Its bytes never change, so that its entity tag is its SHA-256."""
    from resources.images.picture_store import MissingPicture, open_picture_store
    from resources.store import pictures

    try:
        with books.read() as (connection, brand):
            picture = pictures.get_picture(connection, brand, image_id)
    except pictures.UnknownPicture as error:
        raise Problem(404, "Not Found", "there is no such picture") from error
    if picture.state == "deleted":
        raise Problem(404, "Not Found", "this picture was deleted")
    headers = {"ETag": f'"{picture.sha256}"', "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    try:
        content = open_picture_store(books.settings).get(picture.sha256)
    except MissingPicture as error:
        raise Problem(404, "Not Found", "the file of this picture is not in the picture store") from error
    return Response(content, headers=headers, media_type=picture.media_type)


@router.get("/reviews", dependencies=[requires("visual:read")], response_model=Reviews)
def reviews(
    request: Request,
    books: Books,
    caller: Caller,
    state: PictureState = PictureState.needs_review,
    limit: PageSize = 50,
    cursor: Cursor = None,
) -> Response:
    """Pictures that wait for a person, or those of another state, newest first."""
    asked = {"state": state.value, "limit": limit, "before": read_cursor(cursor)}
    found = _do(
        "review", call_of(books, caller, ""), {name: value for name, value in asked.items() if value is not None}
    )
    following = None if found["next"] is None else write_cursor(found["next"])
    return etag_json(request, Reviews.model_validate({"reviews": found["reviews"], "next_cursor": following}))


@router.post("/reviews/{image_id}", dependencies=[requires("approval:write")])
def decide(image_id: Key, decided: Verdict, books: Books, caller: Caller, key: EffectKey) -> Decided:
    """Approve or reject a picture, once."""
    asked = {"picture_id": image_id, **decided.model_dump(exclude_none=True)}
    return Decided.model_validate(_do("decide", call_of(books, caller, key), asked))


@router.get("/status", dependencies=[requires("status:read")])
def status(books: Books) -> VisualStatus:
    """Providers and what they did."""
    state = VisualState.model_validate(VISUAL_CONTENT.status(books))
    return VisualStatus(available=VISUAL_CONTENT.unavailable is None, status=state)


async def _apart(app: Any, answer: type[_Answer], method: str, call: Call, wanted: Any, budget: Budget) -> _Answer:
    """In threads of its own: a picture takes a minute, and the other routes have threads to answer in."""
    line = _line(app)
    if line.orders >= THREADS + WAITING:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(503, "Too many pictures", "as many orders wait as may: send this one again", headers=headers)
    # Counted here, as a thread is only waited for when others have been let in.
    line.orders += 1
    try:
        found = await anyio.to_thread.run_sync(lambda: _paid(method, call, wanted, budget), limiter=line.threads)
    finally:
        line.orders -= 1
    return answer.model_validate(found)


@dataclass
class _Line:
    """Orders that are worked on or wait, and their threads: one an application, as a limiter belongs to one event loop."""

    threads: CapacityLimiter
    orders: int = 0


def _line(app: Any) -> _Line:
    found = getattr(app.state, "visual_orders", None)
    if found is None:
        found = app.state.visual_orders = _Line(CapacityLimiter(THREADS))
    return found


def _paid(method: str, call: Call, wanted: Generation | Batch, budget: Budget) -> Mapping[str, Any]:
    """Within what the caller may spend a day: the estimate is set aside while it is made, then what it cost."""
    from luxauto_pipelines.agents.visual_content.generate import estimate

    with _refusals():
        expected = estimate(call, wanted)
    with budget.reserve(expected) as reservation:
        found = _do(method, call, wanted)
        reservation.settle(Decimal(str(found["spent"])))
    if not found.get("replayed"):
        lineage.report(generated_visuals=len(found["images"]))
    return found


def _do(method: str, call: Call, wanted: BaseModel | Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = wanted.model_dump(mode="json", exclude_none=True) if isinstance(wanted, BaseModel) else wanted
    with _refusals():
        return VISUAL_CONTENT.call(method, call, parameters)


@contextmanager
def _refusals() -> Iterator[None]:
    """The agent's refusals as problems."""
    try:
        yield
    except BudgetReached as error:
        headers = {"Retry-After": str(math.ceil(error.retry_after or RETRY_SECONDS))}
        raise Problem(429, "Budget reached", redact(str(error)), headers=headers) from error
    except NoProvider as error:
        headers = {"Retry-After": str(NO_PROVIDER_SECONDS)}
        raise Problem(503, "No provider available", redact(str(error)), headers=headers) from error
    except InvalidFields as error:
        errors = [{"pointer": redact(place), "message": redact(message)} for place, message in error.errors[:100]]
        places = ", ".join(dict.fromkeys(fault["pointer"] for fault in errors[:5]))
        raise Problem(422, "Invalid request", f"these are not valid: {places}", errors) from error
    except PictureBlocked as error:
        errors = [{"pointer": "#/prompt", "message": category} for category in error.categories]
        raise Problem(422, "Blocked by a filter", redact(str(error)), errors) from error
    except UnknownPicture as error:
        raise Problem(404, "Not Found", redact(str(error))) from error
    except Conflict as error:
        raise Problem(409, "Conflict", redact(str(error))) from error
