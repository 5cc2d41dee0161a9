"""Batches of pictures through the real SDK: half the price, handed in once, taken in once, whoever is killed meanwhile."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from resources.images.batches import GIVEN_UP, LOST, SETTLING_SECONDS, BatchError, PictureBatches, Piece
from resources.images.budgets import CAMPAIGN_DAY, DAY, BudgetReached, principal_of, today
from resources.images.openai_batches import OpenAIBatches
from resources.images.openai_images import OpenAIImages
from resources.images.picture_store import open_picture_store
from resources.images.policy import ImagePolicy
from resources.images.protocol import ImageRequest, Refused
from resources.images.registry import Model, Registry, read_registry
from resources.images.service import ImageService, Wanted
from resources.store import spending
from resources.store.brand_store import BrandStore
from resources.store.bulk import fetch, run
from resources.store.image_batches import BatchRow, batches_since, move_batch, open_batch_of
from resources.store.image_calls import calls_of, counted
from resources.store.pictures import is_needed
from tests.peers.openai_peer import BANNED_RESULT, KEY, OpenAIPeer, picture
from tests.peers.sdk_peer import Error
from tests.peers.vendor import Asked, Fault, Reply
from tests.resources.channels.tools import JumpingClock
from tests.resources.images.scripted import Scripted, model

ROOT = Path(__file__).parents[3]
FLARE = read_registry().by_id["gpt-image-2.5-flare"]
# Opens everything by itself, does one thing, and stands still where it is told to: until it is killed.
WORKER = """
import json, sys
from pathlib import Path
from resources.images import batches as module
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.resources.channels.tools import JumpingClock
from tests.resources.images.test_batches import opened, pieces

url, what, where = sys.argv[1:]
settings = load_settings()
books = BrandStore(settings, open_store(settings.database_url))

def stand_still(*_, **__):
    print("here", flush=True)
    sys.stdin.read()

if where == "before_handing_in":
    module.OpenAIBatches.submit = stand_still
if where == "after_handing_in":
    module.PictureBatches._move = stand_still
if where == "before_rows":
    module.end_batch = stand_still
batches = opened(books, url, JumpingClock())
if what == "submit":
    batches.submit(pieces(), "autumn", "gpt-image-2.5-flare")
else:
    batches.collect()
print("done", flush=True)
"""


@pytest.fixture
def peer() -> Iterator[OpenAIPeer]:
    with OpenAIPeer() as running:
        running.batch_steps = None
        yield running


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


def opened(books: BrandStore, url: str, clock: JumpingClock, flare: Model = FLARE, **policy: Any) -> PictureBatches:
    vendors = {flare.id: OpenAIBatches(flare, url, KEY, timeout_seconds=10)}
    return PictureBatches(
        books, Registry((flare,)), vendors, ImagePolicy(**policy), open_picture_store(books.settings), clock
    )


def pieces(count: int = 4, campaign: str | None = None, **more: Any) -> list[Piece]:
    """One differs from the others by its size, so that what it costs does, too."""
    found = []
    for n in range(count):
        request = ImageRequest(f"look {n} of the season", width=256, height=256 + 16 * n, quality="low", **more)
        found.append(Piece(Wanted(request, f"brief/look-{n}", "dagster", campaign), f"look-{n}", f"hash-{n}"))
    return found


def service(books: BrandStore, peer: OpenAIPeer, clock: JumpingClock, *others: Scripted, **policy: Any) -> ImageService:
    """The ordinary way: the same model, and others."""
    providers = {FLARE.id: OpenAIImages(FLARE, peer.base_url, KEY, timeout_seconds=10)}
    models = [FLARE, *(model(other.name, quality=0.1) for other in others)]
    known = {**providers, **{other.name: other for other in others}}
    return ImageService(
        books, Registry(tuple(models)), known, ImagePolicy(**policy), open_picture_store(books.settings), clock
    )


def billed(peer: OpenAIPeer) -> int:
    """Millionths of a US dollar, each line of the bill rounded as bills are."""
    return sum(int(Decimal(line.micros).quantize(Decimal(1), rounding=ROUND_HALF_UP)) for line in peer.bill)


def accounts(books: BrandStore, clock: JumpingClock, campaign: str | None = None) -> tuple[int, int]:
    """What the budget says is spent, and what calls and open batches add up to."""
    with books.read() as (connection, brand):
        principal, day = (principal_of(campaign), CAMPAIGN_DAY) if campaign else (DAY, today(clock))
        spent = spending.spent(connection, brand, principal, day)
        calls = counted(connection, brand, campaign=campaign) if campaign else counted(connection, brand, day)
        batches = batches_since(connection, brand, clock.now() - timedelta(days=90))
    return spent, calls + sum(row.counted for row in batches if campaign in (None, row.campaign))


def states(books: BrandStore) -> dict[str, tuple[str, str]]:
    """State and outcome of the calls, by the item's number."""
    with books.read() as (connection, brand):
        rows = {n: calls_of(connection, brand, f"brief/look-{n}") for n in range(8)}
    return {f"look-{n}": (one[-1].state, one[-1].outcome) for n, one in rows.items() if one}


def handing_in(asked: Asked) -> bool:
    return (asked.method, asked.path) == ("POST", "/v1/batches")


def plan(peer: OpenAIPeer, row: BatchRow, **of: str) -> None:
    by_brief = {item.brief: item.custom_id for item in row.items}
    peer.plans |= {by_brief[name.replace("_", "-")]: fate for name, fate in of.items()}


def killed(peer: OpenAIPeer, what: str, where: str) -> None:
    """A process that is at work until it stands at a place, and is killed there."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    process = subprocess.Popen([sys.executable, "-c", WORKER, peer.base_url, what, where], **pipes)
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    assert line == "here\n", line + process.stderr.read()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_batch_is_paid_at_half_the_price_and_its_pictures_are_there_for_whoever_asks_with_their_keys(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "autumn", FLARE.id)
    assert (row.state, row.vendor_id in peer.batches, row.cost_micros) == ("submitted", True, None)
    assert accounts(books, clock) == (row.reserved_micros, row.reserved_micros)
    ordinary = service(books, peer, clock)
    [waiting] = maker.collect()
    assert (waiting.change, waiting.batch.state) == ("waits", "submitted")
    asked = ordinary.make(pieces()[0].wanted)
    assert (asked.state, asked.code) == ("failed", "batched")
    assert peer.paid_calls() == 0

    peer.finish(row.vendor_id or "")
    [ended] = maker.collect()
    assert (ended.change, ended.batch.state, ended.batch.cost_micros) == ("ended", "completed", billed(peer))
    assert accounts(books, clock) == (billed(peer), billed(peer))
    assert maker.collect() == []
    for piece in pieces():
        outcome = ordinary.make(piece.wanted)
        assert (outcome.state, outcome.model, outcome.attempts) == ("made", FLARE.id, ())
        assert (outcome.images[0].width, outcome.images[0].height) == (256, piece.wanted.request.height)
    assert sum(ordinary.make(piece.wanted).cost for piece in pieces()) == billed(peer)
    assert peer.paid_calls() == 0
    # Another key for the same: remembered like what single calls brought.
    again = ordinary.make(replace(pieces()[0].wanted, key="another"))
    assert (again.state, again.cached, again.cost) == ("made", True, 0)
    assert [line.batch for line in peer.bill] == [True] * 4
    assert accounts(books, clock) == (billed(peer), billed(peer))


def test_half_the_price_is_half_of_what_single_calls_are_billed(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "autumn", FLARE.id)
    peer.finish(row.vendor_id or "")
    maker.collect()
    with OpenAIPeer() as other:
        single = OpenAIImages(FLARE, other.base_url, KEY, timeout_seconds=10)
        for piece in pieces():
            single.generate(piece.wanted.request, piece.wanted.key)
        assert peer.billed * 2 == other.billed
        assert row.reserved_micros * 2 <= sum(single.estimate(piece.wanted.request) for piece in pieces()) + len(
            row.items
        )


def test_each_item_has_its_own_end_and_what_the_batch_did_not_make_can_be_made_otherwise(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    asked = [*pieces(7), Piece(Wanted(ImageRequest(f"a {BANNED_RESULT} print", width=256, height=256), "brief/look-7"))]
    row = maker.submit([replace(one, wanted=replace(one.wanted, principal="dagster")) for one in asked], "k", FLARE.id)
    plan(peer, row, look_1="moderation_input", look_2="expired", look_3="empty_data", look_4="forgotten")
    plan(peer, row, look_5="unknown_parameter")
    peer.finish(row.vendor_id or "")
    [ended] = maker.collect()
    assert states(books) == {
        "look-0": ("settled", "made"),
        "look-1": ("released", "blocked"),
        "look-2": ("released", "unavailable"),
        "look-3": ("settled", "poisoned"),
        "look-4": ("uncertain", "uncertain"),
        "look-5": ("released", "refused"),
        "look-6": ("settled", "made"),
        "look-7": ("released", "blocked"),
    }
    uncertain = next(item.reserved_micros for item in row.items if item.brief == "look-4")
    assert ended.batch.cost_micros == billed(peer) + uncertain
    assert accounts(books, clock) == (billed(peer) + uncertain,) * 2

    other = Scripted("other")
    ordinary = service(books, peer, clock, other)
    for n in (1, 7):
        outcome = ordinary.make(asked[n].wanted)
        assert (outcome.state, outcome.attempts[0].stage) == ("blocked", "input" if n == 1 else "output")
    # The same words under another key, and in another size, are remembered as refused.
    words = replace(asked[1].wanted.request, width=512, height=512)
    assert ordinary.make(Wanted(words, "elsewhere")).state == "blocked"
    assert peer.paid_calls() == 0
    for n in (2, 3, 5):
        assert ordinary.make(asked[n].wanted).model == FLARE.id
    # It may have been made and billed there: whoever else is left makes it.
    assert ordinary.make(asked[4].wanted).model == "other"
    assert accounts(books, clock) == (billed(peer) + uncertain + other.billed,) * 2


@pytest.mark.parametrize(("status", "state"), [("expired", "completed"), ("cancelled", "cancelled")])
def test_a_batch_that_ends_early_pays_what_was_made_and_releases_the_rest(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock, status: str, state: str
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(campaign="autumn"), "k", FLARE.id)
    peer.finish(row.vendor_id or "", status)
    [ended] = maker.collect()
    assert (ended.batch.state, ended.batch.cost_micros, len(peer.bill)) == (state, billed(peer), 2)
    assert [outcome for _, outcome in states(books).values()] == ["made", "made", "unavailable", "unavailable"]
    assert accounts(books, clock) == (billed(peer), billed(peer))
    assert accounts(books, clock, "autumn") == (billed(peer), billed(peer))


def test_a_batch_that_the_vendor_does_not_accept_costs_nothing(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "k", FLARE.id)
    peer.batches[row.vendor_id or ""].faults = [{"code": "x", "message": "Not a line", "line": 2, "param": None}]
    [ended] = maker.collect()
    assert (ended.batch.state, ended.batch.cost_micros, ended.batch.error) == ("failed", 0, "line 2: Not a line")
    assert accounts(books, clock) == (0, 0)
    assert service(books, peer, clock).make(pieces()[0].wanted).state == "made"


def test_the_same_key_is_the_same_batch(books: BrandStore, peer: OpenAIPeer, clock: JumpingClock) -> None:
    first = opened(books, peer.base_url, clock).submit(pieces(), "k", FLARE.id)
    again = opened(books, peer.base_url, clock).submit(pieces(2), "k", FLARE.id)
    assert (again.id, len(again.items), len(peer.batches)) == (first.id, 4, 1)
    assert accounts(books, clock)[0] == first.reserved_micros


def test_another_brand_or_installation_with_the_same_account_and_key_has_its_own_batch(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    row = opened(books, peer.base_url, clock).submit(pieces(), "k", FLARE.id)
    keys = {batch.metadata["luxauto_key"] for batch in peer.batches.values()}
    vendor = OpenAIBatches(FLARE, peer.base_url, KEY)
    assert len(keys) == 1
    assert vendor.find("k") is None
    assert vendor.find(f"elsewhere/k/{row.created_at.isoformat()}") is None
    assert vendor.find(f"{books.settings.brand}/k/{row.created_at.isoformat()}") == row.vendor_id


@pytest.mark.parametrize("fault", ["reset_after", "reply_after"])
def test_a_lost_answer_is_unknown_and_the_batch_is_found_again(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock, fault: str
) -> None:
    page = Reply(200, b"<html>", {"content-type": "text/html"})
    peer.faults.append(Fault(fault, matches=handing_in, reply=page))
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "k", FLARE.id)
    assert (row.state, row.vendor_id, len(peer.batches)) == ("unknown", None, 1)
    assert accounts(books, clock) == (row.reserved_micros, row.reserved_micros)
    # Right after it the vendor may not list it yet.
    assert [step.change for step in maker.collect()] == ["waits"]
    clock.sleep(SETTLING_SECONDS)
    [found] = maker.collect()
    assert (found.change, found.batch.vendor_id) == ("handed_in", next(iter(peer.batches)))
    peer.finish(found.batch.vendor_id or "")
    maker.collect()
    assert (len(peer.batches), len(peer.bill)) == (1, 4)
    assert accounts(books, clock) == (billed(peer), billed(peer))


def test_what_was_not_taken_is_handed_in_later_and_once(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    peer.faults.append(Fault("reset_before", matches=handing_in))
    peer.faults.append(Fault("reply", matches=handing_in, reply=peer.error(Error(503, "server_is_overloaded", "busy"))))
    maker = opened(books, peer.base_url, clock)
    assert maker.submit(pieces(), "k", FLARE.id).state == "unknown"
    seen = []
    for _ in range(3):
        clock.sleep(SETTLING_SECONDS)
        seen += [(step.change, step.batch.state) for step in maker.collect()]
    assert seen == [("waits", "unknown"), ("handed_in", "submitted"), ("waits", "submitted")]
    assert len(peer.batches) == 1


def test_what_is_refused_at_once_costs_nothing_and_frees_its_pictures(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    error = Error(429, "credit_balance_exhausted", "You exceeded your current quota", "insufficient_quota")
    peer.faults.append(Fault("reply", reply=peer.error(error), matches=handing_in))
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "k", FLARE.id)
    assert (row.state, peer.batches) == ("failed", {})
    assert "credit" in (row.error or "")
    assert accounts(books, clock) == (0, 0)
    assert all(maker.is_free(piece.wanted.key) for piece in pieces())
    assert maker.submit(pieces(), "k2", FLARE.id).state == "submitted"


def test_what_was_never_taken_is_given_up_after_a_day(books: BrandStore, peer: OpenAIPeer, clock: JumpingClock) -> None:
    peer.faults.append(Fault("reset_before", times=2, matches=handing_in))
    maker = opened(books, peer.base_url, clock)
    maker.submit(pieces(), "k", FLARE.id)
    clock.sleep(GIVEN_UP.total_seconds() + 1)
    [step] = maker.collect()
    assert (step.change, step.batch.state, peer.batches) == ("given_up", "failed", {})
    with books.read() as (connection, brand):
        assert spending.spent(connection, brand, DAY, step.batch.day) == 0


def test_a_batch_that_nobody_can_tell_of_is_asked_about_for_a_week_and_then_counts_as_paid(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "k", FLARE.id)
    del peer.batches[row.vendor_id or ""]
    [waits] = maker.collect()
    assert (waits.change, waits.batch.is_open) == ("waits", True)
    assert "No batch found" in (waits.note or "")
    clock.sleep(LOST.total_seconds() + 1)
    [lost] = maker.collect()
    assert (lost.batch.state, lost.batch.cost_micros) == ("failed", row.reserved_micros)
    assert set(states(books).values()) == {("uncertain", "uncertain")}


@pytest.mark.parametrize("part", ["/v1/batches/", "/content"])
def test_results_that_do_not_come_are_fetched_again_and_billed_once(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock, part: str
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "k", FLARE.id)
    peer.finish(row.vendor_id or "")
    peer.faults.append(Fault("reset_before", matches=lambda asked: part in asked.path))
    [first, second] = [*maker.collect(), *maker.collect()]
    assert (first.change, second.change) == ("waits", "ended")
    assert accounts(books, clock) == (billed(peer), billed(peer))


@pytest.mark.parametrize(
    ("where", "batches_there"), [("before_handing_in", 0), ("after_handing_in", 1)], ids=["before", "after"]
)
def test_a_process_killed_while_handing_in_leaves_an_intent_that_is_taken_up_once(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock, where: str, batches_there: int
) -> None:
    killed(peer, "submit", where)
    maker = opened(books, peer.base_url, clock)
    row = maker.find("autumn")
    assert row is not None
    assert (row.state, row.vendor_id, len(peer.batches)) == ("intent", None, batches_there)
    assert accounts(books, clock) == (row.reserved_micros, row.reserved_micros)
    # Whoever comes now does not hand in a second one, nor make one of its pictures.
    assert maker.submit(pieces(), "autumn", FLARE.id).state == "intent"
    with pytest.raises(BatchError, match=r"being made now|open batch"):
        maker.submit(pieces(), "other", FLARE.id)
    assert service(books, peer, clock).make(pieces()[0].wanted).code == "batched"
    clock.sleep(SETTLING_SECONDS)
    [step] = maker.collect()
    assert (step.change, len(peer.batches)) == ("handed_in", 1)
    peer.finish(step.batch.vendor_id or "")
    maker.collect()
    assert (len(peer.bill), accounts(books, clock)) == (4, (billed(peer), billed(peer)))


def test_a_process_killed_between_results_and_rows_loses_nothing_and_nothing_is_billed_twice(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "autumn", FLARE.id)
    peer.finish(row.vendor_id or "")
    killed(peer, "collect", "before_rows")
    assert states(books) == {}
    assert accounts(books, clock) == (row.reserved_micros, row.reserved_micros)
    [ended] = maker.collect()
    assert ended.batch.cost_micros == billed(peer)
    assert (len(peer.bill), accounts(books, clock)) == (4, (billed(peer), billed(peer)))
    ordinary = service(books, peer, clock)
    assert all(ordinary.make(piece.wanted).state == "made" for piece in pieces())
    assert peer.paid_calls() == 0


def test_two_who_collect_at_once_write_it_down_once(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one ends it between the first one's results and its rows."""
    first, second = (opened(books, peer.base_url, clock) for _ in range(2))
    row = first.submit(pieces(), "k", FLARE.id)
    peer.finish(row.vendor_id or "")
    kept, done = PictureBatches._kept, []

    def meanwhile(self: PictureBatches, *given: Any) -> Any:
        if self is first and not done:
            done.append(True)
            assert [step.change for step in second.collect()] == ["ended"]
        return kept(self, *given)

    monkeypatch.setattr(PictureBatches, "_kept", meanwhile)
    first.collect()
    with books.read() as (connection, brand):
        assert [len(calls_of(connection, brand, f"brief/look-{n}")) for n in range(4)] == [1] * 4
    assert accounts(books, clock) == (billed(peer), billed(peer))


def test_of_many_who_hand_in_the_same_at_once_one_does_and_it_is_paid_once(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    ready = threading.Barrier(6)

    def hand_in(_: int) -> str:
        maker = opened(books, peer.base_url, clock)
        ready.wait(60)
        try:
            return maker.submit(pieces(), "k", FLARE.id).request_key
        except BatchError as error:
            return str(error)

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(hand_in, range(6)))
    assert "k" in said
    assert all(one == "k" or "being made now" in one for one in said)
    row = opened(books, peer.base_url, clock).find("k")
    assert row is not None
    assert (len(peer.batches), row.state) == (1, "submitted")
    assert accounts(books, clock) == (row.reserved_micros, row.reserved_micros)


def test_budgets_of_day_and_campaign_hold_and_nothing_is_written_down_where_they_do_not_reach(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    poor = opened(books, peer.base_url, clock, budget_usd_per_day=0.0001)
    with pytest.raises(BudgetReached, match="budget of the day"):
        poor.submit(pieces(), "k", FLARE.id)
    mean = opened(books, peer.base_url, clock, budget_usd_by_campaign={"autumn": 0.0001})
    with pytest.raises(BudgetReached, match="campaign autumn"):
        mean.submit(pieces(campaign="autumn"), "k", FLARE.id)
    assert (mean.batches(), peer.asked) == ([], [])
    assert accounts(books, clock) == accounts(books, clock, "autumn") == (0, 0)


def test_what_no_batch_takes_is_refused_before_anything_is_written(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    shown = picture(bytes(32), (64, 64), "png")
    with pytest.raises(Refused, match="no references"):
        maker.submit(pieces(references=(shown,)), "k", FLARE.id)
    with pytest.raises(Refused, match="256 to 3840"):
        maker.submit([Piece(Wanted(ImageRequest("a tote", width=9008), "x"))], "k", FLARE.id)
    with pytest.raises(BatchError, match="1 to 200"):
        maker.submit([], "k", FLARE.id)
    with pytest.raises(BatchError, match="same key"):
        maker.submit([*pieces(), pieces()[0]], "k", FLARE.id)
    with pytest.raises(BatchError, match="several campaigns"):
        maker.submit([*pieces(2), *pieces(4, "autumn")[2:]], "k", FLARE.id)
    with pytest.raises(BatchError, match="takes no batches"):
        maker.submit(pieces(), "k", "recraft-v4")
    keyless = PictureBatches(
        books,
        Registry((FLARE,)),
        {FLARE.id: OpenAIBatches(FLARE, peer.base_url, None)},
        ImagePolicy(),
        open_picture_store(books.settings),
        clock,
    )
    with pytest.raises(BatchError, match="OPENAI_API_KEY"):
        keyless.submit(pieces(), "k", FLARE.id)
    assert (maker.batches(), peer.asked, accounts(books, clock)) == ([], [], (0, 0))


def test_a_picture_that_was_asked_for_before_is_in_no_batch(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    service(books, peer, clock).make(pieces()[2].wanted)
    with pytest.raises(BatchError, match="brief/look-2 was asked for before"):
        opened(books, peer.base_url, clock).submit(pieces(), "k", FLARE.id)
    assert peer.batches == {}


def test_bytes_that_a_batch_brought_wait_for_whoever_ordered_them_though_the_cache_is_full(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock, cache_megabytes=0)
    row = maker.submit(pieces(), "k", FLARE.id)
    peer.finish(row.vendor_id or "")
    [ended] = maker.collect()
    clock.sleep(3600)
    ordinary = service(books, peer, clock, cache_megabytes=0)
    ordinary.sweep()
    assert fetch_one(books, "SELECT count(*) FROM image_cache WHERE bytes > 0") == 0
    assert [ordinary.make(piece.wanted).state for piece in pieces()] == ["made"] * 4
    sums = [sha for result in ended.batch.results.values() for sha in result["images"]]
    with books.write() as (connection, _):
        assert all(is_needed(connection, sha) for sha in sums)
        run(connection, "UPDATE image_batches SET ended_at = :then", {"then": clock.now() - timedelta(days=40)})
        assert not any(is_needed(connection, sha) for sha in sums)


def test_a_row_moves_only_from_where_it_is_said_to_be(books: BrandStore, peer: OpenAIPeer, clock: JumpingClock) -> None:
    row = opened(books, peer.base_url, clock).submit(pieces(), "k", FLARE.id)
    with books.write() as (connection, brand):
        assert not move_batch(connection, brand, row.id, ["intent", "unknown"], "submitted", clock.now(), vendor_id="b")
        assert move_batch(connection, brand, row.id, ["submitted"], "submitted", clock.now(), error="slow")
        assert open_batch_of(connection, brand, "brief/look-1") == "k"
        assert open_batch_of(connection, brand, "brief/look-9") is None
        [found] = batches_since(connection, brand, clock.now())
    assert (found.vendor_id, found.error, found.items) == (row.vendor_id, "slow", row.items)
    assert json.loads(json.dumps(found.items[0].request))["prompt"] == "look 0 of the season"


def test_asking_where_a_batch_stands_reads_none_of_its_pictures(
    books: BrandStore, peer: OpenAIPeer, clock: JumpingClock
) -> None:
    maker = opened(books, peer.base_url, clock)
    row = maker.submit(pieces(), "k", FLARE.id)
    assert maker.standing(row).state == "submitted"
    peer.finish(row.vendor_id or "")
    clock.sleep(5)
    report = maker.standing(row)
    assert (report.state, report.done, report.total, report.results) == ("completed", 4, 4, {})
    assert peer.count("GET", "/content") == 0
    [after] = maker.batches()
    assert (after.state, maker.is_due(after, 1), after.checked_at) == ("submitted", False, clock.now())


def fetch_one(books: BrandStore, query: str) -> Any:
    with books.read() as (connection, _):
        return fetch(connection, query, {})[0][0]
