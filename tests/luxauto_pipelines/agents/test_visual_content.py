"""The visual content agent as a workflow calls it: made once, taken back, reviewed; what a launch needs where nobody said."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.visuals.brand_files import kit_folder
from luxauto_pipelines.agents.registry import AgentError, AgentUnavailable, Call, Undone, find_agent
from luxauto_pipelines.agents.visual_content import AGENT
from luxauto_pipelines.agents.visual_content.errors import (
    BudgetReached,
    Conflict,
    InvalidFields,
    NoProvider,
    PictureBlocked,
    UnknownPicture,
)
from resources.images.picture_store import open_picture_store
from resources.images.policy import FILE_NAME as POLICY
from resources.settings import load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore
from resources.store.pictures import get_picture
from tests.peers.openai_peer import KEY, OpenAIPeer

PHOTO = {"prompt": "a bag on marble", "quality": "low", "width": 512, "height": 512}
BANNER = {"prompt": "a bag", "content_type": "banner_ad", "width": 700, "height": 700}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "RECRAFT_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIPeer]:
    with OpenAIPeer() as peer:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", peer.base_url)
        monkeypatch.setenv("LUXAUTO_PICTURE_REROLLS", "0")
        yield peer


def do(
    books: BrandStore, method: str, key: str = "step", undoes: str | None = None, **parameters: Any
) -> dict[str, Any]:
    undone = None if undoes is None else Undone(undoes, {}, None)
    return dict(AGENT.call(method, Call(books, key, "ada", undoes=undone), parameters))


def ids(result: dict[str, Any]) -> list[str]:
    return [picture["id"] for picture in result["pictures"]]


def test_the_agent_is_found_with_its_compensations() -> None:
    agent = find_agent("visual_content")
    assert agent.unavailable is None
    assert agent.method("generate").compensation == agent.method("batch_generate").compensation == "delete_generated"


def test_a_repeated_step_changes_nothing(books: BrandStore, openai: OpenAIPeer) -> None:
    first, again = (do(books, "generate", **PHOTO) for _ in range(2))
    assert (openai.paid_calls(), first["images"]) == (1, again["images"])
    assert (first["spent"] > 0, again["spent"]) == (True, 0.0)


def test_what_a_step_made_is_taken_back_and_again_without_harm(books: BrandStore) -> None:
    made = do(books, "generate", key="wf:visuals", **BANNER)
    batch = do(books, "batch_generate", key="wf:more", requests=[BANNER, {**BANNER, "prompt": "a belt"}])
    store = open_picture_store(books.settings)
    with books.read() as (connection, brand):
        rows = [get_picture(connection, brand, one) for one in ids(made)]
    assert all(store.exists(row.sha256) for row in rows)
    assert do(books, "delete_generated", undoes="wf:visuals")["deleted"] == ids(made)
    assert not any(store.exists(row.sha256) for row in rows)
    assert do(books, "delete_generated", undoes="wf:visuals")["deleted"] == []
    gone = do(books, "delete_generated", undoes="wf:more")["deleted"]
    assert gone == [picture["id"] for one in batch["results"] for picture in one["pictures"]]
    with pytest.raises(InvalidFields):
        do(books, "delete_generated")


def test_pictures_are_deleted_by_their_ids(books: BrandStore) -> None:
    made = do(books, "generate", **BANNER, variations=2)
    assert do(books, "delete_generated", pictures=[ids(made)[1], "pic_none"])["deleted"] == [ids(made)[1]]
    assert do(books, "generate", **BANNER, variations=2)["images"] == made["images"][:1]


@pytest.mark.parametrize(
    ("parameters", "types"),
    [
        ({"brand_name": "Noir"}, ["brand_logo", "pattern_design", "banner_ad"]),
        ({"product_name": "Seine tote", "sku": "BAG-1"}, ["design_mockup"]),
    ],
)
def test_a_launch_that_says_nothing_of_pictures_gets_those_it_needs(
    books: BrandStore, parameters: dict[str, Any], types: list[str]
) -> None:
    result = do(books, "batch_generate", **parameters)
    assert result["success"] is True
    with books.read() as (connection, brand):
        rows = [get_picture(connection, brand, p["id"]) for one in result["results"] for p in one["pictures"]]
    assert [row.content_type for row in rows] == types
    assert {row.sku for row in rows} == {parameters.get("sku")}


def test_a_launch_of_a_type_gets_the_kits_shots(books: BrandStore, openai: OpenAIPeer) -> None:
    result = do(books, "batch_generate", product_name="Seine tote", product_type="bags")
    assert (result["success"], result["total_requests"], openai.paid_calls()) == (True, 3, 3)
    assert any("Clasp and stitching" in body["prompt"] for body in openai.bodies())
    with pytest.raises(InvalidFields, match="bags"):
        do(books, "batch_generate", key="other", product_name="Seine tote", product_type="boats")
    with pytest.raises(InvalidFields, match="at least one"):
        do(books, "batch_generate", key="none")


def test_each_refusal_is_its_own(books: BrandStore, openai: OpenAIPeer) -> None:
    with pytest.raises(InvalidFields, match="forbids"):
        do(books, "generate", key="1", **{**PHOTO, "prompt": "a cheap bag"})
    openai.queue("moderation_input")
    with pytest.raises(PictureBlocked) as blocked:
        do(books, "generate", key="2", **PHOTO)
    assert (blocked.value.stage, blocked.value.categories) == ("input", ("violence",))
    with pytest.raises(NoProvider) as nobody:
        do(books, "generate", key="3", **{**PHOTO, "prompt": "a belt", "provider": "midjourney"})
    assert nobody.value.candidates[0].rejected
    (books.settings.home / POLICY).write_text("budget_usd_per_day: 0\n")
    with pytest.raises(BudgetReached, match="budget_usd_per_day") as spent:
        do(books, "generate", key="4", **{**PHOTO, "prompt": "another"})
    assert 0 < (spent.value.retry_after or 0) <= 86_400


@pytest.mark.parametrize(
    ("said", "place", "message"),
    [
        ({"texts": {"headline": "Élégance 👜"}}, "#", "no installed font has"),
        ({"texts": {"headline": "شتاء هادئ"}, "language": "ar"}, "#", "written from the right"),
        ({"texts": {"headline": "W" * 150}}, "#", "does not fit"),
        ({"product": {"name": "Seine", "price": 10}}, "#/product", "a price needs its currency"),
    ],
)
def test_what_nobody_will_ever_set_is_a_fault_of_the_order(
    books: BrandStore, said: dict[str, Any], place: str, message: str
) -> None:
    with pytest.raises(InvalidFields) as fault:
        do(books, "generate", **BANNER, **said, provider="studio")
    [(pointer, why)] = fault.value.errors
    assert pointer == place
    assert message in why and not why.startswith("Value error")


def test_a_kit_that_cannot_be_used_is_said(books: BrandStore) -> None:
    folder = kit_folder(books.settings)
    folder.mkdir(parents=True)
    (folder / "brand.yaml").write_text("name: [")
    with pytest.raises(AgentUnavailable, match=r"brand\.yaml"):
        do(books, "generate", **BANNER)


def test_the_first_order_writes_a_first_kit_and_says_so(books: BrandStore) -> None:
    made = do(books, "generate", **BANNER)
    assert any("luxauto brand init" in note for note in made["notes"])
    assert (kit_folder(books.settings) / "brand.yaml").is_file()
    assert not any("luxauto brand init" in note for note in do(books, "generate", key="2", **BANNER)["notes"])


def test_reviews_are_listed_and_decided_once(books: BrandStore) -> None:
    made = do(books, "generate", **BANNER)
    assert do(books, "review")["reviews"] == []
    [listed] = do(books, "review", state="accepted")["reviews"]
    assert listed["id"] == ids(made)[0]
    decided = do(books, "decide", picture_id=listed["id"], verdict="reject", note="no")["picture"]
    assert (decided["state"], decided["decided_by"], decided["note"]) == ("rejected", "ada", "no")
    with pytest.raises(Conflict):
        do(books, "decide", picture_id=listed["id"], verdict="approve")
    with pytest.raises(UnknownPicture):
        do(books, "decide", picture_id="pic_none", verdict="approve")


def test_the_status_counts_real_rows(books: BrandStore, openai: OpenAIPeer) -> None:
    before = AGENT.status(books)
    assert (before["generation_count"], before["avg_generation_time"], before["provider_performance"]) == (0, None, {})
    do(books, "generate", key="1", **PHOTO)
    openai.queue("moderation_input")
    with pytest.raises(PictureBlocked):
        do(books, "generate", key="2", **{**PHOTO, "prompt": "something else"})
    do(books, "generate", key="3", **BANNER)
    after = AGENT.status(books)
    done = after["provider_performance"]["openai"]
    assert (done["total_requests"], done["successful_requests"], done["success_rate"]) == (2, 1, 0.5)
    assert after["generation_count"] == 2
    assert "openai" in after["available_providers"]


def _generate_and_tell(database_url: str, began: Path) -> None:
    books = BrandStore(load_settings(database_url=database_url), open_store(database_url))
    from assets.visuals import making

    judged = making._taken

    def die(*arguments: Any) -> Any:
        taken = judged(*arguments)
        began.touch()
        os.kill(os.getpid(), signal.SIGKILL)
        return taken

    making._taken = die
    do(books, "generate", **PHOTO)


def test_a_killed_step_is_not_billed_twice_by_the_vendor(books: BrandStore, openai: OpenAIPeer, tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_generate_and_tell, args=(books.settings.database_url, tmp_path / "began")
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert (tmp_path / "began").exists()
    billed = openai.billed
    assert billed > 0
    made = do(books, "generate", **PHOTO)
    assert (openai.billed, openai.paid_calls()) == (billed, 1)
    assert made["success"] is True and made["cost"] == pytest.approx(float(billed) / 1_000_000, abs=1e-6)


def test_a_method_that_is_not_there_names_those_that_are(books: BrandStore) -> None:
    with pytest.raises(AgentError, match="batch_generate"):
        do(books, "paint")
