"""The served gateway under load by wrk, beside bare FastAPI routes with one SQL statement each: throughput and the tail.

One worker each, on the same store, loaded in turn. The gateway checks a token, a role and a limit, counts, logs and audits.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import requests

from benchmarks.measure import Measured, installation
from luxauto_pipelines.gateway.app import BASE
from luxauto_pipelines.gateway.configuration import load_gateway_settings
from luxauto_pipelines.gateway.tokens import TokenAuthority
from luxauto_pipelines.instance import child_environment, prepare
from luxauto_pipelines.workflows import control
from luxauto_pipelines.workflows.spec import WorkflowSpec
from resources.settings import load_settings

ROOT = Path(__file__).parents[1]
PAIRS = 5
SECONDS = 3
CONNECTIONS = 8
PATIENCE_SECONDS = 60
_POST = """
math.randomseed(os.time())
local run, number = math.random(1, 1000000000), 0
request = function()
  number = number + 1
  local body = '{"type": "%s", "amount": 12.5, "currency": "EUR", "order_id": "B-' .. run .. '-' .. number .. '"}'
  return wrk.format("POST", nil, {["Content-Type"] = "application/json", ["Authorization"] = "%s"}, body)
end
"""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    requests_per_second: float
    median_ms: float
    p99_ms: float


def run() -> Iterator[Measured]:
    """Requests a second as ratios to the bare routes; the 99th percentile as a ratio to the median."""
    if shutil.which("wrk") is None:
        raise SystemExit("needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder, installation(Path(folder)), ExitStack() as servers:
        (Path(folder) / "luxauto.yaml").write_text('agents: ["benchmarks.idle_agent"]\n')
        books = prepare(load_settings())
        gateway = load_gateway_settings()
        authority = TokenAuthority(
            gateway.keys(books.vault), gateway.jwt_issuer, gateway.jwt_audience, gateway.longest_lifetime
        )
        token = f"Bearer {authority.issue('benchmark', 'admin', gateway.longest_lifetime).token}"
        task = {"name": "t", "agent_type": "idle", "agent_method": "rest"}
        spec = WorkflowSpec.model_validate({"name": "Bench", "tasks": [task]})
        key = control.create(books, spec, control.Actor("benchmark")).key
        ours = servers.enter_context(
            _served(["-m", "luxauto_pipelines.cli", "serve", "--workers", "1"], 18_701, "/healthz")
        )
        bare = servers.enter_context(
            _served(["-m", "uvicorn", "benchmarks.bare_gateway:app", "--no-access-log"], 18_702, "/openapi.json")
        )
        read = ["-H", f"Authorization: {token}"]
        yield from _compare(
            "workflow status", [f"{ours}{BASE}/workflows/{key}/status", *read], [f"{bare}/status/{key}", *read]
        )
        for kind in ("sale", "expense"):
            script = Path(folder) / f"{kind}.lua"
            script.write_text(_POST % (kind, token))
            post = ["-s", str(script)]
            yield from _compare(
                f"record {kind}", [f"{ours}{BASE}/finance/transactions/record", *post], [f"{bare}/record", *post]
            )


def _compare(name: str, ours: list[str], bare: list[str]) -> Iterator[Measured]:
    # A first round for what is made once: connections, plans, compiled statements.
    for arguments in (ours, bare):
        _wrk(arguments, 1)
    pairs = [(_wrk(ours, SECONDS), _wrk(bare, SECONDS)) for _ in range(PAIRS)]
    mine = median(load.requests_per_second for load, _ in pairs)
    other = median(load.requests_per_second for _, load in pairs)
    yield Measured(f"gateway, {name}", "requests/s", mine, other, 0.5, "higher")
    tail = median(load.p99_ms for load, _ in pairs)
    middle = median(load.median_ms for load, _ in pairs)
    yield Measured(f"gateway, {name}, p99 to median", "ms", tail, middle, 5.0, "lower")


def _wrk(arguments: list[str], seconds: int) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", *arguments]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"requests failed under load:\n{said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert rate is not None
    return Load(float(rate[1]), _percentile(said, 50), _percentile(said, 99))


def _percentile(said: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", said)
    assert found is not None
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


@contextmanager
def _served(arguments: list[str], port: int, probe: str) -> Iterator[str]:
    environment = {**child_environment(load_settings()), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *arguments, "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            try:
                requests.get(url + probe, timeout=2).raise_for_status()
                break
            except requests.RequestException:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(60)
