"""Who gets in: every way in which a token can be wrong, revocation, and the rotation of keys."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from luxauto_pipelines.gateway.tokens import InvalidToken, TokenAuthority
from resources.store.tokens import revoke
from tests.luxauto_pipelines.gateway.conftest import SECRET, Peer, forge, rows

KEYS = {"new": "n" * 20 + "1234567890abcdef", "old": "o" * 20 + "1234567890abcdef"}


def authority(keys: dict[str, str]) -> TokenAuthority:
    return TokenAuthority(keys, "luxauto", "luxauto-gateway", timedelta(hours=24))


def unsigned(**header: Any) -> str:
    """A token whose header is the test's own, without a signature."""
    body = forge().split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", **header}).encode()).decode().rstrip("=")
    return f"{head}.{body}."


def without(claim: str) -> str:
    left_out: dict[str, Any] = {claim: None}
    return forge(**left_out)


NOW = int(time.time())
WRONG = {
    "garbled": "this is no token",
    "three empty parts": "..",
    "cut": forge()[:-4],
    "another secret": forge(secret="another secret of thirty-two bytes."),
    "expired": forge(iat=NOW - 7200, nbf=NOW - 7200, exp=NOW - 60),
    "not yet valid": forge(nbf=NOW + 300),
    "issued in the future": forge(iat=NOW + 300),
    "longer than allowed": forge(exp=NOW + 400 * 86_400),
    "another issuer": forge(iss="somebody"),
    "another audience": forge(aud="somebody"),
    "a list of audiences": forge(aud=["luxauto-gateway", "somebody"]),
    "an unknown key id": forge(headers={"kid": "unknown"}),
    "a path as key id": forge(headers={"kid": "../../../../dev/null"}),
    "SQL as key id": forge(headers={"kid": "x' UNION SELECT 'secret"}),
    "a key id that is no text": unsigned(alg="HS256", kid=["a"]),
    "no algorithm": unsigned(alg="none"),
    "no algorithm, in capitals": unsigned(alg="NONE"),
    "another algorithm": forge(algorithm="HS512"),
    "another type": forge(typ="refresh"),
    "a subject that is a number": unsigned(alg="HS256"),
    "an empty subject": forge(sub=""),
    "roles that are no list": forge(roles="admin"),
    "a huge token": forge(filler="x" * 20_000),
    **{f"without {claim}": without(claim) for claim in ("iss", "aud", "exp", "nbf", "iat", "jti", "sub", "typ")},
}


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG)
def test_a_wrong_token_opens_nothing(production: Peer, token: str) -> None:
    answer = production.get("/alerts", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["success"] is False


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Token abc"])
def test_another_kind_of_authorization_opens_nothing(production: Peer, header: str) -> None:
    assert production.get("/alerts", headers={"Authorization": header}).status_code == 401


def test_no_token_is_a_401_in_production_and_an_admin_in_development(make_peer: Callable[..., Peer]) -> None:
    assert make_peer(ENV="development").get("/audit").status_code == 200
    answer = make_peer(ENV="production", JWT_SECRET_KEY=SECRET).get("/audit")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_token_that_is_sent_counts_in_development_too(development: Peer) -> None:
    assert development.get("/alerts", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert development.get("/audit", headers=development.bearer("read_only")).status_code == 403


def test_a_public_key_is_not_taken_for_a_secret(production: Peer) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signed = jwt.encode(jwt.decode(forge(), options={"verify_signature": False}), private, "RS256")
    assert production.get("/alerts", headers={"Authorization": f"Bearer {signed}"}).status_code == 401


def test_a_token_without_roles_is_known_and_may_do_nothing(production: Peer) -> None:
    for roles in ([], ["owner"], None):
        answer = production.get("/alerts", headers={"Authorization": f"Bearer {forge(roles=roles)}"})
        assert answer.status_code == 403


def test_a_token_issued_here_is_taken_within_the_leeway_only() -> None:
    issuer = authority(KEYS)
    issued = issuer.issue("somebody", "developer", timedelta(seconds=60))
    assert issuer.verify(issued.token).roles == ("developer",)
    now = int(time.time())
    assert issuer.verify(forge(KEYS["new"], headers={"kid": "new"}, exp=now - 3, iat=now - 60, nbf=now - 60)).subject
    with pytest.raises(InvalidToken, match="expired"):
        issuer.verify(forge(KEYS["new"], headers={"kid": "new"}, exp=now - 31, iat=now - 60, nbf=now - 60))


def test_an_expired_token_is_refused_although_its_signature_was_checked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = authority(KEYS)
    token = issuer.issue("somebody", "admin", timedelta(hours=1)).token
    issuer.verify(token)
    monkeypatch.setattr(time, "time", lambda: NOW + 7200.0)
    with pytest.raises(InvalidToken, match="expired"):
        issuer.verify(token)


def test_keys_rotate_the_first_signs_and_all_verify() -> None:
    before, both = authority({"old": KEYS["old"]}), authority(KEYS)
    old = before.issue("somebody", "admin", timedelta(hours=1)).token
    new = both.issue("somebody", "admin", timedelta(hours=1)).token
    assert jwt.get_unverified_header(new)["kid"] == "new"
    assert both.verify(old).subject == both.verify(new).subject == "somebody"
    with pytest.raises(InvalidToken):
        authority({"new": KEYS["new"]}).verify(old)
    with pytest.raises(InvalidToken):
        both.verify(forge(KEYS["old"], headers={"kid": "new"}))


def test_a_role_or_lifetime_that_there_is_not_is_not_issued() -> None:
    for role, lifetime in (("owner", 1.0), ("admin", 25.0), ("admin", 0.0), ("admin", -1.0)):
        with pytest.raises(InvalidToken):
            authority(KEYS).issue("somebody", role, timedelta(hours=lifetime))


def test_a_revoked_token_is_refused(production: Peer) -> None:
    token = production.token()
    headers = {"Authorization": f"Bearer {token}"}
    assert production.get("/alerts", headers=headers).status_code == 200
    token_id = jwt.decode(token, options={"verify_signature": False})["jti"]
    answer = production.post(f"/tokens/{token_id}/revoke", headers=production.bearer(subject="chief"))
    assert answer.json() == {"success": True, "token_id": token_id, "already": False}
    assert production.get("/alerts", headers=headers).status_code == 401
    assert production.get("/alerts", headers=production.bearer()).status_code == 200
    found = rows(production.books, "SELECT actor, action, subject FROM audit_log WHERE action = 'token.revoked'")
    assert found == [("chief", "token.revoked", token_id)]


def test_a_revocation_by_another_process_counts_within_seconds(
    production: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = production.token()
    headers = {"Authorization": f"Bearer {token}"}
    assert production.get("/alerts", headers=headers).status_code == 200
    token_id = jwt.decode(token, options={"verify_signature": False})["jti"]
    now = datetime.now(UTC)
    with production.books.write() as (connection, _):
        assert revoke(connection, token_id, "elsewhere", now, now + timedelta(hours=1))
        assert not revoke(connection, token_id, "elsewhere", now, now + timedelta(hours=1))
    real, ahead = time.monotonic, 2.1
    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead)
    assert production.get("/alerts", headers=headers).status_code == 401


def test_nothing_is_answered_when_the_list_of_revoked_tokens_cannot_be_read(
    production: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = production.bearer()
    state = production.app.state.gateway

    def broken() -> frozenset[str]:
        from resources.store.engine import StoreError

        raise StoreError("away")

    monkeypatch.setattr(state, "_read_revoked", broken)
    answer = production.get("/alerts", headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_denied_writes_are_recorded_and_a_flood_of_them_is_not(production: Peer) -> None:
    for _ in range(30):
        production.post("/alerts/1/resolve", headers=production.bearer("read_only", "visitor"))
    found = rows(
        production.books, "SELECT actor, outcome, address, request_id FROM audit_log WHERE action = 'access.denied'"
    )
    assert {row[:3] for row in found} == {("visitor", "forbidden", "testclient")}
    assert len(found) == 20
    assert all(row[3] for row in found)


def test_a_denied_read_is_not_recorded_and_an_unknown_visitor_who_writes_is(production: Peer) -> None:
    production.get("/audit", headers=production.bearer("read_only"))
    production.post("/alerts/1/resolve")
    assert rows(production.books, "SELECT actor, outcome FROM audit_log") == [("anonymous", "unauthenticated")]
