"""What every connector can do, and the words in which it is asked and answers.

A connector never decides: it lists what the channel shows, writes what it is told, and says what became of each item.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from resources.card_numbers import redact


def _clean(of: Any, *names: str) -> None:
    """Texts that clients and merchants type may hold card numbers; whatever a connector makes of them holds none."""
    for name in names:
        text = getattr(of, name)
        if text is not None and (cleaned := redact(text)) != text:
            object.__setattr__(of, name, cleaned)


class ChannelError(Exception):
    """A channel could not be worked with; the message names it, what was wrong and what to do.

    Vendors repeat in their faults what somebody typed: card data is taken out here, before the message is kept anywhere.
    """

    def __init__(self, message: str) -> None:
        super().__init__(redact(message))


class ChannelUnavailable(ChannelError):
    """The channel does not answer, or its circuit breaker is open. Nothing was written."""


class CredentialsRefused(ChannelError):
    """The channel does not know these credentials, or they lack a permission. Nothing was written."""


class QuotaExhausted(ChannelError):
    """The vendor's quota is used up until `until`. Nothing was written."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class RequestRefused(ChannelError):
    """The vendor says that the request is wrong (4xx). Nothing was written."""

    def __init__(self, message: str, status: int, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class OutcomeUnknown(ChannelError):
    """A write was sent, and no answer that can be trusted came back: it may have happened, or may yet happen."""


@dataclass(frozen=True)
class ListedItem:
    """One thing on sale, as the channel shows it: a product without variations, or one variation."""

    key: str
    """The channel's own identity of what is written to."""
    sku: str | None
    quantity: int | None
    """Units on sale; None where the channel keeps no count of it."""
    price: Decimal | None = None
    currency: str | None = None
    title: str | None = None
    unwritable: str | None = None
    """Why a quantity must not be written: stock not managed, fulfilled by the channel, a bundle's parent."""
    handles: Mapping[str, str] = field(default_factory=dict)
    """What else a write needs: the parent's id, the location, the offers."""
    updated_at: datetime | None = None

    def __post_init__(self) -> None:
        _clean(self, "sku", "title", "unwritable")


@dataclass(frozen=True)
class StockWrite:
    """Set the units on sale to `quantity` (0 or more). Absolute: no channel is ever told a difference."""

    key: str
    sku: str
    quantity: int
    expected: int | None
    """What was last read there. Compared by the vendor where it can."""
    handles: Mapping[str, str]
    idempotency_key: str

    def __post_init__(self) -> None:
        if isinstance(self.quantity, bool) or not isinstance(self.quantity, int) or self.quantity < 0:
            raise ValueError(f"{self.sku}: a quantity is a whole number of 0 or more, not {self.quantity!r}")


@dataclass(frozen=True)
class PriceWrite:
    """Set the price. Finite and positive."""

    key: str
    sku: str
    price: Decimal
    currency: str
    handles: Mapping[str, str]
    idempotency_key: str

    def __post_init__(self) -> None:
        if not isinstance(self.price, Decimal) or not self.price.is_finite() or self.price <= 0:
            raise ValueError(f"{self.sku}: a price is a positive decimal, not {self.price!r}")


class Outcome(StrEnum):
    """What became of one item of a write."""

    confirmed = "confirmed"
    """The channel's answer shows the wanted value."""
    accepted = "accepted"
    """Queued by the channel: only a later read tells."""
    stale = "stale"
    """Refused, since the channel no longer shows what was expected."""
    refused = "refused"
    """The channel says no to this item; another try of the same will not help."""
    ignored = "ignored"
    """The channel said yes and shows another value."""
    unknown = "unknown"
    """Sent, not answered: to be read back before anything is sent again."""


@dataclass(frozen=True)
class WriteResult:
    """What became of one item."""

    key: str
    outcome: Outcome
    shown: int | Decimal | None = None
    """The value that the channel shows now, where its answer tells."""
    detail: str | None = None

    def __post_init__(self) -> None:
        _clean(self, "detail")


@dataclass(frozen=True)
class OrderLine:
    """One line of an order as it stands now."""

    line_id: str
    sku: str | None
    key: str | None
    """The listed item's key, where the order tells it."""
    title: str
    taken: int
    """Units that this line holds out of the channel's stock now: ordered, less cancelled, less put back."""
    kept: int
    """Units that the client has bought now: ordered, less cancelled, less refunded; 0 until the order is a sale."""
    unit_price: Decimal
    """Per unit, before order-wide discounts, without tax where the channel says so."""

    def __post_init__(self) -> None:
        _clean(self, "sku", "title")


@dataclass(frozen=True)
class ChannelOrder:
    """An order as it stands now. Amounts are of the whole order, in `currency`, never negative."""

    order_id: str
    number: str
    state: str
    placed_at: datetime
    updated_at: datetime
    currency: str
    lines: tuple[OrderLine, ...]
    shipping: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    discount: Decimal = Decimal(0)
    refunded_besides: Decimal = Decimal(0)
    """Money given back that is no unit's price: goodwill, shipping, tax."""
    country: str | None = None

    def __post_init__(self) -> None:
        _clean(self, "number", "state", "country")


@dataclass(frozen=True)
class Finding:
    """One thing that a check of a connection looked at."""

    name: str
    ok: bool
    message: str
    remedy: str | None = None


class Connector(Protocol):
    """One channel of one vendor. Every method may raise ChannelError."""

    kind: str
    settle_seconds: float
    """How long a write that was sent may still take effect after its answer was lost, or after it was queued."""

    def check(self) -> list[Finding]:
        """Credentials and permissions, by calls that only read. Raises nothing that a finding can say."""
        ...

    def list_items(self) -> Iterator[list[ListedItem]]:
        """Everything on sale, variations included, page by page."""
        ...

    def read_items(self, items: Sequence[ListedItem]) -> list[ListedItem]:
        """Just these, as they are now; only `key`, `sku` and `handles` are looked at. One that is gone is left out."""
        ...

    def write_stock(self, writes: Sequence[StockWrite]) -> Iterator[list[WriteResult]]:
        """Write, in as few calls as the vendor allows; yields after each call what became of its items.

        An item that spoils its call is found and left out (bisected). What was not yielded when an error is raised was not
        sent.
        """
        ...

    def write_prices(self, writes: Sequence[PriceWrite]) -> Iterator[list[WriteResult]]:
        """Like `write_stock`."""
        ...

    def orders_since(self, since: datetime) -> Iterator[list[ChannelOrder]]:
        """Orders placed or changed at or after `since`, oldest change first, page by page."""
        ...

    def read_orders(self, order_ids: Sequence[str]) -> list[ChannelOrder]:
        """Just these orders, as they are now. One that is unknown is left out."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Connection:
    """How a channel is reached. `options` and the names of `secrets` differ by kind; see the kind's module."""

    name: str
    kind: str
    url: str
    options: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Touched:
    """What a webhook or notification is about. Its body is never taken for the truth: these are read again."""

    topic: str
    keys: tuple[str, ...] = ()
    """Keys of listed items."""
    skus: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()
    quantities: Mapping[str, int] = field(default_factory=dict)
    """What the message says is on sale, by key: to recognise the echo of our own write."""


Headers = Mapping[str, str]


@dataclass(frozen=True)
class Sender:
    """How a vendor signs and numbers its messages. Header names are in lower case.

    `verify(secret, headers, body)`: whether the vendor sent it. `message_id(headers, body)`: the same for a message that is
    delivered again. `touched(headers, body)`: what it is about, None for one that is about nothing (a ping).
    """

    verify: Callable[[bytes, Headers, bytes], bool]
    message_id: Callable[[Headers, bytes], str]
    touched: Callable[[Headers, bytes], Touched | None]
    kept_headers: tuple[str, ...]
