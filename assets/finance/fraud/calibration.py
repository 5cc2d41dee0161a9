"""From a score to a probability, and from a probability to whether a person should look.

Belongs here: Platt's scaling, how well probabilities hold, and the threshold that costs least. Does not belong here: the model.
"""

from dataclasses import dataclass

import numpy as np

_SMALLEST = 1e-12


@dataclass(frozen=True)
class Platt:
    """probability = 1 / (1 + exp(-(slope * margin + intercept))). Keeps ranks, since the slope is above zero (Platt 1999)."""

    slope: float
    intercept: float

    def __call__(self, margins: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-np.clip(self.slope * margins + self.intercept, -700, 700)))


@dataclass(frozen=True)
class Costs:
    """What a review costs, in the unit of the amounts, and which share of a missed fraud's amount is lost."""

    review: float = 10.0
    loss_share: float = 1.0


@dataclass(frozen=True)
class Threshold:
    """Scores from `value` on are alerts. `cost` and `alerts` are those of the rows that it was chosen on."""

    value: float
    alerts: int
    cost: float
    cost_without: float


def fit_platt(margins: np.ndarray, labels: np.ndarray) -> Platt:
    """Fit on rows that the model was not trained on, with Platt's targets, which keep it from certainty. By Newton's method.

    Where the margins do not rank the labels at all, the result is the mean for every row but for a slope near zero.
    """
    frauds, others = float(labels.sum()), float(len(labels) - labels.sum())
    targets = np.where(labels > 0, (frauds + 1) / (frauds + 2), 1 / (others + 2))
    design = np.column_stack([margins, np.ones_like(margins)])
    weights = np.array([1.0, 0.0])
    for _ in range(100):
        fitted = 1 / (1 + np.exp(-np.clip(design @ weights, -700, 700)))
        curvature = np.maximum(fitted * (1 - fitted), _SMALLEST)
        hessian = design.T @ (design * curvature[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, design.T @ (targets - fitted))
        # Newton may overshoot from far away.
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), _SMALLEST))
        if np.abs(step).max() < 1e-9:
            break
    return Platt(max(float(weights[0]), 1e-3), float(weights[1]))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: mean distance of probability and share of fraud over `bins` groups of equally many rows."""
    order = np.argsort(probabilities, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    gaps = [len(g) * abs(float(probabilities[g].mean()) - float(labels[g].mean())) for g in groups]
    return sum(gaps) / max(len(labels), 1)


def cheapest_threshold(scores: np.ndarray, labels: np.ndarray, amounts: np.ndarray, costs: Costs) -> Threshold:
    """The threshold at which reviews and missed frauds together cost least, on rows that the model was not trained on.

    Each alert costs a review, each fraud below the threshold costs its amount's `loss_share`. Where reviewing nothing is
    cheapest the threshold is just above the highest score.
    """
    order = np.argsort(-scores, kind="stable")
    loss = np.where(labels > 0, np.abs(amounts) * costs.loss_share, 0.0)[order]
    ranked = scores[order]
    alerts = np.arange(len(ranked) + 1)
    total = alerts * costs.review + loss.sum() - np.concatenate([[0.0], np.cumsum(loss)])
    # Rows of equal score are alerts together or not at all.
    possible = np.concatenate([[True], ranked[1:] < ranked[:-1], [True]]) if len(ranked) else np.array([True])
    best = int(np.argmin(np.where(possible, total, np.inf)))
    value = float(ranked[best - 1]) if best else float(np.nextafter(ranked[0], np.inf)) if len(ranked) else 1.0
    return Threshold(value, best, float(total[best]), float(loss.sum()))
