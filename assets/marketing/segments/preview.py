"""Who is in a segment: counted and shown before anybody is written to, and frozen when a campaign starts.

Belongs here: running compiled rules on features. Does not belong here: keeping segments (the store's part).
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from assets.marketing.segments.catalogue import FEATURES
from assets.marketing.segments.compiler import VIEW, compile_rule
from assets.marketing.segments.errors import SegmentError
from assets.marketing.segments.features import Features, unfilled
from assets.marketing.segments.rules import Rule, canonical, comparisons, version


@dataclass(frozen=True)
class Preview:
    """`share` is of all customers, None without any; `examples` hold the customer and the features that the rule names."""

    version: str
    as_of: date
    count: int
    customers: int
    share: float | None
    examples: list[dict[str, Any]]
    sql: str
    parameters: tuple[Any, ...]
    notes: list[str]


@dataclass(frozen=True)
class Frozen:
    """A segment as it was at a launch: whoever joins or leaves later changes nothing. `members` are sorted by name."""

    version: str
    as_of: date
    canonical: str
    sql_sha256: str
    members: tuple[str, ...]
    members_sha256: str


def preview(rule: Rule, features: Features, examples: int = 5) -> Preview:
    """Count the customers that a rule holds for and show the first few in the order of a hash of name and version.

    The hash shows the same customers every time, and others than the first by name.
    """
    members = members_of(rule, features.frame)
    total, count = features.frame.height, len(members)
    rule_version = version(rule)
    first = sorted(members, key=lambda name: hashlib.sha256(f"{rule_version}{name}".encode()).digest())[:examples]
    names = list(dict.fromkeys(one.feature for one in comparisons(rule)))
    rows = features.frame.filter(pl.col("customer").is_in(first)).select("customer", *names)
    compiled = compile_rule(rule)
    return Preview(
        version=rule_version,
        as_of=features.as_of,
        count=count,
        customers=total,
        share=count / total if total else None,
        examples=rows.sort("customer").to_dicts(),
        sql=compiled.members,
        parameters=compiled.parameters,
        notes=_notes(names, features),
    )


def members_of(rule: Rule, frame: pl.DataFrame) -> list[str]:
    """Names of the customers that the rule holds for, sorted; `frame` has the columns of features.SCHEMA."""
    import duckdb

    compiled = compile_rule(rule)
    with duckdb.connect() as connection:
        connection.register(VIEW, frame)
        return [name for (name,) in connection.execute(compiled.members, list(compiled.parameters)).fetchall()]


def freeze(rule: Rule, features: Features) -> Frozen:
    """The members of this moment, with what they followed from."""
    members = tuple(members_of(rule, features.frame))
    return Frozen(
        version=version(rule),
        as_of=features.as_of,
        canonical=canonical(rule),
        sql_sha256=_sha256(compile_rule(rule).members),
        members=members,
        members_sha256=_sha256(json.dumps(members, ensure_ascii=False)),
    )


def verify(frozen: Frozen, rule: Rule) -> None:
    """Raise SegmentError where the members were changed since, or the rule is another one now."""
    if _sha256(json.dumps(frozen.members, ensure_ascii=False)) != frozen.members_sha256:
        raise SegmentError("members: they are not those that were frozen at launch. Restore them, or launch again.")
    if version(rule) != frozen.version:
        raise SegmentError(
            f"rule: its version is {version(rule)}, and {frozen.version} was launched. Keep both; launch the new one anew."
        )


def _notes(names: list[str], features: Features) -> list[str]:
    empty = [name for name in unfilled(features) if name in names]
    notes = []
    if empty:
        notes.append(
            f"nothing is known of {', '.join(empty)} of any customer, so comparisons of it are false; `known: false` alone "
            "is true"
        )
    groups = {FEATURES[name].group for name in names}
    if features.unpredicted and "predicted_value" in groups:
        notes.append(features.unpredicted)
    if features.unconverted:
        notes.append(
            f"{features.unconverted:,} order lines have no rate into the base currency; their amounts are left out"
        )
    return notes


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
