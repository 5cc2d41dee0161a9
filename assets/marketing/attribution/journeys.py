"""Journeys: the touches of many customers in order, and what came of each.

Belongs here: the form that every model reads, and checks that it holds together. Does not belong here: columns of files
(`tables`) and credit (`models`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.marketing.attribution.errors import AttributionError


@dataclass(frozen=True)
class Journeys:
    """`codes[starts[j]:starts[j + 1]]` are the channels that journey j touched, in order, as places in `channels`.

    A journey stands for `conversions[j]` that took this path, worth `value_minor[j]` (net of returns), and `nulls[j]` that took
    it and bought nothing. `age_days` is each touch's time before the end of its journey, None where times are not known.
    """

    channels: tuple[str, ...]
    codes: NDArray[np.int32]
    starts: NDArray[np.int64]
    conversions: NDArray[np.int64]
    value_minor: NDArray[np.int64]
    nulls: NDArray[np.int64]
    age_days: NDArray[np.float64] | None = None
    returned_minor: int = 0
    untouched_conversions: int = 0
    untouched_minor: int = 0

    def __post_init__(self) -> None:
        """Raises AttributionError for an empty path, negative numbers, value without conversions, or no conversion at all."""
        if (self.lengths < 1).any():
            raise AttributionError("a journey has an empty path. Name the channel of its one touch, such as direct.")
        for name in ("conversions", "value_minor", "nulls"):
            if (getattr(self, name) < 0).any():
                raise AttributionError(f"a journey has negative {name.removesuffix('_minor')}. Correct it.")
        if (self.value_minor[self.conversions == 0] > 0).any():
            raise AttributionError("a journey has a value but no conversions. Correct one or the other.")
        if not self.total_conversions:
            raise AttributionError("there are no conversions, so there is nothing to give credit for.")

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Touches of each journey."""
        return np.diff(self.starts)

    @property
    def total_conversions(self) -> int:
        return int(self.conversions.sum())

    @property
    def total_value_minor(self) -> int:
        return int(self.value_minor.sum())

    @property
    def total_nulls(self) -> int:
        return int(self.nulls.sum())

    def over_touches(self, of_journeys: NDArray) -> NDArray:
        """What belongs to each journey, once for each of its touches."""
        return np.repeat(of_journeys, self.lengths)


def journeys_of(rows: Sequence[tuple[Sequence[str], int, int, int]]) -> Journeys:
    """Journeys from (path, conversions, value in minor units, null paths). Channels are in the order of their first touch."""
    places: dict[str, int] = {}
    codes = [places.setdefault(channel, len(places)) for path, *_ in rows for channel in path]
    columns = np.array([row[1:] for row in rows], dtype=np.int64).reshape(-1, 3)
    return Journeys(
        channels=tuple(places),
        codes=np.array(codes, dtype=np.int32),
        starts=np.concatenate([[0], np.cumsum([len(path) for path, *_ in rows])]).astype(np.int64),
        conversions=columns[:, 0],
        value_minor=columns[:, 1],
        nulls=columns[:, 2],
    )
