"""What Dagster keeps of a run holds no card data: messages, metadata, tracebacks, and what a run prints."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from luxauto_pipelines.instance import prepare
from luxauto_pipelines.redacting_instance import RedactingInstance, without_card_data
from resources.settings import load_settings
from tests.byte_search import forms_of, found_in

CARD = "4111111111111111"
GROUPED = "4111 1111 1111 1111"


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of an installation, as `luxauto init` makes it."""
    before, hook = logging.getLogRecordFactory(), sys.excepthook
    prepare(load_settings()).store.close()
    with dg.DagsterInstance.get() as found:
        yield found
    logging.setLogRecordFactory(before)
    sys.excepthook = hook


@dg.op
def careless(context: dg.OpExecutionContext) -> int:
    context.log.info(f"paid with {CARD}")
    context.log.warning("and with %s", GROUPED)
    context.add_output_metadata({"preview": dg.MetadataValue.md(f"| card |\n| {GROUPED} |"), "number": int(CARD)})
    return 1


@dg.op
def failing(context: dg.OpExecutionContext, one: int) -> None:
    raise dg.Failure(f"{CARD} was declined", metadata={"note": GROUPED, "parts": ["4111", "1111", "1111", "1111"]})


@dg.op
def raising(one: int) -> None:
    raise ValueError(f"{GROUPED} was declined {one}") from KeyError(CARD)


@dg.job
def shop() -> None:
    one = careless()
    failing(one)
    raising(one)


@dg.asset
def listing() -> Any:
    return dg.MaterializeResult(metadata={"table": dg.MetadataValue.json({"rows": [{"card": CARD}]}), "rows": 7})


def test_no_event_holds_a_card_number(
    instance: dg.DagsterInstance, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(instance, RedactingInstance)
    shop.execute_in_process(instance=instance, raise_on_error=False)
    dg.materialize([listing], instance=instance)
    assert found_in([home], [CARD]) == []
    said = capfd.readouterr()
    assert "STEP_FAILURE" in said.err
    assert [
        line for line in (said.out + said.err).splitlines() if any(f in line.encode() for f in forms_of(CARD))
    ] == []
    (run, *_) = instance.get_runs(dg.RunsFilter(job_name="shop"))
    told = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert "paid with [card data]" in told
    assert run.status is dg.DagsterRunStatus.FAILURE
    event = instance.get_latest_materialization_event(dg.AssetKey("listing"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["rows"].value == 7
    assert event.asset_materialization.metadata["table"].value == {"rows": [{"card": "[card data]"}]}


def test_an_event_without_card_data_is_kept_as_it_is(instance: dg.DagsterInstance) -> None:
    done = shop.execute_in_process(instance=instance, raise_on_error=False)
    events = [entry for entry in instance.all_logs(done.run_id) if "card data" not in str(entry)]
    assert events
    assert all(without_card_data(entry) is entry for entry in events)
