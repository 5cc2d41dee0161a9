"""The chart of accounts of a fashion house, as `chart.yaml` lists it and a brand's own file changes it.

Belongs here: accounts, their sub-accounts, and which one a channel's payments go through. Does not belong here: which account
an event touches (`rules`). Debit is positive, credit negative.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, cast, get_args

import polars as pl
import yaml

AccountType = Literal["asset", "liability", "equity", "revenue", "expense"]
CHART_FILE = "chart.yaml"
_HERE = Path(__file__).parent
_SETTINGS = {"accounts", "on_account", "processors"}
_UNFIT = re.compile(r"[^\w-]+")


class InvalidChart(ValueError):
    """A chart of accounts that cannot be used; the message names the entry and the remedy."""


@dataclass(frozen=True)
class Account:
    """One line of the chart. `per` names what it is split by; `role` is the name that rules call it by."""

    code: str
    name: str
    type: AccountType
    role: str = ""
    per: str = ""


@dataclass(frozen=True)
class Chart:
    """The accounts by code, and who pays through what."""

    accounts: Mapping[str, Account]
    on_account: frozenset[str] = frozenset()
    processors: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_role(self) -> dict[str, Account]:
        return {account.role: account for account in self.accounts.values() if account.role}

    def of_role(self, role: str) -> Account:
        """Raises InvalidChart for a role that no account has."""
        try:
            return self._by_role[role]
        except KeyError:
            raise InvalidChart(f"no account of the chart has the role {role!r}") from None

    def paid_through(self, channel: str) -> str:
        """The account that an order of this channel debits: its receivables, or the clearing account of its processor."""
        if channel in self.on_account:
            return sub_account(self.of_role("receivables").code, channel)
        return sub_account(self.of_role("clearing").code, self.processors.get(channel, channel))


def sub_account(head: str, part: str | None) -> str:
    """Code of the sub-account of `head` for `part`, such as 4000.shopify; the head itself where there is no part."""
    cleaned = _UNFIT.sub("-", part.strip()).strip("-") if part else ""
    return f"{head}.{cleaned}" if cleaned else head


def head_of(code: str) -> str:
    """4000 of 4000.shopify."""
    return code.partition(".")[0]


def parse_chart(text: str, source: str = CHART_FILE) -> Chart:
    """The default chart, changed by a brand's own file. Raises InvalidChart."""
    try:
        given = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InvalidChart(f"{source} is not valid YAML: {error}") from error
    if not isinstance(given, dict) or set(given) - _SETTINGS:
        raise InvalidChart(f"{source}: only {', '.join(sorted(_SETTINGS))} can be set")
    chart = default_chart()
    accounts = dict(chart.accounts)
    for entry in given.get("accounts") or []:
        account = _account(entry, source, known=accounts)
        accounts[account.code] = account
    return Chart(
        accounts,
        frozenset(map(str, given.get("on_account", chart.on_account) or ())),
        {**chart.processors, **{str(k): str(v) for k, v in (given.get("processors") or {}).items()}},
    )


@cache
def default_chart() -> Chart:
    """The chart that a brand has without a file of its own."""
    given = yaml.safe_load((_HERE / CHART_FILE).read_text(encoding="utf-8"))
    accounts = [_account(entry, CHART_FILE, known={}) for entry in given["accounts"]]
    return Chart({a.code: a for a in accounts}, frozenset(given["on_account"]), given["processors"])


def chart_frame(chart: Chart | None = None) -> pl.DataFrame:
    """The chart as a frame: code, name, type."""
    rows = [(a.code, a.name, a.type) for a in (chart or default_chart()).accounts.values()]
    return pl.DataFrame(rows, schema=dict.fromkeys(("code", "name", "type"), pl.String), orient="row")


def _account(entry: Any, source: str, known: Mapping[str, Account]) -> Account:
    if not isinstance(entry, dict) or not entry.get("code"):
        raise InvalidChart(f"{source}: {entry!r} is no account; it needs a code")
    code = str(entry["code"])
    if unknown := sorted(set(entry) - {"code", "name", "type", "role", "per"}):
        raise InvalidChart(f"{source}: account {code} has no setting {unknown[0]!r}")
    if "." in code:
        raise InvalidChart(f"{source}: account {code}: a point stands for a sub-account, which is made by itself")
    if code in known:
        return _renamed(known[code], entry, source)
    if entry.get("type") not in get_args(AccountType) or not entry.get("name"):
        raise InvalidChart(f"{source}: account {code} needs a name and a type of {', '.join(get_args(AccountType))}")
    kind = cast(AccountType, entry["type"])
    return Account(code, str(entry["name"]), kind, str(entry.get("role", "")), str(entry.get("per", "")))


def _renamed(account: Account, entry: dict[str, Any], source: str) -> Account:
    if entry.get("type", account.type) != account.type or "role" in entry:
        raise InvalidChart(f"{source}: account {account.code} is {account.type} and stays so; only its name can change")
    return replace(account, name=str(entry.get("name", account.name)))


def _default(role: str) -> Account:
    return default_chart().of_role(role)


CLEARING = _default("clearing")
INVENTORY = _default("inventory")
GIFT_CARDS = _default("gift_cards")
SALES_TAX = _default("sales_tax")
SALES = _default("sales")
RETURNS = _default("returns")
DISCOUNTS = _default("discounts")
SHIPPING = _default("shipping")
OTHER_SALES = _default("other_sales")
ADJUSTMENTS = _default("adjustments")
COST_OF_GOODS = _default("cost_of_goods")
FEES = _default("fees")
SAMPLES = _default("samples")
BAD_DEBT = _default("bad_debt")
CHART: tuple[Account, ...] = tuple(default_chart().accounts.values())
