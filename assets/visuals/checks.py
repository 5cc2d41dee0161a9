"""What must hold of pictures: the quality gates, one check each; their signatures; briefs that got what they ask for.

Belongs here: the rules. Does not belong here: how a picture is judged (`quality`) or signed (`provenance`).

A gate that could not be asked, as for want of a reader of text, is not passed: it warns and says what to install.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import polars as pl

from assets.expectations import ONE_TAG, rows_found, sql_check
from assets.visuals.made import checks_of
from assets.visuals.quality import WEIGHTS
from resources.lake import Lake
from resources.store.brand_store import BrandStore

GATES: dict[str, str] = {
    "blank": "No picture is one flat colour.",
    "blur": "Every picture has something sharp in it.",
    "noise": "No picture is noise, as when decoding it failed.",
    "resolution": "Every picture has the pixels that were asked for.",
    "aspect": "Every picture has the shape that was asked for.",
    "palette": "Every picture keeps to the colours of the brand kit (CIEDE2000).",
    "duplicate": "No picture repeats another one, nor its mirror image.",
    "legibility": "The words in every picture can be read.",
    "nudity": "No picture shows nudity, as far as a checker that is installed can tell.",
}
SOON = timedelta(days=30)
assert set(GATES) == set(WEIGHTS)


def _gate(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset="generated_visuals", name=f"gate_{name}", description=GATES[name])
    def check(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
        found = checks_of(lake.read("generated_visuals", partitions_of(context.run.tags)))
        return gate(found.filter(pl.col("check") == name))

    return check


def gate(found: pl.DataFrame) -> dg.AssetCheckResult:
    """The outcome of one gate over rows of `checks_of`.

    A picture that fails and stands for the brand all the same is an error, unless a person approved it; one that waits for
    review is a warning, as is a gate that nobody could ask.
    """
    counts: dict[str, int] = dict(found.group_by("status").len().iter_rows())
    failed = found.filter(pl.col("status") == "failed")
    wrong = failed.filter(pl.col("state") == "accepted")
    asked = found.height - counts.get("skipped", 0)
    skipped_all = found.height > 0 and asked == 0
    result = rows_found(failed.filter(pl.col("state") != "approved"), blocking=bool(wrong.height))
    told: dict[str, Any] = {**result.metadata, "outcomes": dg.MetadataValue.json(counts)}
    if skipped_all:
        told["skipped"] = str(found["message"].first())
    return dg.AssetCheckResult(
        passed=result.passed and not skipped_all,
        severity=dg.AssetCheckSeverity.ERROR if wrong.height else dg.AssetCheckSeverity.WARN,
        description=f"skipped: {found['message'].first()}" if skipped_all else None,
        metadata=told,
    )


def partitions_of(tags: Mapping[str, str]) -> list[str] | None:
    """The brief of the run; None, which means all, where it made several or was started for the check alone."""
    return [tags[ONE_TAG]] if ONE_TAG in tags else None


@dg.asset_check(
    asset="generated_visuals",
    name="every_order_was_filled",
    description="For each size and language of a brief there is a picture, neither refused nor failed.",
)
def every_order_was_filled(context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.AssetCheckResult:
    rows = lake.read("generated_visuals", partitions_of(context.run.tags))
    return rows_found(rows.filter(pl.col("picture").is_null()).select("brief", "width", "height", "state", "why"))


@dg.asset_check(
    asset="generated_visuals",
    name="credentials_hold",
    description="Every picture that stands is there, unchanged, and signed by the brand's key (C2PA).",
)
def credentials_hold(
    context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake], store: dg.ResourceParam[BrandStore]
) -> dg.AssetCheckResult:
    from assets.visuals.hanging import broken_credentials

    rows = lake.read("generated_visuals", partitions_of(context.run.tags))
    return rows_found(broken_credentials(store, rows))


@dg.asset_check(
    asset="generated_visuals",
    name="providers_go_on",
    description="No model that could be asked here ends within 30 days, or has ended.",
)
def providers_go_on(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    import os

    from resources.images.registry import read_registry

    today = datetime.now(UTC).date()
    ending = [
        {"model": model.id, "retires": str(model.retires), "replacement": model.replacement or "none"}
        for model in read_registry(store.settings.home).models
        if model.retires and model.key_variable and os.environ.get(model.key_variable)
        if today <= model.retires <= today + SOON
    ]
    schema = {"model": pl.String(), "retires": pl.String(), "replacement": pl.String()}
    return rows_found(pl.DataFrame(ending, schema=schema), blocking=False)


@dg.asset_check(
    asset="brand_kit",
    name="can_be_used",
    description="There is a brand kit, and nothing in it stands in the way of using it.",
)
def kit_can_be_used(store: dg.ResourceParam[BrandStore]) -> dg.AssetCheckResult:
    from assets.visuals.brand_files import find_kit
    from assets.visuals.brand_kit import InvalidBrandKit

    try:
        loaded = find_kit(store.settings)
    except InvalidBrandKit as error:
        return dg.AssetCheckResult(passed=False, metadata={"findings": str(error)})
    said = "make one with `luxauto brand init`" if loaded is None else "; ".join(map(str, loaded.warnings))
    # A house without pictures needs no kit.
    warned = dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(passed=loaded is not None, severity=warned, metadata={"findings": said or "none"})


CHECKS = [
    kit_can_be_used,
    sql_check(
        "visual_briefs",
        "ids_are_unique",
        "SELECT brief, count(*) AS times FROM visual_briefs GROUP BY brief HAVING count(*) > 1",
        "Each brief has an id of its own, as it is a partition's key.",
    ),
    *[_gate(name) for name in GATES],
    every_order_was_filled,
    credentials_hold,
    providers_go_on,
    sql_check(
        "visual_quality",
        "scores_are_shares",
        "SELECT * FROM visual_quality WHERE score < 0 OR score > 1 OR (score IS NULL) <> (status = 'skipped')",
        "Each check that was made has a score from 0 to 1, and one that was skipped has none.",
    ),
]
