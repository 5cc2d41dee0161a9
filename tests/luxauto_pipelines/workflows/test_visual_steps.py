"""Pictures as steps of a workflow: made, handed on, and taken back with their bytes when a later step fails."""

from typing import Any

import pytest

from luxauto_pipelines.workflows.templates import WorkflowType, build_spec
from resources.images.picture_store import open_picture_store
from resources.store.pictures import list_pictures
from tests.peers.inline import Engine, act

BANNER = {"prompt": "a bag", "content_type": "banner_ad", "width": 600, "height": 600}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)


def pictures(name: str, method: str = "batch_generate", **parameters: Any) -> dict[str, Any]:
    return {"name": name, "agent_type": "visual_content", "agent_method": method, "parameters": parameters}


def states(engine: Engine) -> list[str]:
    with engine.books.read() as (connection, brand):
        return [row.state for row in list_pictures(connection, brand)]


def test_a_step_makes_pictures_and_hands_them_on(engine: Engine) -> None:
    key = engine.run(
        pictures("Visuals", requests=[BANNER]), act("site", ["Visuals"], gives={"got": "${Visuals.images}"})
    )
    assert engine.state(key) == "completed"
    result = engine.steps(key)["site"].result
    assert result is not None and result["got"][0].startswith("/api/v1/luxury-automation/visual-content/images/pic_")
    assert states(engine) == ["accepted"]


def test_what_was_made_is_taken_back_when_a_later_step_fails(engine: Engine) -> None:
    key = engine.run(
        pictures("Visuals", requests=[BANNER, {**BANNER, "prompt": "a belt"}]),
        pictures("Boat", "generate", prompt="a boat", provider="midjourney") | {"depends_on": ["Visuals"]},
    )
    assert engine.state(key) == "failed"
    assert "terms of service" in str(engine.workflow(key).reason)
    assert engine.states(key)["Visuals"] == "compensated"
    assert states(engine) == ["deleted", "deleted"]
    with engine.books.read() as (connection, brand):
        rows = list_pictures(connection, brand)
    assert not any(open_picture_store(engine.books.settings).exists(row.sha256) for row in rows)


def test_the_template_of_a_website_brings_the_brands_own_pages() -> None:
    spec = build_spec(WorkflowType.website_build, {"brand_name": "Noir"})
    task = spec.task("Generate visual assets")
    assert (task.agent_type, task.agent_method, task.parameters) == (
        "visual_content",
        "batch_generate",
        {"brand_name": "Noir"},
    )
