"""Finance and inventory: sync, record, forecast, report, status.

Belongs here: requests to the agent, and its refusals as problems. Does not belong here: what it does
(`agents/finance_inventory`).
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool

from luxauto_pipelines.agents.finance_inventory import AGENT
from luxauto_pipelines.agents.finance_inventory.errors import Conflict, InvalidFields, UnknownItem
from luxauto_pipelines.agents.finance_inventory.parameters import (
    DEFAULT_FORECAST_DAYS,
    MOST_FORECAST_DAYS,
    ExplanationRequest,
    ForecastRequest,
    InventorySync,
    ReportRequest,
    StatementRequest,
    TransactionRecord,
)
from luxauto_pipelines.agents.registry import Call
from luxauto_pipelines.gateway.agent_calls import call_of
from luxauto_pipelines.gateway.caching import MEDIA_TYPE, etag_json
from luxauto_pipelines.gateway.dependencies import (
    Books,
    Caller,
    EffectKey,
    authenticate,
    books_of,
    effect_key_of,
    requires,
)
from luxauto_pipelines.gateway.lineage import lineage
from luxauto_pipelines.gateway.problems import RETRY_SECONDS, Problem
from luxauto_pipelines.gateway.routing import router as make_router
from luxauto_pipelines.gateway.schema_types import Currency, Day, Instant, Key, Line
from luxauto_pipelines.gateway.schemas.finance import (
    Explanation,
    FinanceState,
    FinanceStatus,
    FinancialReport,
    Forecast,
    InventorySynced,
    Statement,
    TransactionRecorded,
)
from resources.card_data import redact
from resources.lake import MissingAsset

router = make_router("/finance", "Finance and inventory")
_Body = TypeVar("_Body", bound=BaseModel)


def _body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it itself, for the OpenAPI document."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    assert not definitions.keys() - {"LineItem"}
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": _inlined(schema, definitions)}}}}


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        return definitions[name] if name in definitions else {k: _inlined(v, definitions) for k, v in schema.items()}
    return [_inlined(item, definitions) for item in schema] if isinstance(schema, list) else schema


async def _read(request: Request, model: type[_Body]) -> _Body:
    """The body as FastAPI would read it. Raises Problem 415, and RequestValidationError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind != MEDIA_TYPE and not kind.endswith("+json"):
            raise ValueError
        sent = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        fault = {"type": "json_invalid", "loc": ("body",), "msg": "not JSON", "input": None}
        raise RequestValidationError([fault]) from error
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([{**fault, "loc": ("body", *fault["loc"])} for fault in found]) from error


@router.post("/inventory/sync", dependencies=[requires("finance:write")])
def sync_inventory(wanted: InventorySync, books: Books, caller: Caller, key: EffectKey) -> InventorySynced:
    """Upsert SKUs, and bring the stock of the channel's location to its count. A bad item does not stop the others."""
    result = _do("sync_inventory", call_of(books, caller, key), wanted)
    lineage.report(catalog=result["synced_items"] + result["updated_items"], stock_movements=result["movements"])
    return InventorySynced.model_validate(result)


@router.post(
    "/transactions/record",
    dependencies=[requires("finance:write")],
    response_model=TransactionRecorded,
    openapi_extra=_body_of(TransactionRecord),
)
async def record_transaction(request: Request) -> Response:
    """Record a money event once, by `order_id` and `type`: the same again gives the first answer."""
    # The busiest route: what dependencies would find out again is read off the request, which the route class has checked.
    wanted = await _read(request, TransactionRecord)
    call = call_of(await books_of(request), await authenticate(request), await effect_key_of(request))
    result = await run_in_threadpool(_do, "record_transaction", call, wanted)
    lineage.report(transactions=1)
    return Response(to_json(result), media_type=MEDIA_TYPE)


@router.get("/forecast/{item_id}", dependencies=[requires("finance:read")], response_model=Forecast)
def forecast(
    item_id: Key,
    books: Books,
    caller: Caller,
    request: Request,
    forecast_period_days: Annotated[int, Query(ge=1, le=MOST_FORECAST_DAYS)] = DEFAULT_FORECAST_DAYS,
) -> Response:
    """Expected demand of a SKU, by day. An item without sales says `no_history`, and nothing is invented."""
    wanted = ForecastRequest(item_id=item_id, forecast_period_days=forecast_period_days)
    return etag_json(request, Forecast.model_validate(_do("forecast", call_of(books, caller, ""), wanted)))


@router.get("/reports/financial", dependencies=[requires("finance:read")], response_model=FinancialReport)
def financial_report(
    books: Books,
    caller: Caller,
    request: Request,
    start_date: Annotated[Day | Instant | None, Query(description="Default: 29 days before the end.")] = None,
    end_date: Annotated[Day | Instant | None, Query(description="Default: today in the brand's zone.")] = None,
    currency: Annotated[Currency | None, Query(description="Default: the brand's base currency.")] = None,
) -> Response:
    """Revenue, cost and profit of the days, as the store has them now."""
    wanted = ReportRequest(start_date=start_date, end_date=end_date, currency=currency)
    report = FinancialReport.model_validate(_do("financial_report", call_of(books, caller, ""), wanted))
    return etag_json(request, report, tag_of=report.model_dump(exclude={"generated_at"}))


Columns = Literal["day", "month", "quarter", "year", "channel", "country"]
Comparison = Literal["previous", "year", "previous_constant", "year_constant"]


def _asked(
    name: Key,
    start_date: Annotated[Day | Instant | None, Query(description="Default: 29 days before the end.")] = None,
    end_date: Annotated[Day | Instant | None, Query(description="Default: today in the brand's zone.")] = None,
    currency: Annotated[Currency | None, Query(description="Default: the brand's base currency.")] = None,
    by: Annotated[
        Columns | None, Query(description="Columns; each report has a default and offers some of these.")
    ] = None,
    compare: Annotated[Comparison | None, Query(description="Other days to stand beside these.")] = None,
) -> StatementRequest:
    return StatementRequest(
        name=name, start_date=start_date, end_date=end_date, currency=currency, by=by, compare=compare
    )


Asked = Annotated[StatementRequest, Depends(_asked)]


@router.get("/reports/{name}", dependencies=[requires("finance:read")], response_model=Statement)
def statement(wanted: Asked, books: Books, caller: Caller, request: Request) -> Response:
    """A report by its name, such as profit_and_loss, as the store has it now. A 404 names the reports that there are."""
    report = Statement.model_validate(_do("statement", call_of(books, caller, ""), wanted))
    return etag_json(request, report, tag_of=report.model_dump(exclude={"generated_at"}))


@router.get("/reports/{name}/explain", dependencies=[requires("finance:read")], response_model=Explanation)
def explain_statement(
    wanted: Asked,
    books: Books,
    caller: Caller,
    request: Request,
    cell: Annotated[Line, Query(description="ROW:COLUMN, by their keys, such as 4000:2026-03.")],
) -> Response:
    """What a cell is made of: journal entries, and the order lines behind them."""
    question = ExplanationRequest(**wanted.model_dump(), cell=cell)
    found = _do("explain_statement", call_of(books, caller, ""), question)
    return etag_json(request, Explanation.model_validate(found))


@router.get("/status", dependencies=[requires("status:read")])
def status(books: Books) -> FinanceStatus:
    """Counts of stock, transactions and alerts."""
    return FinanceStatus(available=AGENT.unavailable is None, status=FinanceState.model_validate(AGENT.status(books)))


def _do(method: str, call: Call, wanted: Any) -> Any:
    # The parameters have been checked with the request; `Agent.call` would check them once more.
    with _refusals():
        return AGENT.method(method).run(call, wanted)


@contextmanager
def _refusals() -> Iterator[None]:
    """The agent's refusals as problems."""
    try:
        yield
    except InvalidFields as error:
        errors = [{"pointer": redact(place), "message": redact(message)} for place, message in error.errors[:100]]
        places = ", ".join(dict.fromkeys(fault["pointer"] for fault in errors[:5]))
        raise Problem(422, "Invalid request", f"these are not valid: {places}", errors) from error
    except UnknownItem as error:
        raise Problem(404, "Unknown item", redact(str(error))) from error
    except Conflict as error:
        raise Problem(409, "Conflict", redact(str(error))) from error
    except MissingAsset as error:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(503, "Not materialized yet", str(error), headers=headers) from error
