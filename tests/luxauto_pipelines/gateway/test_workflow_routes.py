"""Workflows over HTTP: what clients send and get. Processes that work on them are in `test_served_workflows.py`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luxauto_pipelines.gateway.routers.workflows import WorkflowStatus
from luxauto_pipelines.workflows.steps import workflow_lock
from resources.store import journal
from tests.luxauto_pipelines.gateway.conftest import Peer, rows

AGENTS = 'agents: ["tests.peers.world"]\n'


@pytest.fixture(autouse=True)
def world(home: Path) -> None:
    """The installation knows the tests' agent."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "luxauto.yaml").write_text(AGENTS)


def task(name: str, *after: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "agent_type": "world", "agent_method": "act", "depends_on": list(after), **more}


def custom(*tasks: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return {"workflow_type": "custom", "workflow_data": {"name": "Spring", "tasks": list(tasks), **rules}}


def make(peer: Peer, **options: Any) -> str:
    answer = peer.post("/workflows/create", json=custom(task("a"), task("b", "a")), **options)
    assert answer.status_code == 200, answer.text
    return answer.json()["workflow_id"]


def ask(peer: Peer, key: str, step: str = "a") -> str:
    """The workflow runs and has asked a question; gives the approval's id."""
    with workflow_lock(peer.books, key) as (connection, brand):
        workflow = journal.find(connection, brand, key)
        journal.change(connection, workflow, kind="workflow.started", state="running")
        return str(journal.ask(connection, brand, journal.find(connection, brand, key), step, "May it?", None).id)


def test_a_created_workflow_is_pending_and_says_what_the_contract_says(development: Peer) -> None:
    answer = development.post("/workflows/create", json=custom(task("a"), task("b", "a")))
    created = answer.json()
    assert answer.status_code == 200
    assert (
        created.items()
        >= {"success": True, "name": "Spring", "type": "custom", "total_tasks": 2, "status": "pending"}.items()
    )
    status = development.get(f"/workflows/{created['workflow_id']}/status").json()
    assert status["progress"] == {
        "total_tasks": 2,
        "completed_tasks": 0,
        "failed_tasks": 0,
        "current_tasks": [],
        "percentage": 0.0,
    }
    assert status["timing"] == {"start_time": None, "end_time": None, "duration_seconds": None}
    assert {"results", "errors", "rolled_back", "compensations", "status", "name"} <= status.keys()
    assert WorkflowStatus.model_validate(status).model_dump(mode="json") == status


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        (custom(task("a", "b"), task("b", "a")), "#/workflow_data/tasks", "circle"),
        (custom(task("a", "nobody")), "#/workflow_data/tasks/0/depends_on/0", "nobody"),
        (custom({**task("a"), "agent_type": "ghost"}), "#/workflow_data/tasks/0/agent_type", "ghost"),
        (custom({**task("a"), "agent_method": "fly"}), "#/workflow_data/tasks/0/agent_method", "fly"),
        (custom(task("a", parameters={"times": "often"})), "#/workflow_data/tasks/0/parameters/times", "integer"),
        (custom(task("a"), colour="red"), "#/workflow_data/colour", "Extra"),
        (custom(), "#/workflow_data/tasks", "at least 1"),
        ({"workflow_type": "website_build", "workflow_data": {"brand": "x"}}, "#/workflow_data/brand", "Extra"),
        ({"workflow_type": "moon_landing", "workflow_data": {}}, "#/workflow_type", ""),
        ({"workflow_type": "custom", "workflow_data": {}, "extra": 1}, "#/extra", "unknown field"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(development: Peer, body: Any, pointer: str, word: str) -> None:
    answer = development.post("/workflows/create", json=body)
    problem = answer.json()
    assert answer.status_code == 422
    assert problem["success"] is False
    assert any(error["pointer"] == pointer and word in error["message"] for error in problem["errors"]), problem[
        "errors"
    ]
    assert rows(development.books, "SELECT count(*) FROM workflows") == [(0,)]


@pytest.mark.parametrize(
    "body", ['{"a": 1e400}', '{"a": NaN}', '{"a": "\\u0000"}', '{"a": "\\ud800"}', "[" * 500 + "]" * 500]
)
def test_data_that_no_store_can_hold_is_refused(development: Peer, body: str) -> None:
    sent = f'{{"workflow_type": "content_generation", "workflow_data": {{"visual_assets_params": {body}}}}}'
    answer = development.post("/workflows/create", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


def test_executing_twice_gives_the_same_run(development: Peer) -> None:
    key = make(development)
    first = development.post(f"/workflows/{key}/execute").json()
    second = development.post(f"/workflows/{key}/execute").json()
    assert first["run_id"] == second["run_id"] is not None
    assert first["status_endpoint"].endswith(f"/workflows/{key}/status")
    assert development.get(f"/workflows/{key}/status").json()["status"] == "running"


@pytest.mark.parametrize("path", ["execute", "pause", "resume", "cancel"])
def test_an_unknown_workflow_is_a_404(development: Peer, path: str) -> None:
    assert development.post(f"/workflows/wf_nothing/{path}").status_code == 404


@pytest.mark.parametrize("path", ["status", "timeline", "events"])
def test_nothing_can_be_read_of_an_unknown_workflow(development: Peer, path: str) -> None:
    answer = development.get(f"/workflows/wf_nothing/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_what_its_state_does_not_allow_is_a_409(development: Peer) -> None:
    key = make(development)
    assert development.post(f"/workflows/{key}/pause").status_code == 409
    assert development.post(f"/workflows/{key}/resume").status_code == 409
    assert development.post(f"/workflows/{key}/cancel").json()["status"] == "cancelled"
    answer = development.post(f"/workflows/{key}/cancel")
    assert answer.status_code == 409
    assert "cancelled" in answer.json()["detail"]


def test_a_paused_workflow_says_so_and_goes_on(development: Peer) -> None:
    key = make(development)
    development.post(f"/workflows/{key}/execute")
    assert development.post(f"/workflows/{key}/pause").json()["status"] == "paused"
    assert development.post(f"/workflows/{key}/resume").json()["status"] == "running"


def test_another_ones_workflow_is_as_unknown_as_none(production: Peer) -> None:
    admin, mine, other = (
        production.bearer(role, name) for role, name in (("admin", "ann"), ("api_user", "bea"), ("api_user", "cy"))
    )
    wanted = {**custom(task("a")), "owner": "bea"}
    key = production.post("/workflows/create", json=wanted, headers=admin).json()["workflow_id"]
    make(production, headers=admin)
    assert production.get(f"/workflows/{key}/status", headers=mine).status_code == 200
    for path in ("status", "timeline", "events"):
        assert production.get(f"/workflows/{key}/{path}", headers=other).status_code == 404
    assert [w["workflow_id"] for w in production.get("/workflows", headers=mine).json()["workflows"]] == [key]
    assert production.get("/workflows", headers=other).json()["workflows"] == []
    assert len(production.get("/workflows", headers=admin).json()["workflows"]) == 2


def test_the_list_is_read_page_by_page(development: Peer) -> None:
    keys = [make(development) for _ in range(5)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = development.get("/workflows", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [workflow["workflow_id"] for workflow in page["workflows"]]
        cursor = page["next_cursor"]
    assert seen == keys[::-1]


@pytest.mark.parametrize(("answer", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_an_approval_is_answered_once(development: Peer, answer: str, state: str) -> None:
    key = make(development)
    number = ask(development, key)
    assert [
        a["approval_id"] for a in development.get("/approvals", params={"state": "pending"}).json()["approvals"]
    ] == [number]
    decided = development.post(f"/approvals/{number}/{answer}", json={"comment": "by the board"}).json()["approval"]
    assert (decided["state"], decided["comment"], decided["workflow_id"]) == (state, "by the board", key)
    again = development.post(f"/approvals/{number}/approve", json={})
    assert again.status_code == 409
    assert ("approval." + state,) in rows(development.books, "SELECT action FROM audit_log")


@pytest.mark.parametrize("number", ["1", "x", "9" * 30, "-1", "٣"])
def test_an_approval_that_is_not_there_is_a_404(development: Peer, number: str) -> None:
    assert development.post(f"/approvals/{number}/approve", json={}).status_code == 404


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream: id, event and data."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "id" in fields:
            found.append({"id": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])})
    return found


def test_the_stream_of_an_ended_workflow_gives_every_event_and_ends(development: Peer) -> None:
    key = make(development)
    development.post(f"/workflows/{key}/cancel")
    answer = development.get(f"/workflows/{key}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer.text)
    assert [(e["id"], e["event"]) for e in events] == [(1, "workflow.created"), (2, "workflow.cancelled")]
    assert events[0]["data"]["workflow_id"] == key
    rest = development.get(f"/workflows/{key}/events", headers={"Last-Event-ID": "1"})
    assert [e["id"] for e in events_of(rest.text)] == [2]
    assert development.get(f"/workflows/{key}/events", headers={"Last-Event-ID": "x"}).status_code == 422


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "ftp://example.com/",
        "https://user:pw@example.com/",
    ],
)
def test_a_webhook_to_an_address_within_is_refused(development: Peer, url: str) -> None:
    assert development.post("/webhook-subscriptions", json={"url": url}).status_code == 422
    assert rows(development.books, "SELECT count(*) FROM webhook_subscriptions") == [(0,)]


def test_a_subscription_tells_its_secret_once_and_can_be_ended(
    make_peer: Callable[..., Peer],
) -> None:
    peer = make_peer(OUTBOUND_ALLOW="127.0.0.1:9")
    made = peer.post(
        "/webhook-subscriptions", json={"url": "http://127.0.0.1:9/in", "kinds": ["workflow.completed"]}
    ).json()
    assert made["secret"].startswith("whsec_")
    key = made["subscription"]["subscription_id"]
    listed = peer.get("/webhook-subscriptions").json()
    assert [s["subscription_id"] for s in listed["subscriptions"]] == [key]
    assert made["secret"] not in json.dumps(listed)
    assert rows(
        peer.books, "SELECT count(*) FROM webhook_subscriptions WHERE url LIKE :secret", secret=made["secret"]
    ) == [(0,)]
    assert peer.client.delete(f"/api/v1/luxury-automation/webhook-subscriptions/{key}").status_code == 204
    assert peer.client.delete(f"/api/v1/luxury-automation/webhook-subscriptions/{key}").status_code == 404


def test_the_engine_tells_what_there_is(development: Peer) -> None:
    make(development)
    answer = development.get("/workflows/status").json()
    assert answer["available"] is True
    status = answer["status"]
    assert status["workflows"]["total_workflows"] == 1
    assert {"finance_inventory", "visual_content", "world"} <= set(status["registered_agents"])
    assert "fashion_brand_launch" in status["available_templates"]
    assert {"engine_name", "version", "tasks", "reliability"} <= status.keys()


def test_everything_that_was_done_is_in_the_audit_log_with_its_request(production: Peer) -> None:
    admin = {**production.bearer("admin", "ann"), "X-Request-Id": "request-17"}
    key = production.post("/workflows/create", json=custom(task("a")), headers=admin).json()["workflow_id"]
    production.post(f"/workflows/{key}/execute", headers=admin)
    production.post(f"/workflows/{key}/cancel", headers=admin)
    found = rows(
        production.books, "SELECT action, actor, request_id FROM audit_log WHERE subject = :key ORDER BY id", key=key
    )
    assert found == [(f"workflow.{verb}", "ann", "request-17") for verb in ("create", "execute", "cancel")]
