"""Routes of agents that are not built yet: what is sent is judged as the contract says, and then nothing is pretended."""

from typing import Any

import pytest

from tests.luxauto_pipelines.gateway.conftest import Peer

CAMPAIGN = {
    "name": "Spring Collection Launch",
    "campaign_type": "email",
    "channels": ["email", "instagram", "tiktok"],
    "target_segments": ["vip_customers", "engaged_subscribers"],
    "enable_testing": True,
    "variants": [
        {
            "name": "Variant A - Elegant",
            "subject_line": "Discover Our Spring Collection",
            "headline": "Elegance Redefined",
            "traffic_allocation": 0.5,
        },
        {
            "name": "Variant B - Bold",
            "subject_line": "Spring Into Style",
            "headline": "Bold. Beautiful. You.",
            "traffic_allocation": 0.5,
        },
    ],
    "budget": 5000.00,
    "target_conversions": 500,
}
CODE = {
    "description": "Create a Python function to calculate luxury tax on high-value items",
    "language": "python",
    "requirements": ["Handle multiple tax jurisdictions", "Type hints for all functions"],
    "include_tests": True,
    "include_docs": True,
    "model": "claude",
}
SEGMENT = {"name": "vip", "criteria": {"vip_status": True, "purchase_history": {"min_total_spent": 5000}}}
REQUESTS: list[tuple[str, Any]] = [
    ("/marketing/campaigns/create", CAMPAIGN),
    (
        "/marketing/campaigns/create",
        {"name": "x", "channels": ["push"], "scheduled_start": "2027-01-01T09:00:00+01:00"},
    ),
    ("/marketing/campaigns/c-1/launch", None),
    ("/marketing/campaigns/c-1/complete", None),
    ("/marketing/segments/create", SEGMENT),
    ("/code/generate", CODE),
    ("/code/recover", {}),
    ("/code/recover", {"recovery_type": "backup_restore", "commit_hash": "d5f42c6"}),
]


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_a_right_request_is_told_that_the_agent_is_not_built_yet(development: Peer, path: str, body: Any) -> None:
    answer = development.post(path, **({} if body is None else {"json": body}))
    assert answer.status_code == 503
    assert "not built yet" in answer.json()["title"]
    assert answer.json()["success"] is False
    assert "retry-after" in answer.headers


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/marketing/campaigns/create", {}, "#/name"),
        ("/marketing/campaigns/create", {**CAMPAIGN, "campaign_type": "pigeon"}, "#/campaign_type"),
        ("/marketing/campaigns/create", {**CAMPAIGN, "channels": ["pigeon"]}, "#/channels/0"),
        ("/marketing/campaigns/create", {**CAMPAIGN, "budget": -1}, "#/budget"),
        ("/marketing/campaigns/create", {**CAMPAIGN, "variants": [{"name": "a", "traffic_allocation": 0.4}]}, "#"),
        ("/marketing/campaigns/create", {**CAMPAIGN, "scheduled_start": "2026-01-01"}, "#/scheduled_start"),
        ("/marketing/segments/create", {"name": "x", "customer_count": 7}, "#/customer_count"),
        ("/marketing/segments/create", {"name": "x", "criteria": {"horoscope": {}}}, "#/criteria/horoscope"),
        ("/code/generate", {"language": "python"}, "#/description"),
        ("/code/generate", {**CODE, "language": "cobol"}, "#/language"),
        ("/code/generate", {**CODE, "model": "abacus"}, "#/model"),
        ("/code/recover", {"recovery_type": "seance"}, "#/recovery_type"),
        ("/code/recover", {"commit_hash": "zz"}, "#/commit_hash"),
    ],
)
def test_a_wrong_request_is_refused_by_its_field_before_anything_else(
    development: Peer, path: str, body: Any, pointer: str
) -> None:
    answer = development.post(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/marketing/status", "agent_name version campaigns segments performance channel_integrations"),
        (
            "/code/status",
            "agent_name version performance ai_clients workspace_directory recovery_directory quality_thresholds",
        ),
    ],
)
def test_a_status_has_the_contracts_shape_and_says_that_the_agent_is_not_there(
    development: Peer, path: str, fields: str
) -> None:
    answer = development.get(path)
    assert answer.status_code == 200
    body = answer.json()
    assert body["available"] is False
    assert set(fields.split()) <= set(body["status"])
    assert "not built yet" in body["status"]["reason"]


def test_the_system_status_shows_every_agent(development: Peer) -> None:
    body = development.get("/system/status").json()
    assert set(body) == {"timestamp", "version", "agents"}
    available = {name: agent["available"] for name, agent in body["agents"].items()}
    assert available == {
        "visual_content": True,
        "finance_inventory": True,
        "marketing": False,
        "code_development": False,
        "workflow_engine": True,
    }
    assert body["agents"]["finance_inventory"]["status"]["agent_name"] == "finance_inventory"


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("admin", {"marketing", "code"}),
        ("developer", {"code"}),
        ("api_user", set()),
        ("read_only", set()),
    ],
)
def test_roles_may_do_what_the_contract_says(production: Peer, role: str, allowed: set[str]) -> None:
    paths = {
        "marketing": ("/marketing/campaigns/create", CAMPAIGN),
        "code": ("/code/generate", CODE),
    }
    for area, (path, body) in paths.items():
        answer = production.post(path, json=body, headers=production.bearer(role))
        assert answer.status_code == (503 if area in allowed else 403)
    assert production.get("/system/status", headers=production.bearer(role)).status_code == 200
