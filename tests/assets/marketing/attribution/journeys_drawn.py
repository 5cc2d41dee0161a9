"""Journeys that hypothesis draws. Does not belong here: what is asserted of them."""

from hypothesis import strategies as st

from assets.marketing.attribution.journeys import Journeys, journeys_of

Row = tuple[list[str], int, int, int]
CHANNELS = ("mail", "search", "social", "shop", "press")


@st.composite
def rows(draw: st.DrawFn, channels: tuple[str, ...] = CHANNELS) -> list[Row]:
    """Rows with at least one conversion; value only where there are conversions."""
    paths = draw(st.lists(st.lists(st.sampled_from(channels), min_size=1, max_size=6), min_size=1, max_size=8))
    drawn: list[Row] = []
    for number, path in enumerate(paths):
        conversions = draw(st.integers(0 if number else 1, 500))
        value = draw(st.integers(0, 10**9)) if conversions else 0
        drawn.append((path, conversions, value, draw(st.integers(0, 500))))
    return drawn


def journeys() -> st.SearchStrategy[Journeys]:
    return rows().map(journeys_of)
