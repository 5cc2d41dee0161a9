"""Batches of pictures as jobs, sensor and commands: many shots wait, one batch, its pictures judged and kept, at half price.

Does not belong here: paying and taking in (`tests/resources/images/test_batches`), which briefs are for a batch
(`tests/assets/visuals/test_batch_making`).
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from assets.partitions import keep_briefs
from assets.visuals.brand_files import briefs_folder, kit_folder
from assets.visuals.errors import VisualsError
from assets.visuals.making import REROLLS
from assets.visuals.planned_files import plan_briefs
from luxauto_pipelines import cli_visuals
from luxauto_pipelines.definitions import defs
from luxauto_pipelines.instance import prepare
from luxauto_pipelines.visual_sensors import (
    AGAIN_AFTER,
    ASKING_INTERVAL_SECONDS,
    ask_for_pictures,
    look_after_batches,
)
from resources.images.policy import FILE_NAME as POLICY
from resources.lake import Lake
from resources.settings import load_settings
from resources.store.brand_store import BrandStore
from resources.store.catalog import read_catalog
from resources.store.image_calls import counted
from resources.store.pictures import list_pictures
from tests.assets.visuals.kits import write_kit
from tests.peers.openai_peer import KEY, OpenAIPeer
from tests.peers.vendor import Asked, Fault
from tests.resources.channels.tools import JumpingClock
from tests.resources.store.test_catalog import write as write_products

SUBMISSION, COLLECTION, MAKING = "picture_batch_submission", "picture_batch_collection", "picture_making"


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIPeer]:
    for name in [name for name in os.environ if name.endswith("_API_KEY") or name.startswith("LUXAUTO_GPU")]:
        monkeypatch.delenv(name)
    with OpenAIPeer() as running:
        running.batch_steps = None
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", running.base_url)
        monkeypatch.setenv(REROLLS, "0")
        yield running


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def on_disk(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """One that other processes could open, as a daemon's is."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(datetime.now(UTC))


def furnished(books: BrandStore, batch_from: int = 4) -> BrandStore:
    """A kit, a written brief, two bags with six shots, planned; batches from a few pictures on."""
    write_kit(kit_folder(books.settings))
    folder = briefs_folder(books.settings)
    folder.mkdir(parents=True)
    (folder / "pages.yaml").write_text("{id: mark, template: logo}", encoding="utf-8")
    for sku, name in (("BAG-1", "Aurore"), ("BAG-2", "Seine")):
        write_products(books, {"sku": sku, "product": name[:3].upper(), "product_name": name, "category": "bags"})
    (books.settings.home / POLICY).write_text(yaml.safe_dump({"batch_from": batch_from}), encoding="utf-8")
    with books.read() as (connection, brand):
        planned = plan_briefs(books.settings, read_catalog(connection, brand))
    assert planned is not None
    lake_of(books).write("visual_briefs", planned.frame)
    return books


@pytest.fixture
def house(books: BrandStore) -> BrandStore:
    return furnished(books)


def lake_of(books: BrandStore) -> Lake:
    return Lake(books.settings.lake_url, books.settings.brand)


def shots(books: BrandStore) -> list[str]:
    return lake_of(books).read("visual_briefs").filter(pl.col("source") == "shot_list")["brief"].to_list()


def asked_for(result: dg.SensorResult) -> list[tuple[str | None, str | None]]:
    return [(request.job_name, request.partition_key) for request in result.run_requests or ()]


def executed(instance: dg.DagsterInstance, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
    job = defs.resolve_job_def(str(request.job_name))
    return job.execute_in_process(
        run_config=dict(request.run_config or {}),
        partition_key=request.partition_key,
        tags=dict(request.tags),
        instance=instance,
        raise_on_error=False,
    )


def told(result: dg.ExecuteInProcessResult, name: str) -> Any:
    """What the run's only step says under a name."""
    [event] = result.filter_events(lambda event: event.is_successful_output)
    return event.step_output_data.metadata[name].value


def spent(books: BrandStore) -> int:
    with books.read() as (connection, brand):
        return counted(connection, brand)


def test_many_shots_become_one_batch_whose_pictures_are_judged_and_kept_at_half_the_price(
    house: BrandStore, peer: OpenAIPeer, instance: dg.DagsterInstance, clock: JumpingClock
) -> None:
    keep_briefs(instance, lake_of(house).read("visual_briefs")["brief"].to_list())
    # The written brief is made at once, the shots are left to the batch.
    single = ask_for_pictures(house, None)
    assert [request.partition_key for request in single.run_requests or ()] == ["mark"]

    first = look_after_batches(house, None, clock)
    assert asked_for(first) == [(SUBMISSION, None)]
    assert asked_for(look_after_batches(house, first.cursor, clock)) == []
    [request] = list(first.run_requests or ())
    done = executed(instance, request)
    assert done.success
    [batch] = peer.batches
    assert told(done, "batch").startswith("shots/")
    again = ask_for_pictures(house, single.cursor)
    assert not again.run_requests, "they are in a batch"

    # The vendor is asked every few minutes, and nothing is due before it has ended.
    asked = peer.count("GET", f"/v1/batches/{batch}")
    second = look_after_batches(house, first.cursor, clock)
    assert (asked_for(second), peer.count("GET", f"/v1/batches/{batch}")) == ([], asked)
    clock.sleep(ASKING_INTERVAL_SECONDS + 60)
    third = look_after_batches(house, second.cursor, clock)
    assert (asked_for(third), peer.count("GET", f"/v1/batches/{batch}")) == ([], asked + 1)

    lost = shots(house)[5]
    peer.plans[custom_id_of(house, lost)] = "expired"
    peer.finish(batch)
    clock.sleep(ASKING_INTERVAL_SECONDS + 60)
    fourth = look_after_batches(house, third.cursor, clock)
    assert asked_for(fourth) == [(COLLECTION, None)]
    [request] = list(fourth.run_requests or ())
    collected = executed(instance, request)
    assert collected.success
    assert told(collected, "briefs") == shots(house)[:5]

    fifth = look_after_batches(house, fourth.cursor, clock)
    assert asked_for(fifth) == [(MAKING, brief) for brief in shots(house)[:5]]
    assert not look_after_batches(house, fifth.cursor, clock).run_requests
    for request in fifth.run_requests or ():
        assert executed(instance, request).success
    frame = lake_of(house).read("generated_visuals")
    assert set(frame["brief"]) == set(shots(house)[:5])
    assert set(frame["provider"]) == {"openai"}
    assert frame["picture"].null_count() == 0
    assert (peer.paid_calls(), [line.batch for line in peer.bill]) == (0, [True] * 5)
    assert abs(spent(house) - peer.billed) <= 5

    # What the batch did not bring is left to the ordinary sensor.
    ordinary = ask_for_pictures(house, single.cursor)
    assert [request.partition_key for request in ordinary.run_requests or ()] == [lost]
    [request] = list(ordinary.run_requests or ())
    made = executed(instance, dg.RunRequest(job_name=MAKING, partition_key=request.partition_key))
    assert made.success
    assert peer.paid_calls() == 1


def test_dagster_takes_what_the_sensor_asks_for(
    house: BrandStore, peer: OpenAIPeer, on_disk: dg.DagsterInstance
) -> None:
    """As its daemon evaluates it: jobs, configuration and partitions are held against the definitions."""
    keep_briefs(on_disk, lake_of(house).read("visual_briefs")["brief"].to_list())
    sensor = defs.resolve_sensor_def("picture_batches")
    cursor = None

    def tick() -> list[dg.RunRequest]:
        nonlocal cursor
        context = dg.build_sensor_context(
            on_disk,
            instance_ref=on_disk.get_ref(),
            cursor=cursor,
            repository_def=defs.get_repository_def(),
            resources={"store": house},
        )
        data = sensor.evaluate_tick(context)
        cursor = data.cursor
        return list(data.run_requests or ())

    [request] = tick()
    assert (request.job_name, executed(on_disk, request).success) == (SUBMISSION, True)
    assert tick() == []
    [batch] = peer.batches
    peer.finish(batch)
    assert executed(on_disk, dg.RunRequest(job_name=COLLECTION)).success
    made = tick()
    assert [(one.job_name, one.partition_key) for one in made] == [(MAKING, brief) for brief in shots(house)]
    assert {one.tags["luxauto/brief"] for one in made} == set(shots(house))


def custom_id_of(books: BrandStore, brief: str) -> str:
    from resources.images.batches import open_picture_batches

    return next(
        item.custom_id for row in open_picture_batches(books).batches() for item in row.items if item.brief == brief
    )


def test_few_shots_are_made_by_themselves_and_zero_switches_batches_off(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    furnished(books, batch_from=7)
    everything = lake_of(books).read("visual_briefs")["brief"].to_list()
    for least in (7, 0):
        (books.settings.home / POLICY).write_text(yaml.safe_dump({"batch_from": least}), encoding="utf-8")
        assert not look_after_batches(books, None, clock).run_requests
        result = ask_for_pictures(books, None)
        assert [request.partition_key for request in result.run_requests or ()] == everything


def test_without_a_vendor_of_batches_shots_wait_for_a_provider_as_ever(
    house: BrandStore, peer: OpenAIPeer, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert not look_after_batches(house, None, clock).run_requests
    result = ask_for_pictures(house, None)
    assert [request.partition_key for request in result.run_requests or ()] == ["mark"]


def test_a_lost_hand_in_is_taken_up_and_a_collection_that_failed_is_asked_for_again(
    house: BrandStore, peer: OpenAIPeer, instance: dg.DagsterInstance, clock: JumpingClock
) -> None:
    def handing_in(asked: Asked) -> bool:
        return (asked.method, asked.path) == ("POST", "/v1/batches")

    peer.faults.append(Fault("reset_after", matches=handing_in))
    first = look_after_batches(house, None, clock)
    [request] = list(first.run_requests or ())
    assert executed(instance, request).success
    assert not look_after_batches(house, first.cursor, clock).run_requests, "it was tried a moment ago"
    clock.sleep(90)
    second = look_after_batches(house, first.cursor, clock)
    assert asked_for(second) == [(COLLECTION, None)]
    # That run died: nobody asks again at once, and somebody does later.
    clock.sleep(90)
    third = look_after_batches(house, second.cursor, clock)
    assert not third.run_requests
    clock.sleep(AGAIN_AFTER.total_seconds())
    fourth = look_after_batches(house, third.cursor, clock)
    assert asked_for(fourth) == [(COLLECTION, None)]
    keys = [request.run_key for result in (second, fourth) for request in result.run_requests or ()]
    assert len(set(keys)) == 2
    assert len(peer.batches) == 1


def test_a_refused_batch_fails_the_run_and_says_why(
    house: BrandStore, peer: OpenAIPeer, instance: dg.DagsterInstance
) -> None:
    peer.key = "another"
    done = executed(instance, dg.RunRequest(job_name=SUBMISSION))
    assert not done.success
    data = done.failure_data_for_node("submit_picture_batch")
    assert data is not None
    assert "Incorrect API key" in str(data.user_failure_data.description if data.user_failure_data else data.error)
    assert spent(house) == 0


def test_an_order_is_a_run_that_may_be_repeated_and_taken_back(
    house: BrandStore, peer: OpenAIPeer, instance: dg.DagsterInstance
) -> None:
    order = {"prompt": "a bag on marble", "width": 512, "height": 512, "quality": "low", "provider": "openai"}

    def run_of(op: str, job: str, **config: Any) -> dg.ExecuteInProcessResult:
        return executed(instance, dg.RunRequest(job_name=job, run_config={"ops": {op: {"config": config}}}))

    first = run_of("generate_pictures", "picture_order", order=order, key="order-1")
    assert first.success
    again = run_of("generate_pictures", "picture_order", order=order, key="order-1")
    [picture] = told(first, "pictures")
    assert told(again, "pictures") == [picture]
    assert peer.paid_calls() == 1
    for expected in ([picture], []):
        gone = run_of("delete_pictures", "picture_removal", key="order-1")
        assert told(gone, "pictures") == expected
    with house.read() as (connection, brand):
        assert [one.state for one in list_pictures(connection, brand)] == ["deleted"]

    # Without a key each run is an order of its own, and its pictures can be named.
    other = run_of("generate_pictures", "picture_order", order=order)
    [new] = told(other, "pictures")
    assert new != picture
    assert told(run_of("delete_pictures", "picture_removal", pictures=[new]), "pictures") == [new]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({"prompt": "a bag", "width": 3}, "width"),
        ({"prompt": "a bag", "provider": "nobody-has-this-name"}, "there is no provider"),
        ({"prompt": "nude study", "provider": "openai", "width": 512, "height": 512}, "PictureBlocked"),
    ],
)
def test_an_order_that_is_refused_fails_its_run_and_is_not_tried_again(
    house: BrandStore, peer: OpenAIPeer, instance: dg.DagsterInstance, order: dict[str, Any], why: str
) -> None:
    config = {"ops": {"generate_pictures": {"config": {"order": order, "key": "k"}}}}
    done = executed(instance, dg.RunRequest(job_name="picture_order", run_config=config))
    assert not done.success
    data = done.failure_data_for_node("generate_pictures")
    assert data is not None
    assert data.user_failure_data is not None
    assert why in str(data.user_failure_data.description)


def batch(*words: str, code: int = 0, format: str = "json") -> Any:
    done = CliRunner().invoke(cli_visuals.app, ["batch", *words, "--format", format], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if format == "json" else done.stdout


def test_the_commands_hand_in_show_and_take_in_a_batch_and_have_its_pictures_kept(peer: OpenAIPeer, home: Path) -> None:
    books = furnished(prepare(load_settings()))
    with dg.DagsterInstance.get() as kept:
        keep_briefs(kept, lake_of(books).read("visual_briefs")["brief"].to_list())
    too_few = batch("submit", "--least", "7")
    assert (too_few["batch"], peer.batches) == (None, {})
    handed_in = batch("submit")["batch"]
    assert (handed_in["state"], handed_in["pictures"]) == ("submitted", 6)
    assert batch("submit")["batch"] is None
    [shown] = batch("status")
    assert (shown["key"], shown["vendor"], shown["done"]) == (handed_in["key"], "waits", 0)
    assert batch("collect")[0]["change"] == "waits"

    peer.finish(handed_in["vendor_id"])
    assert "batch collect --make" in batch("status", format="table")
    said = batch("collect", format="table")
    assert "completed: 6 of 6 pictures" in said
    assert "The pictures of 6 briefs have come" in said
    done = CliRunner().invoke(cli_visuals.app, ["batch", "collect", "--make"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "No batch is open" in done.stdout
    assert set(lake_of(books).read("generated_visuals")["brief"]) == set(shots(books))
    assert peer.paid_calls() == 0
    assert abs(spent(books) - peer.billed) <= 6
    [ended] = batch("status")
    assert (ended["state"], ended["made"], ended["cost_usd"]) == ("completed", 6, spent(books) / 1_000_000)


def test_a_command_that_cannot_hand_in_says_why(peer: OpenAIPeer) -> None:
    books = furnished(prepare(load_settings()))
    (books.settings.home / POLICY).write_text("batch_from: many", encoding="utf-8")
    with pytest.raises(VisualsError, match="batch_from"):
        batch("submit")
    (books.settings.home / POLICY).unlink()
    peer.key = "another"
    refused = batch("submit", code=2)
    assert "Incorrect API key" in refused["batch"]["error"]
    assert batch("submit")["batch"] is None
    peer.key = KEY
    assert batch("submit", "--again")["batch"]["state"] == "submitted"
