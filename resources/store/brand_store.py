"""The store as one brand sees it: what Dagster resources and the command line hand to whoever needs rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resources.settings import Settings
from resources.store.brands import brand_id, find_brand
from resources.store.engine import Store
from resources.vault import Vault

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True)
class BrandStore:
    """Transactions on one brand's rows."""

    settings: Settings
    store: Store
    # A brand's id never changes, and a read should cost one statement, not two.
    _known: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def vault(self) -> Vault:
        return Vault(self.settings.home)

    @contextmanager
    def read(self) -> Iterator[tuple["Connection", int]]:
        """A consistent view of the store and the brand's id."""
        with self.store.engine.connect() as connection, connection.begin():
            brand = self._known.get(self.settings.brand) or find_brand(connection, self.settings.brand)
            if brand is not None:
                self._known[self.settings.brand] = brand
                yield connection, brand
                return
        with self.write() as made:
            yield made

    @contextmanager
    def write(self) -> Iterator[tuple["Connection", int]]:
        """One transaction that no other writer of the brand overlaps, and the brand's id."""
        slug = self.settings.brand
        with self.store.write(f"brand:{slug}") as connection:
            known = self._known.get(slug) or find_brand(connection, slug)
            if known is not None:
                self._known[slug] = known
            # One that is made here may yet be rolled back, and is not remembered.
            yield connection, known or brand_id(connection, self.settings)
