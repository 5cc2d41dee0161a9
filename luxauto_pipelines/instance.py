"""One installation on disk: its folders, its Dagster instance and the processes that work in it.

Belongs here: what has to be there before anything runs, and the environment that child processes get.
"""

import fcntl
import os
import shutil
from pathlib import Path

from resources.settings import Settings, load_settings
from resources.store import open_store
from resources.store.brand_store import BrandStore

MODULE = "luxauto_pipelines.definitions"


def prepare(settings: Settings) -> BrandStore:
    """Make the folders, the instance's `dagster.yaml` and an up-to-date store, as far as they are not there yet."""
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    instance_file = settings.dagster_home / "dagster.yaml"
    if not instance_file.exists():
        shutil.copyfile(_shipped_instance_file(), instance_file)
    # Dagster reads its home from the environment, in this process as in its children.
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    _make_dagster_storage(settings.dagster_home)
    store = open_store(settings.database_url)
    if not store.is_current():
        store.migrate()
    return BrandStore(settings, store)


def _make_dagster_storage(home: Path) -> None:
    """Have Dagster make its tables before anybody uses them: two processes that do so at once leave them unusable."""
    made = home / ".storage-made"
    if made.exists():
        return
    with (home / ".storage.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            import dagster as dg

            dg.DagsterInstance.get().dispose()
            made.touch()


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment in which Dagster's processes work for this installation and brand."""
    return {
        **os.environ,
        "LUXAUTO_HOME": str(settings.home),
        "LUXAUTO_BRAND": settings.brand,
        "DAGSTER_HOME": str(settings.dagster_home),
        "PYTHONWARNINGS": "ignore",
        "GX_ANALYTICS_ENABLED": "false",
        # One thread a fit: more of them wait for each other.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }


def tell_dagster(books: BrandStore) -> None:
    """Have the instance know the channels that are connected now: each is a partition."""
    import dagster as dg

    from assets.partitions import keep_channels
    from resources.store.connections import read_shares

    with books.read() as (connection, brand):
        names = read_shares(connection, brand)["channel"].to_list()
    with dg.DagsterInstance.get() as instance:
        keep_channels(instance, names)


def reload() -> BrandStore:
    """The installation as it is now on disk."""
    return prepare(load_settings())


def _shipped_instance_file() -> Path:
    package = Path(__file__).parent
    candidates = (package.parent / "dagster.yaml", package / "dagster.yaml")
    return next(path for path in candidates if path.exists())
