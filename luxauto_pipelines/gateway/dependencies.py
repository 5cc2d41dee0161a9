"""What routes ask for: the store, the caller, the permission to go on, and a share of the day's budget.

Belongs here: everything that is found out about a request before its route runs. Does not belong here: what tokens look like
(`tokens`), what roles may do (`authorization`), and any route.

    @router.post("/things", dependencies=[requires("thing:write")])
    def make(thing: Thing, books: Books, caller: Caller) -> Made: ...
"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool

from luxauto_pipelines.gateway.authorization import PERMISSIONS, permissions_of
from luxauto_pipelines.gateway.configuration import GatewaySettings
from luxauto_pipelines.gateway.limits import Limiter
from luxauto_pipelines.gateway.problems import Problem
from luxauto_pipelines.gateway.tokens import InvalidToken, TokenAuthority
from resources.card_numbers import redact
from resources.store import spending
from resources.store.audit import record
from resources.store.brand_store import BrandStore
from resources.store.tokens import revoked_ids

if TYPE_CHECKING:
    from sqlalchemy import Connection

ANONYMOUS = "development"
REVOCATION_SECONDS = 2.0
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_DENIALS_PER_MINUTE = 20
_PRINCIPAL = "luxauto.principal"
_MICROS = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and from where."""

    subject: str
    roles: tuple[str, ...]
    token_id: str | None
    request_id: str
    address: str

    @property
    def permissions(self) -> frozenset[str]:
        return permissions_of(self.roles)

    def may(self, *permissions: str) -> bool:
        return self.permissions.issuperset(permissions)

    def owns(self, owner: str) -> bool:
        """Whether a thing of this owner is theirs to see and change. Everything is an admin's."""
        return self.subject == owner or "admin" in self.roles

    def record(
        self,
        connection: "Connection",
        brand: int,
        action: str,
        subject: str,
        details: dict[str, Any],
        outcome: str = "success",
    ) -> None:
        """Write into the audit log that this caller did something, in the transaction of the deed."""
        record(
            connection,
            brand,
            action,
            subject,
            details,
            actor=self.subject,
            outcome=outcome,
            request_id=self.request_id,
            address=self.address,
        )


@dataclass
class GatewayState:
    """What one process of the gateway holds on to."""

    settings: GatewaySettings
    books: BrandStore
    authority: TokenAuthority
    limiter: Limiter
    revoked: frozenset[str] = frozenset()
    revoked_at: float = field(default=float("-inf"))

    async def revoked_now(self) -> frozenset[str]:
        """Ids of revoked tokens, at most two seconds old. Raises StoreError and the like where the store is away."""
        if time.monotonic() - self.revoked_at > REVOCATION_SECONDS:
            asked_at = time.monotonic()
            self.revoked = await run_in_threadpool(self._read_revoked)
            self.revoked_at = asked_at
        return self.revoked

    def forget_revoked(self) -> None:
        """Read the list anew before the next request."""
        self.revoked_at = float("-inf")

    def _read_revoked(self) -> frozenset[str]:
        with self.books.store.engine.connect() as connection, connection.begin():
            return revoked_ids(connection, datetime.now(UTC))


def state_of(request: Request) -> GatewayState:
    return request.app.state.gateway


async def books_of(request: Request) -> BrandStore:
    """The process's one BrandStore."""
    return request.app.state.gateway.books


async def authenticate(request: Request) -> Principal:
    """Who sent the request; counted against their rate limit once. Raises Problem 401 or 429."""
    known = request.scope.get(_PRINCIPAL)
    if known is not None:
        return known
    state = state_of(request)
    address = request.client.host if request.client else "unknown"
    request_id = request.scope.get("luxauto.request_id", "")
    authorization = request.headers.get("authorization")
    if authorization is None and not state.settings.is_production:
        principal = Principal(ANONYMOUS, ("admin",), None, request_id, address)
        counted = f"address:{address}"
    else:
        try:
            claims = state.authority.verify(_bearer(authorization), await state.revoked_now())
        except InvalidToken as error:
            await _count(state, request, f"address:{address}")
            await _record_denial(request, Principal("anonymous", (), None, request_id, address), "unauthenticated")
            challenge = "Bearer" if authorization is None else 'Bearer error="invalid_token"'
            raise Problem(401, "Unauthorized", str(error), headers={"WWW-Authenticate": challenge}) from error
        principal = Principal(claims.subject, claims.roles, claims.token_id, request_id, address)
        counted = f"subject:{claims.subject}"
    await _count(state, request, counted)
    request.scope[_PRINCIPAL] = principal
    return principal


async def authorise(request: Request, permissions: frozenset[str]) -> Principal:
    """The caller, if their roles allow it. Raises Problem 401, 403 or 429."""
    principal = await authenticate(request)
    if not permissions <= principal.permissions:
        await _record_denial(request, principal, "forbidden")
        needed = ", ".join(sorted(permissions))
        raise Problem(403, "Forbidden", f"this needs the permission {needed}, which your roles do not give")
    return principal


async def limit_by_address(request: Request) -> None:
    """For routes without a caller: count against the address. Raises Problem 429."""
    address = request.client.host if request.client else "unknown"
    await _count(state_of(request), request, f"address:{address}")


class Gate(SecurityBase):
    """The bearer scheme as OpenAPI shows it, with the permissions as its scopes, and the check itself."""

    scheme_name = "bearer"
    model = BearerModel(
        bearerFormat="JWT", description="Off only in development, where a token that is sent still counts."
    )

    async def __call__(self, request: Request, scopes: SecurityScopes) -> Principal:
        return await authorise(request, frozenset(scopes.scopes))


gate = Gate()


def requires(*permissions: str) -> Any:
    """For `dependencies=[requires("finance:write")]`, or as `Annotated[Principal, requires(…)]`."""
    unknown = set(permissions) - PERMISSIONS
    if unknown or not permissions:
        raise ValueError(f"no role gives {sorted(unknown)}; see gateway/authorization.py")
    return Security(gate, scopes=list(permissions))


@dataclass
class Reservation:
    """What has been set aside for one effect. `settle` with what it really cost; left alone, the estimate stands."""

    estimate_usd: Decimal
    actual_usd: Decimal | None = None

    def settle(self, actual_usd: Decimal) -> None:
        self.actual_usd = actual_usd


@dataclass(frozen=True)
class Budget:
    """A caller's share of the day: nobody may spend more than the ceiling, however many requests run at once."""

    books: BrandStore
    principal: Principal
    ceiling_usd: Decimal

    @contextmanager
    def reserve(self, estimate_usd: Decimal) -> Iterator[Reservation]:
        """Set the estimate aside while the block runs; an exception gives it back. Raises Problem 429 at the ceiling."""
        now = datetime.now(UTC)
        micros = _micros(estimate_usd)
        with self.books.write() as (connection, brand):
            granted = spending.reserve(
                connection, brand, self.principal.subject, now.date(), micros, _micros(self.ceiling_usd)
            )
        if not granted:
            midnight = 86_400 - (now.hour * 3600 + now.minute * 60 + now.second)
            detail = f"this would pass the ceiling of {self.ceiling_usd} USD a day (UTC)"
            raise Problem(429, "Cost ceiling reached", detail, headers={"Retry-After": str(midnight)})
        reservation = Reservation(estimate_usd)
        try:
            yield reservation
        except BaseException:
            self._settle(now, micros, 0)
            raise
        if reservation.actual_usd is not None:
            self._settle(now, micros, _micros(reservation.actual_usd))

    def _settle(self, at: datetime, reserved: int, actual: int) -> None:
        with self.books.write() as (connection, brand):
            spending.settle(connection, brand, self.principal.subject, at.date(), reserved, actual)


def _micros(usd: Decimal) -> int:
    return int((usd * _MICROS).to_integral_value(ROUND_UP))


Books = Annotated[BrandStore, Depends(books_of)]
Caller = Annotated[Principal, Depends(authenticate)]


async def budget_of(request: Request, books: Books, caller: Caller) -> Budget:
    return Budget(books, caller, state_of(request).settings.cost_ceiling_usd)


Spend = Annotated[Budget, Depends(budget_of)]


def spends(estimate_usd: Decimal) -> Any:
    """For `Annotated[Reservation, spends(Decimal("0.04"))]`: the estimate is set aside while the route runs."""

    def reserve(budget: Spend) -> Iterator[Reservation]:
        with budget.reserve(estimate_usd) as reservation:
            yield reservation

    return Depends(reserve, scope="function")


async def effect_key_of(request: Request) -> str:
    """The idempotency key for what the request does: the same for every repetition under one Idempotency-Key."""
    return request.scope.get("luxauto.effect_key") or f"request:{uuid.uuid4().hex}"


EffectKey = Annotated[str, Depends(effect_key_of)]


def _bearer(authorization: str | None) -> str:
    if authorization is None:
        raise InvalidToken("a bearer token is needed")
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken("the Authorization header must be `Bearer` and a token")
    return token.strip()


async def _count(state: GatewayState, request: Request, counted: str) -> None:
    take = state.limiter.take
    window = await run_in_threadpool(take, counted) if state.limiter.waits else take(counted)
    if window is not None:
        request.scope["luxauto.rate_window"] = window


async def _record_denial(request: Request, principal: Principal, outcome: str) -> None:
    """Denials of writes are evidence; a flood of them must not fill the log."""
    if request.method in SAFE_METHODS:
        return
    state = state_of(request)
    if not state.limiter.allows(f"denial:{principal.address}", _DENIALS_PER_MINUTE, 60):
        return

    def write() -> None:
        with state.books.write() as (connection, brand):
            principal.record(
                connection, brand, "access.denied", redact(request.url.path)[:500], {"method": request.method}, outcome
            )

    await run_in_threadpool(write)
