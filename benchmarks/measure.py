"""What a benchmark measures and how: interleaved pairs, medians, and a target that the ratio has to meet.

Belongs here: timing and the row of the table. Does not belong here: what is timed.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

Better = Literal["higher", "lower"]
_INSTALLATION = (
    "LUXAUTO_HOME",
    "LUXAUTO_BRAND",
    "LUXAUTO_AUTOMATION",
    "LUXAUTO_LAKE_URL",
    "DATABASE_URL",
    "DAGSTER_HOME",
)


@dataclass(frozen=True)
class Measured:
    """One row of the table: `ours` and `reference` are medians in `unit`, `better` says which way the unit is better."""

    name: str
    unit: str
    ours: float
    reference: float
    target: float
    better: Better

    @property
    def ratio(self) -> float:
        """`ours` for one of `reference`."""
        return self.ours / self.reference

    @property
    def ok(self) -> bool:
        """Whether the ratio is on the right side of the target."""
        return self.ratio >= self.target if self.better == "higher" else self.ratio <= self.target

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio, "ok": self.ok}


def medians(ours: Callable[[], float], reference: Callable[[], float], pairs: int) -> tuple[float, float]:
    """Medians of what the two give, asked in turn, so that whatever else the machine does falls on both alike."""
    measured = [(ours(), reference()) for _ in range(pairs)]
    return median(mine for mine, _ in measured), median(other for _, other in measured)


@contextmanager
def installation(home: Path, database_url: str | None = None) -> Iterator[None]:
    """The environment names `home`, and nothing else of any installation."""
    before = {name: os.environ.pop(name, None) for name in _INSTALLATION}
    os.environ["LUXAUTO_HOME"] = str(home)
    if database_url:
        os.environ["DATABASE_URL"] = database_url
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
