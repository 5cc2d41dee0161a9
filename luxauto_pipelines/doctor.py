"""Looking an installation over: what works, what does not, and what to do about it."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

from luxauto_pipelines.instance import prepare
from resources.lake import Lake
from resources.settings import Settings, load_settings
from resources.store.brand_store import BrandStore

T = TypeVar("T")
State = Literal["ok", "note", "fault"]
LOW_DISK = 2 * 10**9
DAEMON_SILENCE_SECONDS = 120


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def examine() -> list[Finding]:
    """Look at settings, store, lake, Dagster instance, freshness and disk. Nothing is changed but what `init` makes."""
    findings: list[Finding] = []
    settings = _guarded(findings, "settings", load_settings)
    if settings is None:
        return findings
    findings.append(Finding("settings", "ok", f"{settings.home}, brand {settings.brand}"))
    books = _guarded(findings, "store", lambda: prepare(settings))
    if books is not None:
        findings += _store(books)
        findings += _lake(books)
    findings += _dagster(settings)
    findings += _machine(settings)
    return findings


def _guarded(findings: list[Finding], what: str, look: Callable[[], T]) -> T | None:
    try:
        return look()
    except Exception as error:  # a fault of any kind is what is looked for
        findings.append(
            Finding(what, "fault", str(error), "mend what the message names and run `luxauto doctor` again")
        )
        return None


def _store(books: BrandStore) -> Iterator[Finding]:
    from luxauto_pipelines.refresh import days_behind

    yield Finding("store", "ok", f"{books.store.engine.dialect.name}, migration {books.store.revision()}")
    behind = days_behind(books)
    if behind:
        yield Finding("assets", "note", f"{behind} ingested days are not in the assets", "run `luxauto refresh`")
    else:
        yield Finding("assets", "ok", "the assets tell what the store holds")


def _lake(books: BrandStore) -> Iterator[Finding]:
    import polars as pl

    lake = Lake(books.settings.lake_url, books.settings.brand)
    try:
        path = lake.write("_doctor", pl.DataFrame({"written": [1]}))
        lake.filesystem.rm(path)
        yield Finding("lake", "ok", f"{lake.root}: {len(lake.assets())} assets")
    except Exception as error:  # whatever the storage says
        yield Finding("lake", "fault", str(error), "check LUXAUTO_LAKE_URL and its rights")


def _dagster(settings: Settings) -> Iterator[Finding]:
    import dagster as dg

    from luxauto_pipelines.launcher import ProcessRunLauncher
    from luxauto_pipelines.redacting_instance import RedactingInstance

    with dg.DagsterInstance.get() as instance:
        if not isinstance(instance.run_launcher, ProcessRunLauncher):
            yield Finding(
                "run launcher",
                "fault",
                "dagster.yaml is of an earlier version: runs whose worker died are not noticed",
                f"delete {settings.dagster_home / 'dagster.yaml'} and run `luxauto init`; runs and events are kept",
            )
        if not isinstance(instance, RedactingInstance):
            yield Finding(
                "event log",
                "fault",
                "dagster.yaml is of an earlier version: card data in errors would reach Dagster's event log",
                f"delete {settings.dagster_home / 'dagster.yaml'} and run `luxauto init`; runs and events are kept",
            )
        beats = instance.get_daemon_heartbeats()
        last = max((beat.timestamp for beat in beats.values()), default=0.0)
        where = str(settings.dagster_home)
    yield Finding("dagster instance", "ok", where)
    if time.time() - last > DAEMON_SILENCE_SECONDS:
        yield Finding(
            "daemon", "note", "not running: no schedule or sensor acts", "run `luxauto up` or start the service"
        )
    else:
        yield Finding("daemon", "ok", "running")
    state = "on" if settings.automation else "off"
    yield Finding(
        "automation", "ok" if settings.automation else "note", f"schedules and sensors start switched {state}"
    )


def _machine(settings: Settings) -> Iterator[Finding]:
    free = shutil.disk_usage(settings.home if settings.home.exists() else Path.cwd()).free
    low = free < LOW_DISK
    yield Finding("disk", "fault" if low else "ok", f"{free / 1e9:.1f} GB free", "make room" if low else "")
    yield Finding("python", "ok", sys.version.split()[0])
