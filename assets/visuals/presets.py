"""The style presets that a brand kit fills in and a request may name: one list for both."""

from typing import Literal, get_args

StylePreset = Literal[
    "minimalist_luxury",
    "haute_couture",
    "streetwear_premium",
    "vintage_glamour",
    "modern_elegance",
    "avant_garde",
    "classic_timeless",
    "bohemian_luxury",
]
PRESETS: tuple[str, ...] = get_args(StylePreset)
