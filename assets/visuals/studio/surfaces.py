"""Surfaces in light, drawn pixel by pixel from a seed: satin, pleats, cloth, marbled paper, a niche, the sea, leather.

Belongs here: fields of height and light, and the colours they become. Does not belong here: which surface a page shows
(`plates`), and anything that could be taken for a product.

Lengths are shares of the picture's short side, so that a surface is the same at every size. The last step adds noise below one
level of grey before rounding: soft gradients then have no steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.visuals.colour import rgb_of

Field = Any
"""Numbers of a picture's pixels, height by width."""


@dataclass(frozen=True)
class Ramp:
    """The colours of a surface from its deepest shadow to its brightest light, each `#RRGGBB`."""

    shadow: str
    tone: str
    light: str

    def paint(self, level: Field, middle: float = 0.5) -> Field:
        """Levels (0 shadow, `middle` the tone, 1 light) as red, green and blue from 0 to 255."""
        stops = [np.array(rgb_of(c), dtype=np.float32) for c in (self.shadow, self.tone, self.light)]
        level = np.clip(level, 0, 1).astype(np.float32)
        return np.stack(
            [np.interp(level, (0.0, middle, 1.0), [stop[c] for stop in stops]).astype(np.float32) for c in range(3)], -1
        )


@dataclass(frozen=True)
class Sheet:
    """The pixels' places, in shares of the short side, with chance that is the same for the same seed."""

    x: Field
    y: Field
    right: float
    bottom: float
    side: int
    chance: np.random.Generator

    @classmethod
    def of(cls, width: int, height: int, seed: int) -> Sheet:
        side = min(width, height)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        return cls(
            (x + 0.5) / side, (y + 0.5) / side, width / side, height / side, side, np.random.default_rng([seed, 7])
        )

    def swell(self, turns: float, waves: int = 5) -> Callable[[Field, Field], Field]:
        """A smooth field about zero, of about `turns` hills along the short side."""
        found = [
            (turns * self.chance.uniform(0.5, 1.2), self.chance.uniform(0, math.tau), self.chance.uniform(0, math.tau))
            for _ in range(waves)
        ]

        def field(x: Field, y: Field) -> Field:
            total = sum(
                np.sin(math.tau * pace * (x * math.cos(way) + y * math.sin(way)) + phase) for pace, way, phase in found
            )
            return total / math.sqrt(waves)

        return field

    def grain(self, size: float, stretch: float = 1.0) -> Field:
        """Noise of unit deviation whose grains are `size` pixels, and `stretch` times as long as high."""
        rows, columns = self.x.shape
        spectrum = np.fft.rfft2(self.chance.standard_normal((rows, columns)).astype(np.float32))
        across = np.fft.rfftfreq(columns)[None, :] * size * stretch
        down = np.fft.fftfreq(rows)[:, None] * size
        found = np.fft.irfft2(spectrum * np.exp(-2.0 * (across**2 + down**2)), s=(rows, columns))
        return (found / max(float(found.std()), 1e-6)).astype(np.float32)


def surface(kind: str, width: int, height: int, seed: int, ramp: Ramp, mark: Field | None = None) -> Field:
    """A surface as bytes, height by width by red, green, blue. `mark` (0 to 1, as large) is pressed into leather."""
    sheet = Sheet.of(width, height, seed)
    pixels = _leather(sheet, ramp, mark) if kind == "monogram" else _SURFACES[kind](sheet, ramp)
    fine = sheet.chance.uniform(-0.5, 0.5, pixels.shape).astype(np.float32)
    return np.clip(np.rint(pixels + fine), 0, 255).astype(np.uint8)


def smooth(low: float, high: float, value: Field) -> Field:
    """0 below `low`, 1 above `high`, without a corner between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def lit(
    height: Field, sheet: Sheet, depth: float, *, shine: float = 0.0, sharpness: float = 20.0, turned: int = 1
) -> Field:
    """How bright a relief is in light from the upper left, about 0 to 1; `depth` is its height in short sides.

    `turned` -1 has the light from the upper right.
    """
    down, across = np.gradient(height * (depth * sheet.side))
    across = across * turned
    length = np.sqrt(across**2 + down**2 + 1)
    diffuse = (0.46 * across + 0.5 * down + 0.73) / length
    # The highlight is where the half-way vector meets the normal.
    half = (0.25 * across + 0.27 * down + 0.93) / length
    return np.clip(diffuse, 0, 1) + shine * np.clip(half, 0, 1) ** sharpness


def _satin(sheet: Sheet, ramp: Ramp) -> Field:
    """Silk that hangs and was caught up: long folds that meet and part."""
    wide, bend, ripple = sheet.swell(0.55), sheet.swell(1.1), sheet.swell(2.4)
    # Folds lie across the light, or nothing is seen of them; a mirror image has its light from the right.
    way = sheet.chance.uniform(0.5, 1.0)
    x = sheet.x if sheet.chance.random() < 0.5 else sheet.right - sheet.x
    across = x * math.cos(way) + sheet.y * math.sin(way)
    along = sheet.y * math.cos(way) - x * math.sin(way)
    across = across + 0.16 * wide(along * 0.7, across * 0.5) + 0.035 * bend(along * 0.8, across * 0.6)
    swing = 0.5 + 0.5 * np.tanh(1.2 * wide(across * 0.6, along * 0.5))
    phase = sheet.chance.uniform(0, math.tau, 3)
    height = (
        np.sin(math.tau * 1.25 * across + phase[0])
        + 0.48 * swing * np.sin(math.tau * 2.7 * across + phase[1] + 0.8 * bend(across, along * 0.5))
        + 0.2 * (1 - 0.6 * swing) * np.sin(math.tau * 5.1 * across + phase[2] + 0.9 * ripple(along * 0.4, across))
    )
    turned = 1 if x is sheet.x else -1
    light = lit(height, sheet, 0.05, shine=0.4, sharpness=34, turned=turned)
    light = 0.05 + 0.86 * np.clip((light - 0.16) / 1.2, 0, 1) ** 1.25
    thread = 0.006 * sheet.grain(1.3, 4.0)
    return ramp.paint(light + thread, 0.6)


def _pleats(sheet: Sheet, ramp: Ramp) -> Field:
    """Fine knife pleats that open like a fan: light on each edge, shadow under the next."""
    count = sheet.chance.integers(27, 36)
    wide, bend = sheet.swell(0.5), sheet.swell(1.3)
    lean = sheet.chance.uniform(0.1, 0.28) * sheet.chance.choice((-1, 1))
    part = sheet.x + lean * (sheet.y - 0.5 * sheet.bottom) + 0.05 * wide(sheet.x * 0.6, sheet.y)
    part = (part + 0.006 * bend(sheet.x, sheet.y * 1.4)) * count
    fold = part - np.floor(part)
    pixel = max(1.5 * count / sheet.side, 1e-3)
    body = 0.76 - 0.42 * fold**0.85 + 0.07 * np.cos(math.tau * fold)
    under = 0.3 * np.exp(-(1 - fold) / 0.16)
    edge = 0.06 * np.exp(-((fold / 0.1) ** 2))
    level = body - under + edge
    # The step from one pleat to the next is as wide as a pixel, not sharper.
    level = level * (1 - smooth(1 - pixel, 1, fold)) + 0.9 * smooth(1 - pixel, 1, fold)
    number = np.floor(part).astype(int)
    own = sheet.chance.uniform(0.9, 1.06, 400)[number % 400]
    room = 0.84 + 0.26 * wide(sheet.y * 0.5 + 3, sheet.x * 0.7)
    return ramp.paint(0.04 + 0.86 * level * own * room + 0.02 * sheet.grain(1.2, 5.0))


def _cloth(sheet: Sheet, ramp: Ramp) -> Field:
    """Herringbone of two yarns, close enough to see each, lying in one soft fold."""
    columns = sheet.chance.integers(19, 24)
    fold, warp = sheet.swell(0.6), sheet.swell(1.6)
    x = sheet.x + 0.012 * warp(sheet.x, sheet.y)
    y = sheet.y + 0.012 * warp(sheet.y + 5, sheet.x)
    column = x * columns
    number = np.floor(column).astype(int)
    inside = column - number
    slant = np.where(number % 2 == 0, 1.0, -1.0)
    yarn = y * columns * 4.6 + slant * (inside - 0.5) * 4.2
    row = np.floor(yarn).astype(int)
    across = yarn - row
    thick = np.sin(math.pi * across) ** 0.6
    own = sheet.chance.normal(0, 0.03, (64, 509))[number % 64, row % 509]
    two = np.where(row % 2 == 0, 0.07, -0.07)
    seam = np.exp(-((np.minimum(inside, 1 - inside) / 0.05) ** 2))
    fibre = 0.06 * sheet.grain(1.5, 1.6) + 0.04 * sheet.grain(4.0)
    level = 0.22 + 0.3 * thick + two + own + fibre - 0.13 * seam
    shade = 0.88 + 0.2 * fold(sheet.x, sheet.y)
    return ramp.paint(level * shade)


def _marbled(sheet: Sheet, ramp: Ramp) -> Field:
    """Paper marbled on water: thin bands of colour, drawn out by currents and combed once, parted by veins of light."""
    one, two, three, four = (sheet.swell(t) for t in (0.7, 0.7, 1.5, 1.5))
    way = sheet.chance.uniform(0.5, 0.9)
    x = sheet.x * math.cos(way) + sheet.y * math.sin(way)
    y = sheet.y * math.cos(way) - sheet.x * math.sin(way)
    u = 0.55 * x + 0.16 * one(x, y)
    v = y + 0.2 * two(x * 0.8, y)
    u, v = u + 0.05 * three(u, v), v + 0.075 * four(u * 1.3, v)
    level = 15.0 * v + 1.1 * three(v, u) + 0.55 * np.sin(math.tau * (4.2 * u + 0.4 * one(v, u)))
    band = np.floor(level).astype(int)
    inside = level - band
    strengths = sheet.chance.permutation(np.array([0.24, 0.34, 0.42, 0.48, 0.56, 0.64, 0.74, 0.84, 0.4, 0.52, 0.6]))
    down, across = np.gradient(level)
    pixel = np.clip(np.sqrt(down**2 + across**2), 1e-4, 0.5) * 1.2
    here, after = strengths[band % 11], strengths[(band + 1) % 11]
    tone = here + (after - here) * smooth(1 - pixel, 1, inside)
    tone = tone + 0.05 * np.sin(math.pi * inside)
    vein = np.exp(-((np.minimum(inside, 1 - inside) / (pixel * 0.9 + 0.01)) ** 2)) * np.where(band % 3 == 0, 1.0, 0.35)
    return ramp.paint(tone + (0.98 - tone) * 0.8 * vein + 0.012 * sheet.grain(1.6, 1.5), 0.45)


def _niche(sheet: Sheet, ramp: Ramp) -> Field:
    """Doorways one behind the other in plaster, with the sun from the left."""
    plaster = 0.008 * sheet.grain(1.6) + 0.008 * sheet.grain(26.0)
    wall = sheet.swell(0.35)
    middle, floor = sheet.right / 2, sheet.bottom * 0.93
    widest, tallest = min(sheet.right * 0.66, 0.78), sheet.bottom * 0.8
    turn = sheet.chance.choice((-1, 1))
    level = 0.8 + 0.05 * wall(sheet.x, sheet.y) - 0.1 * sheet.y / sheet.bottom
    ground = smooth(floor, floor + 0.004, sheet.y)
    steps = 4
    for number in range(steps):
        share = 1 - 0.2 * number
        wide, tall = widest * share, min(tallest * share, tallest)
        tall = max(tall, wide / 2 + 0.02)
        shifted = middle + turn * 0.035 * number
        inside = _archway(sheet, shifted, floor, wide, tall)
        sun = _archway(sheet, shifted + turn * 0.055, floor + 0.05, wide, tall + 0.0)
        soft = 0.012 + 0.014 * number
        open_ = smooth(-0.0016, 0.0016, inside)
        shadow = 1 - smooth(-soft, soft, sun)
        depth = 0.72 - 0.115 * number + 0.1 * (sheet.y / sheet.bottom)
        within = depth - 0.26 * shadow + 0.03 * wall(sheet.y, sheet.x + number)
        level = level * (1 - open_) + within * open_
        rim = np.exp(-((inside / 0.0022) ** 2)) * smooth(0, 0.2, turn * (sheet.x - shifted) * -1 + 0.05)
        level = level + 0.05 * rim
    level = level * (1 - ground) + (0.66 - 0.5 * (sheet.y - floor)) * ground
    return ramp.paint(level + plaster, 0.42)


def _archway(sheet: Sheet, middle: float, floor: float, width: float, height: float) -> Field:
    """How far inside a round arch a pixel is (below 0: outside), in short sides."""
    radius = width / 2
    spring = floor - height + radius
    sides = radius - np.abs(sheet.x - middle)
    top = radius - np.hypot(sheet.x - middle, np.minimum(sheet.y - spring, 0))
    return np.minimum(np.where(sheet.y < spring, top, sides), floor - sheet.y)


def _sea(sheet: Sheet, ramp: Ramp) -> Field:
    """Sky over a calm sea: two gradients, one edge, and the way of the light on the water."""
    line = sheet.bottom * sheet.chance.uniform(0.56, 0.64)
    sun = sheet.right * sheet.chance.uniform(0.3, 0.7)
    rise = sheet.y / line
    sky = 0.6 + 0.34 * (1 - np.clip(rise, 0, 1)) ** 0.8 + 0.1 * np.clip(rise, 0, 1) ** 6
    high = line - 0.2
    disc = 0.088 - np.hypot(sheet.x - sun, sheet.y - high)
    sky = sky + 0.1 * np.exp(-((np.hypot(sheet.x - sun, sheet.y - high) / 0.34) ** 2))
    sky = sky + (1.0 - sky) * smooth(-0.0025, 0.0025, disc) * 0.9
    near = np.clip((sheet.y - line) / max(sheet.bottom - line, 1e-6), 0, 1)
    ripples = sheet.grain(2.0, 14.0) * (1 - near) + sheet.grain(4.5, 12.0) * near
    path = np.exp(-(((sheet.x - sun) / (0.05 + 0.2 * near)) ** 2))
    water = 0.4 - 0.22 * near + (0.02 + 0.05 * near) * ripples + path * (0.2 + 0.09 * ripples) * (1 - 0.35 * near)
    edge = smooth(-0.0012, 0.0012, sheet.y - line)
    return ramp.paint(sky * (1 - edge) + water * edge + 0.006 * sheet.grain(1.4), 0.5)


def _window(sheet: Sheet, ramp: Ramp) -> Field:
    """Late light through a window, aslant on a plaster wall."""
    lean = sheet.chance.uniform(0.34, 0.5) * sheet.chance.choice((-1, 1))
    wide = min(0.64, sheet.right * 0.62)
    tall = min(sheet.bottom * 0.74, 1.05)
    u = (sheet.x - sheet.right / 2) / wide + 0.5
    v = (sheet.y - sheet.bottom / 2 + lean * (sheet.x - sheet.right / 2)) / tall + 0.5
    soft = 0.014 + 0.03 * np.clip(v, 0, 1)
    frame = smooth(-soft, soft, np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)))
    rows = 3
    bar_u, bar_v = np.abs(u - 0.5) - 0.02, np.abs(v * rows - np.rint(v * rows)) / rows - 0.0125
    bar_v = np.where((v < 0.5 / rows) | (v > 1 - 0.5 / rows), 1.0, bar_v)
    panes = frame * smooth(-soft * 0.7, soft * 0.7, bar_u) * smooth(-soft * 0.7, soft * 0.7, bar_v)
    wall = sheet.swell(0.5)
    dusk = 0.46 + 0.07 * wall(sheet.x, sheet.y) - 0.1 * sheet.y / sheet.bottom
    light = panes * (0.4 - 0.1 * np.clip(v, 0, 1)) + 0.1 * np.exp(-(((u - 0.5) ** 2 + (v - 0.5) ** 2) / 0.5))
    return ramp.paint(dusk + light + 0.008 * sheet.grain(1.6) + 0.004 * sheet.grain(22.0))


def _leather(sheet: Sheet, ramp: Ramp, mark: Field | None) -> Field:
    """Fine-grained leather; the mark is pressed into it without ink."""
    pebble = np.tanh(1.3 * sheet.grain(sheet.side / 210)) + 0.35 * sheet.grain(sheet.side / 90)
    height = 0.55 * pebble
    if mark is not None:
        # Pressing flattens the grain and rounds the edge.
        height = height * (1 - 0.8 * mark) - 5.0 * mark
    light = lit(height, sheet, 0.0011, shine=0.16, sharpness=30)
    room = sheet.swell(0.4)
    fall = (
        0.86 + 0.1 * room(sheet.x, sheet.y) - 0.2 * np.hypot(sheet.x - 0.3 * sheet.right, sheet.y - 0.2 * sheet.bottom)
    )
    level = (0.1 + 0.62 * smooth(0.25, 1.15, light)) * fall
    if mark is not None:
        level = level * (1 - 0.26 * mark)
    return ramp.paint(level)


_SURFACES: dict[str, Callable[[Sheet, Ramp], Field]] = {
    "drape": _satin,
    "pleats": _pleats,
    "weave": _cloth,
    "marble": _marbled,
    "arches": _niche,
    "horizon": _sea,
    "window": _window,
}
