"""An agent whose effects are lines in a file outside the store, and which can be told where to die or to wait.

Each line is `do KEY` or `undo KEY` and is written once for a key, as an outside service with idempotency keys would do; calls
that changed nothing are written as `again do KEY`. Parameters choose a point (`before_effect`, `after_effect`, `after_done`,
`undo`) at which the process dies by SIGKILL, raises, or waits until a file is there.
"""

import fcntl
import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict

from luxauto_pipelines.agents.registry import Agent, AgentError, Call, Method
from luxauto_pipelines.workflows.steps import workflow_lock
from resources.store import journal
from resources.store.brand_store import BrandStore

Point = Literal["before_effect", "after_effect", "after_done", "before_undo", "after_undo"]


class Behaviour(BaseModel):
    """What goes wrong, where, and how often (`times`, counted over all attempts)."""

    model_config = ConfigDict(extra="forbid")

    point: Point | None = None
    action: Literal["kill", "kill_worker", "exit", "raise", "refuse", "hold", "sleep"] = "raise"
    times: int = 1
    gives: dict[str, Any] = {}


def _do(call: Call, behaviour: Behaviour) -> dict[str, Any]:
    _act(call, call.key, behaviour, "before_effect")
    _write("do", call.key)
    _act(call, call.key, behaviour, "after_effect")
    if behaviour.point == "after_done":
        threading.Thread(target=_when_done, args=(call, behaviour), daemon=True).start()
    return {"key": call.key, **behaviour.gives}


def _undo(call: Call, _: Behaviour) -> dict[str, Any]:
    assert call.undoes is not None
    behaviour = Behaviour.model_validate(call.undoes.parameters)
    _act(call, call.undoes.key, behaviour, "before_undo")
    if f"do {call.undoes.key}" in lines():
        _write("undo", call.undoes.key)
    _act(call, call.undoes.key, behaviour, "after_undo")
    return {}


def lines() -> list[str]:
    """What has happened in this world, in order."""
    path = _folder() / "effects"
    return path.read_text().splitlines() if path.exists() else []


def _act(call: Call, key: str, behaviour: Behaviour, point: Point) -> None:
    if behaviour.point != point or _count(f"{key}.{point}") > behaviour.times:
        return
    if behaviour.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour.action == "kill_worker":
        _kill_worker()
    elif behaviour.action == "exit":
        # The worker ends without a word to the journal.
        raise SystemExit(1)
    elif behaviour.action == "raise":
        raise ConnectionError(f"{key} was cut off at {point}")
    elif behaviour.action == "refuse":
        raise AgentError(f"{key} is refused")
    elif behaviour.action == "sleep":
        time.sleep(600)
    else:
        _hold(key, point)


def _kill_worker() -> None:
    worker = psutil.Process(os.getppid())
    worker.kill()
    # The worker is gone before this goes on; whatever runs after this line is an orphan's deed.
    worker.wait(30)
    time.sleep(0.5)


def _hold(key: str, point: str) -> None:
    folder = _folder()
    (folder / f"holding-{key}-{point}").touch()
    while not (folder / "release").exists():
        time.sleep(0.05)


def _when_done(call: Call, behaviour: Behaviour) -> None:
    workflow, step = call.key.split(":", 1)
    while True:
        with workflow_lock(call.books, workflow) as (connection, brand):
            steps = journal.steps(connection, journal.find(connection, brand, workflow).id)
        if any(s.name == step and s.state == "done" for s in steps):
            _act(call, call.key, behaviour, "after_done")
            return


def _write(verb: str, key: str) -> None:
    with (_folder() / "effects").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        known = f"{verb} {key}" in file.read().splitlines()
        file.write(f"{'again ' if known else ''}{verb} {key}\n")


def _count(name: str) -> int:
    with (_folder() / f"count-{name}").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("x")
        file.flush()
        return file.tell()


def _folder() -> Path:
    folder = Path(os.environ["LUXAUTO_HOME"]) / "world"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _status(books: BrandStore) -> Mapping[str, Any]:
    return {"agent_name": "world"}


AGENTS = [
    Agent(
        "world",
        "1",
        {
            "act": Method(_do, Behaviour, compensation="undo"),
            "undo": Method(_undo, Behaviour),
            "look": Method(_do, Behaviour),
        },
        lambda books: {"agent_name": "world"},
    )
]
