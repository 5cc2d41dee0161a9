"""The same key brings the same and is paid once; the same wish at the same time is made once, in one process or in many."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resources.images.adapters import open_images, open_providers
from resources.images.openai_wire import safety_identifier
from resources.images.policy import FILE_NAME, ImagePolicy, PolicyError, read_policy
from resources.images.protocol import Blocked, ImageRequest, Unavailable
from resources.images.registry import Registry, RegistryError, read_registry
from resources.images.service import Wanted
from resources.store.brand_store import BrandStore
from resources.store.bulk import run
from resources.store.image_calls import Call as LedgerCall
from resources.store.image_calls import begin_call, calls_of
from resources.store.pictures import Picture, keep_pictures
from tests.peers.openai_peer import KEY, OpenAIPeer
from tests.resources.channels.tools import JumpingClock
from tests.resources.images.scripted import PRICE, Scripted, model, service, wanted

ROOT = Path(__file__).parents[3]
# Opens everything by itself, says that it is ready, and asks for one picture. Each call takes until a file is there.
ASKER = """
import sys, time
from pathlib import Path
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from tests.resources.images.scripted import Scripted, service, wanted

log, go_on, key = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def until_told():
    while not go_on.exists():
        time.sleep(0.01)

settings = load_settings()
books = BrandStore(settings, open_store(settings.database_url))
made = service(books, [Scripted("one", log=log, before=until_told)], lease_seconds=3)
print("ready", flush=True)
sys.stdin.readline()
outcome = made.make(wanted("a bag", key))
print(outcome.state, outcome.images[0].content.hex()[:32], outcome.cost, outcome.joined or outcome.cached, flush=True)
"""


class Askers:
    """Processes that ask for the same picture at once."""

    def __init__(self, folder: Path, keys: list[str]) -> None:
        self.log, self.go_on = folder / "calls", folder / "go-on"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
        command = [sys.executable, "-c", ASKER, str(self.log), str(self.go_on)]
        self.processes = [subprocess.Popen([*command, key], **pipes) for key in keys]
        for process in self.processes:
            assert process.stdout and process.stdout.readline() == "ready\n"

    def start(self) -> None:
        for process in self.processes:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def answers(self) -> list[list[str]]:
        self.go_on.touch()
        return [process.stdout.readline().split() for process in self.processes if process.stdout]

    def __enter__(self) -> "Askers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    waited = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        waited.wait(0.01)
    raise AssertionError("it did not come about in time")


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


def test_the_same_key_brings_the_same_and_is_paid_once(books: BrandStore, clock: JumpingClock) -> None:
    one = Scripted("one")
    first = service(books, [one], clock=clock).make(wanted(key="k"))
    again = service(books, [one], clock=clock).make(wanted(key="k"))
    other = service(books, [one], clock=clock).make(wanted("something else", key="k"))
    assert first.images == again.images == other.images and len(one.calls) == 1
    assert again.cost == first.cost and again.notes == ("this key brought it before: nothing was asked again",)


def test_the_same_key_is_not_paid_again_though_its_pictures_were_evicted(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one")
    asked = service(books, [one], clock=clock, cache_megabytes=0)
    asked.make(wanted("first", key="k"))
    clock.sleep(61)
    asked.make(wanted("second", key="k2"))
    outcome = asked.make(wanted("first", key="k"))
    assert (outcome.state, outcome.code, len(one.calls)) == ("failed", "lost", 2)


def test_a_process_that_died_after_its_call_was_settled_left_all_that_its_key_needs(
    books: BrandStore, clock: JumpingClock
) -> None:
    one = Scripted("one")
    asked = service(books, [one], clock=clock)
    first = asked.make(wanted(key="k"))
    with books.write() as (connection, _):
        # What is written after a call was settled.
        run(connection, "DELETE FROM image_cache")
    assert asked.make(wanted(key="k")).images == first.images and len(one.calls) == 1


def test_a_key_that_failed_may_be_tried_again(books: BrandStore, clock: JumpingClock) -> None:
    one = Scripted("one", [Unavailable("HTTP 500")])
    asked = service(books, [one], clock=clock)
    assert (failed := asked.make(wanted(key="k"))).state == "failed" and "one: HTTP 500" in (failed.error or "")
    assert asked.make(wanted(key="k")).state == "made" and len(one.calls) == 2


def test_eight_threads_that_want_the_same_make_one_call(books: BrandStore) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        assert go_on.wait(60)

    one = Scripted("one", before=stand_still)
    asked = service(books, [one])
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(asked.make, wanted(key=f"k{n}")) for n in range(8)]
        assert begun.wait(60)
        go_on.set()
        outcomes = [future.result(120) for future in futures]
    assert len(one.calls) == 1
    assert {outcome.images[0].content for outcome in outcomes} == {outcomes[0].images[0].content}
    assert sorted(outcome.cost for outcome in outcomes) == [0] * 7 + [PRICE]
    told = asked.statistics().cache
    assert told.joined + told.hits == 7 and sum(one.joined or one.cached for one in outcomes) == 7


def test_three_processes_that_want_the_same_make_one_call(books: BrandStore, tmp_path: Path) -> None:
    with books.write():
        pass
    with Askers(tmp_path, ["k1", "k2", "k3"]) as askers:
        askers.start()
        until(askers.calls)
        answers = askers.answers()
        assert len(askers.calls()) == 1
    assert {(state, content) for state, content, _, _ in answers} == {("made", answers[0][1])}
    assert sorted(int(cost) for _, _, cost, _ in answers) == [0, 0, PRICE]
    assert sorted(shared for *_, shared in answers) == ["False", "True", "True"]


def test_two_processes_with_one_key_are_billed_once_and_bring_the_same(books: BrandStore, tmp_path: Path) -> None:
    with books.write():
        pass
    with Askers(tmp_path, ["k", "k"]) as askers:
        askers.start()
        until(askers.calls)
        answers = askers.answers()
        assert askers.calls() == ["one k"]
    assert answers[0][:3] == answers[1][:3] == ["made", answers[0][1], str(PRICE)]
    with books.read() as (connection, brand):
        assert [row.state for row in calls_of(connection, brand, "k")] == ["settled"]


def test_when_the_one_who_has_it_made_is_killed_one_of_those_who_wait_takes_over(
    books: BrandStore, tmp_path: Path
) -> None:
    with books.write():
        pass
    with Askers(tmp_path, ["k1", "k2", "k3"]) as askers:
        askers.start()
        until(askers.calls)
        (first,) = askers.calls()
        owner = askers.processes.pop(int(first[-1]) - 1)
        owner.kill()
        owner.communicate()
        until(lambda: len(askers.calls()) == 2)
        answers = askers.answers()
        assert len(askers.calls()) == 2
    assert [state for state, *_ in answers] == ["made", "made"] and answers[0][1] == answers[1][1]
    assert sorted(int(cost) for _, _, cost, _ in answers) == [0, PRICE]


def test_a_lease_is_renewed_while_its_owner_is_at_work(books: BrandStore) -> None:
    go_on, begun = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        assert go_on.wait(60)

    one = Scripted("one", before=stand_still)
    asked = service(books, [one], lease_seconds=0.3)
    lapses: set[str] = set()

    def renewed() -> bool:
        with books.read() as (connection, _):
            lapses.update(map(str, run(connection, "SELECT lapses_at FROM image_flights").scalars()))
        return len(lapses) > 4

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(asked.make, wanted(key="k0"))]
        assert begun.wait(60)
        futures.append(pool.submit(asked.make, wanted(key="k1")))
        until(renewed)
        go_on.set()
        assert [future.result(60).state for future in futures] == ["made", "made"]
    assert len(one.calls) == 1
    with books.read() as (connection, _):
        assert run(connection, "SELECT count(*) FROM image_flights").scalar() == 0


def test_who_waits_for_one_who_fails_tries_by_himself(books: BrandStore) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        assert go_on.wait(60)

    one = Scripted("one", [Unavailable("HTTP 500")], before=stand_still)
    asked = service(books, [one])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asked.make, wanted(key="k0"))
        assert begun.wait(60)
        second = pool.submit(asked.make, wanted(key="k1"))
        go_on.set()
        assert (first.result(60).state, second.result(60).state) == ("failed", "made")


def test_who_waits_for_one_that_is_blocked_is_blocked_too(books: BrandStore) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        assert go_on.wait(60)

    one, two = Scripted("one", [Blocked("violence")], before=stand_still), Scripted("two")
    asked = service(books, [one, two])
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(asked.make, wanted(key=f"k{n}")) for n in range(4)]
        assert begun.wait(60)
        go_on.set()
        assert {future.result(60).state for future in futures} == {"blocked"}
    assert len(one.calls) == 1 and not two.calls


def test_who_does_not_want_it_any_more_does_not_wait(books: BrandStore) -> None:
    begun, go_on, cancelled = threading.Event(), threading.Event(), threading.Event()

    def stand_still() -> None:
        begun.set()
        assert go_on.wait(60)

    asked = service(books, [Scripted("one", before=stand_still)])
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(asked.make, wanted(key="k0"))
        assert begun.wait(60)
        second = pool.submit(asked.make, wanted(key="k1"), cancelled.is_set)
        cancelled.set()
        assert second.result(60).code == "cancelled"
        go_on.set()
        assert first.result(60).state == "made"


def test_a_name_that_nothing_has_is_told_with_those_that_there_are(books: BrandStore) -> None:
    asked = service(books, [Scripted("one"), Scripted("two")])
    with pytest.raises(RegistryError, match="there is no provider 'three'; there are one, two"):
        asked.make(wanted(provider="three"))


def test_a_name_that_stands_for_another_model_is_said_with_its_picture_remembered_or_not(books: BrandStore) -> None:
    old = model("old", retires="2026-01-01", replacement="one")
    asked = service(books, [Scripted("one")], [old, model("one", aliases=["house"])])
    for key, cached in (("k1", False), ("k2", True)):
        outcome = asked.make(wanted(key=key, provider="old"))
        assert (outcome.model, outcome.cached) == ("one", cached)
        assert outcome.notes == ("old was retired on 2026-01-01; one stands for it",)
    assert asked.make(wanted("a belt", "k3", provider="house")).notes == ("house is answered by one",)


@pytest.mark.parametrize("names", [{"key": ""}, {"key": "k" * 256}, {"campaign": "c" * 129}, {"principal": ""}])
def test_names_that_the_store_has_no_room_for_are_refused_before_anybody_is_asked(names: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"the {next(iter(names))} of a picture's request must have 1 to"):
        wanted(**names)


def test_how_providers_did_is_counted(books: BrandStore, clock: JumpingClock) -> None:
    one, two = Scripted("one", [Unavailable("HTTP 500")]), Scripted("two")
    asked = service(books, [one, two], clock=clock)
    asked.make(wanted("first", "k1"))
    asked.make(wanted("second", "k2", provider="one"))
    told = {one.model: one for one in asked.statistics().providers}
    assert told["one"].calls == {"unavailable": 1, "made": 1} and told["one"].success == 0.5
    assert (told["two"].images, told["two"].cost, told["two"].success) == (1, PRICE, 1.0)
    assert told["one"].seconds is not None and told["one"].shut is None


def test_calls_that_are_under_way_in_any_process_lengthen_the_queue(books: BrandStore, clock: JumpingClock) -> None:
    asked = service(books, [Scripted("one"), Scripted("two")], clock=clock)
    before = asked.candidates(wanted())[0]
    with books.write() as (connection, brand):
        for number in range(4):
            call = LedgerCall(f"o{number}", "one", "one", "c", 0, clock.now().date(), clock.now())
            begin_call(connection, brand, call)
    after = {one.model: one for one in asked.candidates(wanted())}
    assert before.model == "one" and before.parts["queue"] == 1.0
    assert after["one"].parts["queue"] == 0.5 and "4 of 4 under way" in (after["one"].note or "")


def test_how_pictures_were_judged_here_changes_who_is_chosen(books: BrandStore, clock: JumpingClock) -> None:
    def judged(number: int, score: float, state: str = "accepted") -> Picture:
        said = ("product_photo", "one", "one", f"{number:064}", "image/png", 8, 4, 10, score, state, "v1")
        return Picture(f"p{number}", f"o{number}", *said, created_at=clock.now(), created_by="test")

    asked = service(books, [Scripted("one"), Scripted("two")], clock=clock)
    assert asked.candidates(wanted())[0].model == "one"
    with books.write() as (connection, brand):
        rows = [judged(number, 0.9, "rejected" if number < 10 else "accepted") for number in range(20)]
        keep_pictures(connection, brand, rows)
    later = service(books, [Scripted("one"), Scripted("two")], clock=clock).candidates(wanted())
    assert later[0].model == "two" and "0.45 in 20 judged here" in (later[1].note or "")


# Opening


def test_each_provider_that_cannot_be_asked_says_which_variable_is_missing(books: BrandStore) -> None:
    providers = open_providers(read_registry(), {}, {})
    reasons = {name: provider.unavailable() or "" for name, provider in providers.items()}
    assert set(reasons) == {one.id for one in read_registry().models}
    assert "OPENAI_API_KEY" in reasons["gpt-image-2.5-flare"]
    assert "RECRAFT_API_KEY" in reasons["recraft-v4"]
    assert "LUXAUTO_GPU_URLS" in reasons["sdxl-1.0"]
    assert "ANTHROPIC_API_KEY" in reasons["claude-sonnet-5-5"]
    assert "MIDJOURNEY_GATEWAY_URL" in reasons["midjourney-gateway"]
    assert "brand kit" in reasons["studio"]
    assert providers["recraft-v4"].estimate(ImageRequest("a bag", quality="high")) == 40_000, (
        "its price is known all the same"
    )


def test_vendors_are_sent_a_hash_that_stands_for_the_brand_and_its_name_nowhere(books: BrandStore, home: Path) -> None:
    with OpenAIPeer() as peer:
        asked = open_images(books, environment={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": peer.base_url})
        for key in ("k", "l"):
            wish = ImageRequest(f"a bag {key}", quality="low")
            assert asked.make(Wanted(wish, key, provider="gpt-image-2.5-flare")).state == "made"
        asked.close()
        sent = {body["safety_identifier"] for body in peer.bodies()}
        assert sent == {safety_identifier(f"brand {books.settings.brand}")}
        assert not any(books.settings.brand.encode() in one.body for one in peer.asked)


def test_no_vendors_library_is_imported_by_opening_all_of_them() -> None:
    code = """
import sys
from resources.images.adapters import open_providers
from resources.images.registry import read_registry
keys = dict.fromkeys(["OPENAI_API_KEY", "RECRAFT_API_KEY", "ANTHROPIC_API_KEY", "MIDJOURNEY_GATEWAY_KEY"], "k")
open_providers(read_registry(), keys | {"LUXAUTO_GPU_URLS": "http://127.0.0.1:1"}, {"rasterise": lambda *_: b""})
print(sorted({"openai", "anthropic", "torch", "diffusers"} & set(sys.modules)))
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout == "[]\n"


def test_an_adapter_that_nobody_knows_is_told_with_those_that_there_are(books: BrandStore, home: Path) -> None:
    strange = model("strange", adapter="pigeon", url="http://127.0.0.1:1", key_optional=True)
    reason = open_providers(Registry((strange,)), {}, {})["strange"].unavailable() or ""
    assert "'pigeon' is not known" in reason and "openai_images" in reason


def test_the_installations_files_are_used(books: BrandStore, home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / FILE_NAME).write_text("budget_usd_per_day: 3\nonly: {product_photo: [mine]}\n")
    (home / "image_models.yaml").write_text(
        "models:\n  - {id: mine, provider: mine, adapter: none, content_types: [product_photo], formats: [png],"
        " sizes: {smallest: 64, longest: 2048}, price: {kind: none}, prior: {quality: 0.9}, seconds: 1}\n"
    )
    one = Scripted("mine", cost=0)
    asked = open_images(books, {"mine": one}, environment={})
    outcome = asked.make(Wanted(ImageRequest("a bag"), "k"))
    assert (outcome.state, outcome.model, asked.statistics().budget_of_day) == ("made", "mine", 3_000_000)
    asked.close()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("weights: {quality: -1}", "weights.quality = -1: Input should be greater than or equal to 0"),
        ("weights: {quality: 0, cost: 0, latency: 0, queue: 0}", "give at least one"),
        ("budget_usd_per_day: much", "budget_usd_per_day = 'much'"),
        ("attemps: 3", "attemps = 3: Extra inputs are not permitted"),
        ("- a list", "must hold a mapping"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_its_file(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(PolicyError) as caught:
        read_policy(tmp_path)
    assert fault in str(caught.value) and str(tmp_path / FILE_NAME) in str(caught.value)


def test_without_a_file_the_budgets_are_modest(tmp_path: Path) -> None:
    assert read_policy(tmp_path) == read_policy() == ImagePolicy()
    assert ImagePolicy().day_micros == 20_000_000
