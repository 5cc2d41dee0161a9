"""Recording money events, and taking one back.

Belongs here: what is the same event, what contradicts the books, and the answer. Does not belong here: which lines an amount
consists of (`assets/finance/invoice`) and the rows (`resources/store/transactions`).

A sale or a refund becomes an order with lines, so that stock, ledger and reports see it like any other. Every other type
(purchase, adjustment, transfer, expense, revenue) is a transaction, and an entry of the journal in the same moment.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from assets.finance.booking import book, load_chart
from assets.finance.invoice import Amounts, DoesNotAddUp, InvoiceLine, Item, invoice_lines
from assets.finance.money import to_decimal, to_minor
from assets.finance.rules import Event as BusinessEvent
from assets.finance.rules import posting_rules
from assets.ingestion.lines import today_in
from luxauto_pipelines.agents.finance_inventory.errors import Conflict, InvalidFields
from luxauto_pipelines.agents.finance_inventory.parameters import (
    TransactionRecord,
    Undoing,
    implausible,
    misfit,
)
from luxauto_pipelines.agents.registry import Call
from resources.card_data import find_card_data
from resources.settings import open_books
from resources.store.audit import record as record_audit
from resources.store.brand_store import BrandStore
from resources.store.effects import find_effect, keep_effect
from resources.store.ledger import find_entry, reverse_entry
from resources.store.transactions import (
    Event,
    KnownOrder,
    Recorded,
    find_by_key,
    find_order_of,
    find_orders,
    find_reversal,
    find_transaction,
    location_of_channel,
    skus_of_items,
    write_order_event,
    write_transaction,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

DEFAULT_CHANNEL = "online_store"
DEFAULT_LOCATION = "main"
RECORDED = "recorded"
OF_ORDERS = ("sale", "refund")
_MONEY_OUT = ("purchase", "expense")
_AMOUNT_FIELDS = ("amount", "subtotal", "tax_amount", "shipping_amount", "discount_amount")
_CHOSEN = ("type", "currency", "channel", "occurred_at")
_FIELD_OF = {"subtotal": "#/subtotal", "amount": "#/amount"}


def record_transaction(call: Call, wanted: TransactionRecord) -> dict[str, Any]:
    """Record a money event once: by `order_id` and `type`, else by the call's key.

    The same event again gives the first answer. Raises InvalidFields, and Conflict where the order already has another event
    of that type.
    """
    _refuse_what_cannot_be(wanted)
    if wanted.type in OF_ORDERS:
        return _record_on_order(call, wanted)
    return _record_alone(call, wanted)


def reverse_transaction(call: Call, parameters: Undoing) -> dict[str, Any]:
    """Take back what the undone call recorded by an equal and opposite transaction, once. What it did not record stays."""
    if call.undoes is None:
        raise InvalidFields(("#", "a reversal needs the call that it undoes"))
    with call.books.write() as (connection, brand):
        original = _of_call(connection, brand, call.undoes.key)
        if original is None:
            return {"success": True, "reversed": False, "reason": "nothing was recorded by that call"}
        earlier = find_reversal(connection, brand, original.transaction)
        if earlier is None:
            number = _write_reversal(connection, brand, call, original)
            details = {"reversal_of": public_id(original.transaction)}
            _audit(connection, brand, call, "transaction.reverse", public_id(number), details)
        else:
            number = earlier.transaction
    ids = {"transaction_id": public_id(number), "reversal_of": public_id(original.transaction)}
    return {"success": True, "reversed": True, **ids}


def public_id(transaction: int) -> str:
    """A transaction's id as clients see it."""
    return f"txn-{transaction}"


def entry_key(transaction: int) -> str:
    """Key of the journal entry that a transaction without an order has."""
    return f"transaction:{transaction}"


def _record_on_order(call: Call, wanted: TransactionRecord) -> dict[str, Any]:
    books = call.books
    now = datetime.now(UTC)
    when = wanted.occurred_at or now
    with books.write() as (connection, brand):
        by_key = find_by_key(connection, brand, call.key)
        if by_key is not None:
            return _answer(by_key)
        known = _known_order(connection, brand, wanted)
        channel = wanted.channel or (known.channel if known else DEFAULT_CHANNEL)
        lines = _lines(connection, brand, wanted, channel)
        if known and known.recorded:
            return _answer(_same(known.recorded, wanted, lines))
        if known and known.currency != wanted.currency:
            raise InvalidFields(("#/currency", f"the order {wanted.order_id} is in {known.currency}"))
        stocked = any(line.sku for line in lines)
        location = location_of_channel(connection, brand, channel, DEFAULT_LOCATION) if stocked else DEFAULT_LOCATION
        details = _details(wanted, now, lines=lines, location=location)
        day = today_in(books.settings.current.timezone, when)
        event = Event(wanted.type, wanted.currency, when, day, call.key, details)
        number = write_order_event(
            connection,
            brand,
            event,
            lines,
            channel=channel,
            number=wanted.order_id or _number_of(call.key),
            order=known.order if known else None,
            customer=_customer(books, wanted.customer_id),
            location=location,
        )
        _audit_record(connection, brand, call, number, wanted)
    open_books(books.settings, day)
    return _answer_of(number, wanted.type, wanted.amount, wanted.currency, now)


def _record_alone(call: Call, wanted: TransactionRecord) -> dict[str, Any]:
    now = datetime.now(UTC)
    when = wanted.occurred_at or now
    key = f"{wanted.type}:{wanted.order_id}" if wanted.order_id else call.key
    with call.books.write() as (connection, brand):
        earlier = find_by_key(connection, brand, key)
        if earlier is not None:
            return _answer(_same(earlier, wanted, []) if wanted.order_id else earlier)
        minor = to_minor(wanted.amount, wanted.currency)
        day = today_in(call.books.settings.current.timezone, when)
        event = Event(wanted.type, wanted.currency, when, day, key, _details(wanted, now, channel=wanted.channel))
        number = write_transaction(connection, brand, event, -minor if wanted.type in _MONEY_OUT else minor)
        _book(call, connection, brand, number, wanted, day)
        if key != call.key:
            keep_effect(connection, brand, call.key, "record_transaction", {"transaction": number})
        _audit_record(connection, brand, call, number, wanted)
    return _answer_of(number, wanted.type, wanted.amount, wanted.currency, now)


def _book(call: Call, connection: "Connection", brand: int, number: int, wanted: TransactionRecord, day: date) -> None:
    """The transaction in accounts. Its metadata may name what a sub-account is called by: a category, a supplier, a bank."""
    rule = posting_rules().events[wanted.type]
    minor = to_minor(wanted.amount, wanted.currency)
    tax = to_minor(wanted.tax_amount, wanted.currency) if wanted.tax_amount and "tax" in rule.may_have else 0
    told = {name: value for name in rule.names if isinstance(value := wanted.metadata.get(name), str) and value.strip()}
    if wanted.type == "transfer" and told.get("from_bank") == told.get("into_bank"):
        # Between accounts that nobody told apart: the books have it on one and the same.
        return
    event = BusinessEvent(
        type=wanted.type,
        key=entry_key(number),
        day=day,
        currency=wanted.currency,
        amounts={"amount": minor - tax} | ({"tax": tax} if tax else {}),
        dimensions={name: value for name, value in told.items() if name != "into_currency"},
        reference=wanted.order_id,
        channel=wanted.channel,
    )
    settings, current = call.books.settings, call.books.settings.current
    chart = load_chart(settings.home)
    book(connection, brand, current.base_currency, [event], chart=chart, carry_days=current.fx_carry_days)


def _unbook(connection: "Connection", brand: int, original: Recorded, number: int, day: date) -> None:
    """What a transaction booked is taken back. One from before the journal knew such events booked nothing."""
    entry = find_entry(connection, brand, entry_key(original.transaction))
    if entry is not None:
        words = f"Takes back {public_id(original.transaction)}"
        reverse_entry(connection, brand, entry, key=entry_key(number), day=day, description=words)


def _refuse_what_cannot_be(wanted: TransactionRecord) -> None:
    place = find_card_data(_as_sent(wanted))
    if place is not None:
        raise InvalidFields((f"#{place}", "holds card data, which is never taken"))
    errors = [
        (f"#/{name}", problem) for name in _AMOUNT_FIELDS if (problem := misfit(getattr(wanted, name), wanted.currency))
    ]
    if problem := implausible(wanted.occurred_at):
        errors.append(("#/occurred_at", problem))
    if wanted.line_items and wanted.type not in OF_ORDERS:
        errors.append(("#/line_items", f"belong to a sale or a refund, not to type {wanted.type}"))
    if errors:
        raise InvalidFields(*errors)
    if wanted.type not in OF_ORDERS and wanted.subtotal is not None:
        _add_up([], wanted)


def _as_sent(wanted: TransactionRecord) -> dict[str, Any]:
    """What a client may have written freely."""
    sent = {name: value for name, value in wanted.__dict__.items() if value and name not in _CHOSEN}
    if wanted.line_items:
        sent["line_items"] = [item.__dict__ for item in wanted.line_items]
    return sent


def _known_order(connection: "Connection", brand: int, wanted: TransactionRecord) -> KnownOrder | None:
    if wanted.order_id is None:
        return None
    orders = find_orders(connection, brand, wanted.order_id, wanted.type, wanted.channel)
    if len(orders) > 1:
        channels = ", ".join(order.channel for order in orders)
        raise InvalidFields(("#/channel", f"several channels have an order of this id ({channels}): name one"))
    return orders[0] if orders else None


def _lines(connection: "Connection", brand: int, wanted: TransactionRecord, channel: str) -> list[InvoiceLine]:
    ids = [item.item_id for item in wanted.line_items if item.sku is None and item.item_id is not None]
    skus = skus_of_items(connection, brand, channel, dict.fromkeys(ids)) if ids else {}
    named = [(item.sku or skus.get(item.item_id or "", item.item_id), item) for item in wanted.line_items]
    return _add_up([Item(str(sku), item.quantity, item.unit_price) for sku, item in named], wanted)


def _add_up(items: list[Item], wanted: TransactionRecord) -> list[InvoiceLine]:
    amounts = Amounts(wanted.amount, wanted.subtotal, wanted.shipping_amount, wanted.tax_amount, wanted.discount_amount)
    try:
        return invoice_lines(items, amounts, wanted.currency, refund=wanted.type == "refund")
    except DoesNotAddUp as error:
        raise InvalidFields((_FIELD_OF[error.field], str(error))) from error


def _same(earlier: Recorded, wanted: TransactionRecord, lines: Sequence[InvoiceLine]) -> Recorded:
    """The earlier event, if what is wanted is the same. Raises Conflict otherwise."""
    if earlier.details is None:
        total = sum(line.amount_minor for line in lines)
        same = (earlier.amount_minor, earlier.currency) == (total, wanted.currency)
    else:
        same = earlier.details.get("fingerprint") == _fingerprint(wanted)
    if not same:
        said = to_decimal(abs(earlier.amount_minor), earlier.currency)
        raise Conflict(
            f"order {wanted.order_id} already has another {wanted.type}, of {said} {earlier.currency}. "
            "Record a further one under an order_id of its own."
        )
    return earlier


def _fingerprint(wanted: TransactionRecord) -> str:
    """What makes two requests the same event: everything but when it was, where, and what is noted beside it."""
    amounts = [getattr(wanted, name) for name in _AMOUNT_FIELDS]
    compared = [
        wanted.order_id,
        wanted.currency,
        wanted.payment_method,
        *(None if amount is None else to_minor(amount, wanted.currency) for amount in amounts),
        *(
            (item.sku or item.item_id, item.quantity, format(item.unit_price.normalize(), "f"))
            for item in wanted.line_items
        ),
    ]
    return hashlib.sha256(json.dumps(compared).encode()).hexdigest()[:32]


def _details(wanted: TransactionRecord, now: datetime, **more: Any) -> dict[str, Any]:
    details = {
        "amount": str(wanted.amount),
        "fingerprint": _fingerprint(wanted),
        "recorded_at": now.isoformat(),
        "reference": wanted.order_id if wanted.type not in OF_ORDERS else None,
        "payment_method": wanted.payment_method,
        "metadata": wanted.metadata or None,
        **more,
    }
    return {name: value for name, value in details.items() if value is not None}


def _answer(stands: Recorded) -> dict[str, Any]:
    """The first answer again, from the row."""
    details = stands.details or {}
    amount = (
        Decimal(details["amount"]) if "amount" in details else to_decimal(abs(stands.amount_minor), stands.currency)
    )
    at = datetime.fromisoformat(details["recorded_at"]) if "recorded_at" in details else stands.occurred_at
    return _answer_of(stands.transaction, stands.type, amount, stands.currency, at)


def _answer_of(number: int, type: str, amount: Decimal, currency: str, at: datetime) -> dict[str, Any]:
    return {
        "success": True,
        "transaction_id": public_id(number),
        "type": type,
        "amount": float(amount),
        "currency": currency,
        "status": RECORDED,
        "created_at": at.isoformat(),
    }


def _number_of(key: str) -> str:
    """The number of an order that its client gave none: the same for every attempt."""
    return f"T-{hashlib.sha256(key.encode()).hexdigest()[:24]}"


def _customer(books: BrandStore, customer: str | None) -> str | None:
    # An e-mail address is no name for a customer: its keyed hash takes its place, as in an ingest.
    if customer is None or "@" not in customer:
        return customer
    address = customer.lower()
    return books.vault.pseudonyms("customer-address", [address])[address]


def _of_call(connection: "Connection", brand: int, key: str) -> Recorded | None:
    found = find_by_key(connection, brand, key)
    if found is not None:
        return found
    effect = find_effect(connection, brand, key)
    return find_transaction(connection, brand, effect["transaction"]) if effect and "transaction" in effect else None


def _write_reversal(connection: "Connection", brand: int, call: Call, original: Recorded) -> int:
    now = datetime.now(UTC)
    day = today_in(call.books.settings.current.timezone, now)
    opposite = {"sale": "refund", "refund": "sale"}.get(original.type, original.type)
    amount = to_decimal(abs(original.amount_minor), original.currency)
    noted = original.details or {}
    lines = [_negated(InvoiceLine(*values)) for values in noted.get("lines", [])]
    details = {
        "amount": str(amount),
        "recorded_at": now.isoformat(),
        "location": noted.get("location"),
        "lines": lines,
    }
    event = Event(opposite, original.currency, now, day, call.key, details, reversal_of=original.transaction)
    if original.order is None:
        number = write_transaction(connection, brand, event, -original.amount_minor)
        _unbook(connection, brand, original, number, day)
        return number
    channel, number = find_order_of(connection, brand, original.order)
    suffix = f"-reversal-{original.transaction}"
    credit_note = number.encode()[: 128 - len(suffix)].decode(errors="ignore") + suffix
    location = noted.get("location", DEFAULT_LOCATION)
    return write_order_event(connection, brand, event, lines, channel=channel, number=credit_note, location=location)


def _negated(line: InvoiceLine) -> InvoiceLine:
    return line._replace(quantity=-line.quantity, amount_minor=-line.amount_minor)


def _audit_record(connection: "Connection", brand: int, call: Call, number: int, wanted: TransactionRecord) -> None:
    details = {"type": wanted.type, "amount": str(wanted.amount), "currency": wanted.currency, "order": wanted.order_id}
    _audit(connection, brand, call, "transaction.record", public_id(number), details)


def _audit(
    connection: "Connection", brand: int, call: Call, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    known = {"actor": call.principal, "request_id": call.request_id, "address": call.address}
    record_audit(connection, brand, action, subject, dict(details), **known)
