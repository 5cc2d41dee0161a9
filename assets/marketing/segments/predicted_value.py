"""What customers will still buy: BG/NBD for how often, gamma-gamma for how much.

Belongs here: both models, fitted by maximum likelihood. Does not belong here: counting orders (`features`).

BG/NBD (Fader, Hardie and Lee, 2005): while alive a customer buys at a rate of Gamma(r, alpha); after each purchase they leave
with a chance of Beta(a, b). Gamma-gamma (Fader and Hardie, 2013): an order's value is Gamma(p, nu), nu is Gamma(q, gamma),
independent of how often. Time is in weeks. x is the number of repeat purchases, t_x the age at the newest one, T the age now.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.marketing.segments.errors import SegmentError

MIN_REPEATERS = 50
"""With fewer customers who came back, parameters say more about chance than about customers."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BgNbd:
    """Parameters r, alpha (weeks), a, b; `log_likelihood` of the sample that they were fitted to."""

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float = float("nan")

    def p_alive(self, x: Any, t_x: Any, age: Any) -> Floats:
        """Chance that a customer has not left by age T. Arrays of equal length; without a repeat it is 1 in this model."""
        from scipy.special import expit

        x, t_x, age = _arrays(x, t_x, age)
        odds = np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1) + (self.r + x) * self._idle(t_x, age)
        return np.where(x > 0, expit(-odds), 1.0)

    def expected(self, weeks: float, x: Any, t_x: Any, age: Any) -> Floats:
        """Purchases to expect in the `weeks` after age T."""
        from scipy.special import hyp2f1

        x, t_x, age = _arrays(x, t_x, age)
        # At a = 1 the formula is 0 / 0 with a limit; next to it lies the same number.
        a = self.a if abs(self.a - 1) > 1e-7 else 1 + 1e-7
        # Pfaff's transformation of the published form: it neither over- nor underflows for busy customers.
        decayed = hyp2f1(self.r + x, a - 1, a + self.b + x - 1, -weeks / (self.alpha + age))
        return (a + self.b + x - 1) / (a - 1) * (1 - decayed) * self.p_alive(x, t_x, age)

    def _idle(self, t_x: Floats, age: Floats) -> Floats:
        return np.log(self.alpha + age) - np.log(self.alpha + t_x)


@dataclass(frozen=True)
class GammaGamma:
    """Parameters p, q, gamma (in the unit of value)."""

    p: float
    q: float
    gamma: float
    log_likelihood: float = float("nan")

    def expected(self, x: Any, mean: Any) -> Floats:
        """Value of the average purchase, given `mean` of x repeat purchases; without one the mean of all, NaN if none."""
        x, mean = _arrays(x, mean)
        weight = self.p * x + self.q - 1
        value = self.p * (self.gamma + x * np.where(x > 0, mean, 0.0)) / np.where(weight > 0, weight, 1.0)
        return np.where(weight > 0, value, np.nan)


def fit_bg_nbd(x: Any, t_x: Any, age: Any) -> BgNbd:
    """Parameters for customers with x repeat purchases (0 and more), t_x and T in weeks, 0 <= t_x <= T. Raises SegmentError."""
    x, t_x, age = _arrays(x, t_x, age)
    if bool(np.any((x < 0) | (t_x < 0) | (t_x > age) | ((x == 0) & (t_x > 0)))):
        raise SegmentError(
            "purchases: x and t_x must be 0 or more, t_x at most T, and 0 without a repeat. Correct them."
        )
    _enough(x)
    # Customers with the same history count once, by their number.
    rows, weights = np.unique(np.column_stack([x, t_x, age]), axis=0, return_counts=True)

    def loss(logs: Floats) -> float:
        return -float(weights @ _bg_nbd_terms(np.exp(logs), *rows.T)) / len(x)

    found, value = _minimise(loss, np.log([1.0, float(np.mean(age)) / 4 + 1e-3, 1.0, 2.0]), "BG/NBD")
    return BgNbd(*map(float, np.exp(found)), log_likelihood=-value * len(x))


def fit_gamma_gamma(x: Any, mean: Any) -> GammaGamma:
    """Parameters for customers with x >= 1 repeat purchases of `mean` > 0; others are left out. Raises SegmentError."""
    x, mean = _arrays(x, mean)
    repeated = (x > 0) & (mean > 0)
    x, mean = x[repeated], mean[repeated]
    _enough(x)
    unit = float(np.median(mean))

    def loss(logs: Floats) -> float:
        return -float(np.mean(_gamma_gamma_terms(np.exp(logs), x, mean / unit)))

    found, value = _minimise(loss, np.log([2.0, 2.0, 2.0]), "gamma-gamma")
    p, q, gamma = map(float, np.exp(found))
    return GammaGamma(p, q, gamma * unit, -value * len(x) - len(x) * float(np.log(unit)))


def _bg_nbd_terms(parameters: Floats, x: Floats, t_x: Floats, age: Floats) -> Floats:
    from scipy.special import gammaln

    r, alpha, a, b = parameters
    bought = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stayed = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    alive = -(r + x) * np.log(alpha + age)
    left = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    return bought + stayed + np.where(x > 0, np.logaddexp(alive, left), alive)


def _gamma_gamma_terms(parameters: Floats, x: Floats, mean: Floats) -> Floats:
    from scipy.special import gammaln

    p, q, gamma = parameters
    px = p * x
    return (
        gammaln(px + q)
        - gammaln(px)
        - gammaln(q)
        + q * np.log(gamma)
        + (px - 1) * np.log(mean)
        + px * np.log(x)
        - (px + q) * np.log(gamma + x * mean)
    )


def _minimise(loss: Any, start: Floats, name: str) -> tuple[Floats, float]:
    from scipy.optimize import minimize

    # A simplex finds the valley from far away, the gradient its ground; beyond e^±12 nothing that customers do lies.
    bounds = [(-12.0, 12.0)] * len(start)
    near = minimize(
        loss, start, method="Nelder-Mead", bounds=bounds, options={"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-10}
    )
    best = minimize(loss, near.x, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-9})
    found = best if best.fun <= near.fun else near
    if not np.isfinite(found.fun) or bool(np.any(np.abs(found.x) > 11.9)):
        raise SegmentError(
            f"{name} does not fit these purchases: its parameters run away. Give a longer history, or do without predictions."
        )
    return np.asarray(found.x), float(found.fun)


def _enough(x: Floats) -> None:
    if (count := int(np.sum(x > 0))) < MIN_REPEATERS:
        raise SegmentError(
            f"purchases: {count} customers bought again, and {MIN_REPEATERS} are needed for predictions. Wait for more."
        )


def _arrays(*given: Any) -> list[Floats]:
    return [np.asarray(one, dtype=np.float64) for one in given]
