"""What the agent works with: the brand's kit, the providers, the folder of pictures; opened once a process.

Belongs here: opening and keeping. Does not belong here: what is made with it (`generate`).
"""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luxauto_pipelines.agents.registry import AgentUnavailable
from resources.store.brand_store import BrandStore

if TYPE_CHECKING:
    from assets.visuals.brand_kit import LoadedKit
    from assets.visuals.making import Maker
    from resources.settings import Settings

_KEPT = 4
_guard = threading.Lock()
_makers: "OrderedDict[tuple[Any, ...], Maker]" = OrderedDict()


@dataclass(frozen=True)
class Workshop:
    """A maker, and what is to be said about how it came about."""

    maker: "Maker"
    notes: tuple[str, ...] = ()


def workshop(books: BrandStore) -> Workshop:
    """The brand's. Raises AgentUnavailable where its kit or a setting cannot be used.

    The same maker serves all calls of a process; another kit, other keys, other settings or another store make a new one.
    """
    from assets.visuals.errors import VisualsError
    from assets.visuals.making import open_maker
    from resources.images.policy import PolicyError
    from resources.images.registry import RegistryError

    try:
        loaded, notes = brand_kit(books.settings)
        key = (id(books.store), books.settings.brand, loaded.version, *_environment(books.settings))
        with _guard:
            if key not in _makers:
                # The maker holds the store, so that no other store gets its id.
                _makers[key] = open_maker(books, loaded)
                while len(_makers) > _KEPT:
                    _makers.popitem(last=False)
            _makers.move_to_end(key)
            return Workshop(_makers[key], notes)
    except (VisualsError, RegistryError, PolicyError) as error:
        raise AgentUnavailable(f"pictures cannot be made here: {error}") from error


def brand_kit(settings: "Settings") -> tuple["LoadedKit", tuple[str, ...]]:
    """The brand's kit; where there is none, the one that `luxauto brand init` writes is written, and that is said.

    Raises InvalidBrandKit.
    """
    from assets.visuals.brand_files import find_kit, kit_folder, write_starter_kit
    from assets.visuals.brand_kit import FILE_NAME

    found = find_kit(settings)
    if found is not None:
        return found, ()
    note = f"there was no brand kit: a first one was written to {FILE_NAME}, as by `luxauto brand init`. Make it yours"
    return write_starter_kit(kit_folder(settings), settings.current.name), (note,)


def _environment(settings: "Settings") -> tuple[Any, ...]:
    from assets.visuals.making import NUDITY, REROLLS
    from resources.images.policy import FILE_NAME
    from resources.images.registry import OVERRIDES, read_registry

    files = [settings.home / name for name in (OVERRIDES, FILE_NAME)]
    models = read_registry(settings.home).models
    names = {name for model in models for name in (model.key_variable, model.url_variable) if name}
    written = [(file.stat().st_mtime_ns, file.stat().st_size) if file.is_file() else None for file in files]
    return *written, *(os.environ.get(name) for name in (REROLLS, NUDITY, *sorted(names)))
