"""Colours as people see them: contrast for readers, and the distance between two colours.

Belongs here: conversions and the two measures. Does not belong here: which colours a brand has (`brand_kit`) and what distance
is too far (`quality`).
"""

import re
from typing import Any

HEX = re.compile(r"#[0-9A-Fa-f]{6}")


def rgb_of(hex_colour: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of `#RRGGBB`. Raises ValueError for anything else."""
    if not HEX.fullmatch(hex_colour):
        raise ValueError(f"{hex_colour!r} is no colour: write a # and six hexadecimal digits, such as #1F1C18")
    return int(hex_colour[1:3], 16), int(hex_colour[3:5], 16), int(hex_colour[5:7], 16)


def luminance(hex_colour: str) -> float:
    """Relative luminance, 0 (black) to 1 (white), as WCAG 2.2 defines it."""
    red, green, blue = (_linear(channel / 255) for channel in rgb_of(hex_colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2, 1 to 21, whichever colour is on top."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def mixed(one: str, other: str, share: float) -> str:
    """`share` (0 to 1) of the other colour in the first, mixed in sRGB as a painter's program does."""
    pairs = zip(rgb_of(one), rgb_of(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02X}" for a, b in pairs)


def lab(rgb: Any) -> Any:
    """CIE L*a*b* under D65 of an array of sRGB values from 0 to 255; the last axis holds red, green and blue."""
    import numpy as np

    values = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = linear @ to_xyz.T / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def ciede2000(one: Any, other: Any) -> Any:
    """Distance of two L*a*b* colours, or of arrays of them, by CIEDE2000 (Sharma, Wu and Dalal, 2005); 1 is just seen."""
    import numpy as np

    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    light1, a1, b1 = one[..., 0], one[..., 1], one[..., 2]
    light2, a2, b2 = other[..., 0], other[..., 1], other[..., 2]

    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = np.hypot(a1, b1), np.hypot(a2, b2)
    hue1, hue2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360

    grey = chroma1 * chroma2 == 0
    turn = (hue2 - hue1 + 180) % 360 - 180
    turn = np.where((turn == -180) & (hue2 > hue1), 180.0, turn)
    turn = np.where(grey, 0.0, turn)
    d_light, d_chroma = light2 - light1, chroma2 - chroma1
    d_hue = 2 * np.sqrt(chroma1 * chroma2) * np.sin(np.radians(turn / 2))

    light, chroma = (light1 + light2) / 2, (chroma1 + chroma2) / 2
    sum_of_hues = hue1 + hue2
    apart = np.abs(hue1 - hue2) > 180
    hue = np.where(apart, (sum_of_hues + np.where(sum_of_hues < 360, 360, -360)) / 2, sum_of_hues / 2)
    hue = np.where(grey, sum_of_hues, hue)

    weight = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_light = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = 2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    rotation = -rotation * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))

    x, y, z = d_light / s_light, d_chroma / s_chroma, d_hue / s_hue
    return np.sqrt(np.maximum(x * x + y * y + z * z + rotation * y * z, 0))


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
