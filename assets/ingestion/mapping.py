"""How one kind of file is read: which column is what, which codes mean what.

Belongs here: the mapping language of `--map` and of the presets, which are mappings that we ship.
Does not belong here: applying it to rows (`lines`).
"""

from functools import cache
from importlib import resources
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import polars as pl
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from assets.finance.money import exponent

LineKind = Literal[
    "goods",
    "gift",
    "stock_adjustment",
    "shipping",
    "discount",
    "tax",
    "gift_card",
    "refund",
    "fee",
    "adjustment",
    "bad_debt",
    "sample",
    "other",
    "test",
    "void",
]
REQUIRED = ("order_number", "sku", "quantity", "unit_price", "occurred_at")


class MappingError(Exception):
    """A mapping that cannot be used; the message names the field and the remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Name = str | tuple[str, ...]


class Columns(_Part):
    """Which column of the file holds what: of several names the first that the file has. Five are needed, the others help."""

    order_number: _Name
    sku: _Name
    quantity: _Name
    unit_price: _Name
    occurred_at: _Name
    description: _Name | None = None
    line_type: _Name | None = Field(None, description="Column whose values are line kinds such as goods or shipping.")
    customer: _Name | None = None
    email: _Name | None = None
    name: _Name | None = None
    phone: _Name | None = None
    country: _Name | None = None
    currency: _Name | None = None
    channel: _Name | None = None
    location: _Name | None = None
    status: _Name | None = None


def _currency(code: str) -> str:
    exponent(code)
    return code


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Paris") from error
    return name


def _pattern(text: str) -> str:
    try:
        pl.Series([""]).str.contains(text)
    except pl.exceptions.ComputeError as error:
        raise ValueError(f"{text!r} is not a regular expression") from error
    return text


_Pattern = Annotated[str, AfterValidator(_pattern)]


class KindRule(_Part):
    """Lines whose code is one of `codes` or matches `pattern` are of this kind. The first rule that fits wins."""

    kind: LineKind
    codes: tuple[str, ...] = ()
    pattern: _Pattern | None = None

    def matches(self, code: pl.Expr) -> pl.Expr:
        listed = code.is_in(list(self.codes))
        return listed | code.str.contains(self.pattern) if self.pattern else listed


class OrderMapping(_Part):
    """A file of order lines. Documented with an example in docs/ingest.md."""

    columns: Columns
    currency: Annotated[str, AfterValidator(_currency)] | None = Field(
        None, description="Currency of files that have no column for it."
    )
    timezone: Annotated[str, AfterValidator(_zone)] | None = Field(
        None, description="Zone of times without an offset; default: the brand's."
    )
    channel: str = "online_store"
    location: str = "main"
    datetime_formats: tuple[str, ...] = ()
    decimal_separator: Literal[".", ","] = "."
    goods_pattern: _Pattern | None = Field(None, description="Codes that are goods; default: all that no rule names.")
    kinds: tuple[KindRule, ...] = ()
    default_kind: LineKind = Field("other", description="Kind of codes that are not goods and that no rule names.")
    zero_price_without_customer: Literal["gift", "stock_adjustment"] = "gift"
    uppercase_sku: bool = True
    void_statuses: tuple[str, ...] = Field((), description="Orders in these states move neither stock nor money.")
    reshape: Literal["shopify", "woocommerce"] | None = Field(
        None, description="Turns order-level shipping, tax, discount and refund columns into lines first."
    )


def parse_mapping(text: str, name: str) -> OrderMapping:
    """Read a mapping from YAML. Raises MappingError naming the field that is wrong."""
    try:
        return OrderMapping.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise MappingError(f"{name} is not valid YAML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise MappingError(f"{name}: {problems}. See docs/ingest.md for the fields of a map.") from error


@cache
def preset_names() -> tuple[str, ...]:
    """The mappings that we ship."""
    folder = resources.files("assets.ingestion") / "presets"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_preset(name: str) -> OrderMapping:
    """A shipped mapping. Raises MappingError for an unknown name."""
    if name not in preset_names():
        raise MappingError(f"there is no preset {name!r}. Use one of {', '.join(preset_names())}, or --map FILE.")
    text = (resources.files("assets.ingestion") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    return parse_mapping(text, f"preset {name}")
