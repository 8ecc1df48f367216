"""Thompson sampling: each candidate's chance is the probability that it is the best. Pure.

What is known of a candidate is a normal law: mean and standard error of the nearest outcomes, with
half a pseudo-outcome of mean zero and variance one (Thompson, Biometrika 25, 1933). Usually one
number is drawn from each law and the largest wins; then nobody knows the probability of what was
chosen. Here that probability is computed first, and the candidate is drawn from it by one lot:

    P(i is best) = ∫ φ((x - μᵢ)/σᵢ)/σᵢ · Πⱼ≠ᵢ Φ((x - μⱼ)/σⱼ) dx

by a sum over fixed points. Whatever error that sum has is an error in how much is explored, never
in the propensity, which is that of the lot that was really drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from swarm_runtime.memory.choice.policies.protocol import (
    PRIOR,
    Answer,
    Question,
    cleared,
    held,
    mixed,
)

__all__ = ["Thompson", "chances_of_best"]

Floats = npt.NDArray[np.float64]

#: Points of the sum, as standard deviations from each candidate's own mean.
_POINTS = np.linspace(-4.0, 4.0, 33)
_WEIGHTS = np.exp(-0.5 * _POINTS**2)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def chances_of_best(mean: Floats, error: Floats) -> Floats:
    """Return the probability that each of K independent normal variables is the largest.

    Parameters
    ----------
    mean, error : ndarray of float64, shape (K,)
        Errors above zero.

    Returns
    -------
    ndarray of float64, shape (K,)
        They sum to one.
    """
    points = mean[:, None] + error[:, None] * _POINTS
    distances = (points[:, :, None] - mean) / error
    below = log_ndtr(distances).sum(axis=2) - log_ndtr(_POINTS)
    chances = np.exp(below) @ _WEIGHTS
    return np.asarray(chances / chances.sum())


@dataclass(frozen=True, slots=True)
class Thompson:
    """By lot, each with the probability that it is the best.

    Attributes
    ----------
    exploration : float
        By which standard errors are multiplied: below one it explores less than it should if one
        outcome had variance one.
    """

    exploration: float = 0.15
    name: str = "thompson"
    needs_belief: bool = False

    def choose(self, question: Question) -> Answer:
        """Choose for one context."""
        estimates = question.estimates
        outcomes = estimates.outcomes[0]
        mean = estimates.mean[0] * outcomes / (outcomes + PRIOR)
        error = 1.0 / np.sqrt(outcomes + PRIOR)
        chances = chances_of_best(mean, self.exploration * error)
        may = cleared(question)
        lower = estimates.lower_bound(question.settings.bound_z)[0]
        return mixed(
            question,
            chances,
            may,
            held(lower, may),
            lower=lower,
            score=chances,
            parts={"mean": mean, "standard_error": error},
            formula=f"probability of being the best, at {self.exploration:g}·standard error",
        )
