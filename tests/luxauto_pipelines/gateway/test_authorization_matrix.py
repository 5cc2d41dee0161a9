"""Every operation of the OpenAPI document, with every role and every bad token, in production."""

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from luxauto_pipelines.gateway.app import create_app
from luxauto_pipelines.gateway.authorization import PERMISSIONS, ROLES, permissions_of
from resources.settings import load_settings
from tests.luxauto_pipelines.gateway.conftest import Peer, forge

NOW = int(time.time())
BAD_TOKENS = {
    "no token": None,
    "expired": forge(iat=NOW - 7200, nbf=NOW - 7200, exp=NOW - 60),
    "another audience": forge(aud="somebody"),
    "unsigned": "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0." + forge().split(".")[1] + ".",
}
# Answered to anybody: probes say nothing of the brand, and webhooks are signed by their channel.
PUBLIC = re.compile(r".*/(healthz|readyz|webhooks/\{channel\})$|/(healthz|readyz)$")
# The contract's own table: what a role may do, by the beginnings of paths.
FORBIDDEN_WRITES = {
    "developer": ("finance", "marketing", "workflows", "alerts", "tokens", "visual-content"),
    "api_user": ("finance", "marketing", "workflows", "alerts", "tokens", "code"),
    "read_only": ("finance", "marketing", "workflows", "alerts", "tokens", "visual-content", "code"),
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def needed(operation: dict[str, Any]) -> set[str]:
    return {
        scope for requirement in operation.get("security", []) for scopes in requirement.values() for scope in scopes
    }


def call(peer: Peer, method: str, path: str, token: str | None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return peer.client.request(method, re.sub(r"\{[^}]+\}", "none-such", path), headers=headers)


def test_every_operation_says_what_it_needs(production: Peer) -> None:
    for method, path, operation in operations(production.app.openapi()):
        assert bool(needed(operation)) != bool(PUBLIC.match(path)), f"{method} {path}"
        assert needed(operation) <= PERMISSIONS


def test_no_operation_answers_a_bad_token(production: Peer) -> None:
    faults = [
        f"{method} {path}, {name}: {answer.status_code}"
        for method, path, operation in operations(production.app.openapi())
        if needed(operation)
        for name, token in BAD_TOKENS.items()
        if (answer := call(production, method, path, token)).status_code != 401
        or not answer.headers["www-authenticate"].startswith("Bearer")
        or answer.headers["content-type"] != "application/problem+json"
    ]
    assert faults == []


@pytest.mark.parametrize("role", ROLES)
def test_each_role_gets_as_far_as_its_permissions(production: Peer, role: str) -> None:
    token = production.token(role)
    faults = []
    for method, path, operation in operations(production.app.openapi()):
        if needed(operation):
            status = call(production, method, path, token).status_code
            allowed = needed(operation) <= permissions_of([role])
            if status == 401 or (status == 403) == allowed or status == 500:
                faults.append(f"{method} {path}: {status}, allowed: {allowed}")
    assert faults == []


@pytest.mark.parametrize("role", FORBIDDEN_WRITES)
def test_the_contracts_roles_write_only_what_is_theirs(production: Peer, role: str) -> None:
    token = production.token(role)
    areas = "|".join(FORBIDDEN_WRITES[role])
    for method, path, _ in operations(production.app.openapi()):
        if method != "GET" and re.match(rf".*/luxury-automation/({areas})/", path):
            assert call(production, method, path, token).status_code == 403, f"{role}: {method} {path}"


def test_public_operations_ask_for_no_token(production: Peer) -> None:
    for method, path, operation in operations(production.app.openapi()):
        if not needed(operation):
            assert call(production, method, path, None).headers.get("www-authenticate") != "Bearer"


def test_there_is_no_route_that_the_document_does_not_show(production: Peer) -> None:
    shown = {(method, path) for method, path, _ in operations(production.app.openapi())}
    documentation = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/redoc"}
    there = {
        (method, getattr(route, "path", ""))
        for route in production.app.routes
        for method in (getattr(route, "methods", None) or {"?"}) - {"HEAD", "OPTIONS"}
        if getattr(route, "path", "") not in documentation
    }
    assert there == shown


def test_every_operation_documents_its_problems(production: Peer) -> None:
    for method, path, operation in operations(production.app.openapi()):
        for status in ("401", "403", "404", "409", "413", "422", "429", "500", "503"):
            content = operation["responses"][status].get("content", {})
            assert "application/problem+json" in content, f"{method} {path}: {status}"
        if method == "POST" and needed(operation):
            assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]], path


def test_the_application_is_made_for_the_installation_it_is_given(production: Peer) -> None:
    app = create_app(load_settings(), production.app.state.gateway.settings)
    assert app.state.books.settings.home == production.books.settings.home
