"""What a choice policy is asked, what it answers, and what all of them share. Pure.

A policy says which of K candidates to take in one context. It is asked in one of two ways. *What do
you recommend?* comes without draws: nothing is explored or withheld, and where nothing clears the
gate the answer is to abstain. *What shall I do?* comes with draws: an approach is always named, so
that a memory that knows nothing yet begins to learn. The gate (minimum usage, threshold, lower
bound) decides what may be called a recommendation, never what may be explored.

Every answer carries the probability with which it was given, whatever the policy, because the
credit that a memory may claim is computed from it. Above: ``bank``. Below: ``ranking`` (estimates
from the neighbourhood) and ``linear`` (what a model of the context predicts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.memory.choice.ranking import Estimates, Reason, clears_gate

__all__ = [
    "PRIOR",
    "Answer",
    "Belief",
    "Policy",
    "Question",
    "act",
    "cleared",
    "held",
    "mixed",
]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: Pseudo-outcomes of excess reward zero and variance one, for each candidate.
PRIOR = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What a linear model says of K candidates in one context.

    Attributes
    ----------
    mean : ndarray of float64, shape (K,)
        Predicted excess reward, in standard deviations of an outcome.
    width : ndarray of float64, shape (K,)
        Standard error of that prediction, if one outcome has variance one:
        sqrt(x'(λI + X'X)⁻¹x). Its inverse square is the number of outcomes that it is worth.
    """

    mean: Floats
    width: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One context, K candidates, and what is known of them by then.

    Attributes
    ----------
    estimates : Estimates
        From the neighbourhood, of shape (1, K).
    settings : MemorySettings
        The gate, and the share to withhold.
    draws : tuple of two float, or None
        Uniform in [0, 1): for exploring and for withholding. None: what is asked for is a
        recommendation, and it may be to abstain.
    belief : Belief or None
        For policies that say ``needs_belief``; None: there is no model yet.
    """

    estimates: Estimates
    settings: MemorySettings
    draws: tuple[float, float] | None = None
    belief: Belief | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a policy chose, and how it came to it.

    Attributes
    ----------
    chosen : int or None
        Index of the candidate to take; None: the memory abstains (only without draws).
    recommended : int or None
        What the memory holds for best and would apply, also where it was withheld or something
        else is explored; None: nothing clears the gate.
    reason : Reason
        APPLIED, ABSTAINED, WITHHELD or EXPLORED.
    propensity : float
        Probability with which ``chosen`` was chosen, over the draws; 0 where nothing is.
    lower : ndarray of float64, shape (K,)
        Lower bound of the excess reward: what the gate looked at.
    score : ndarray of float64, shape (K,)
        By which the policy ranked.
    parts : mapping of str to ndarray of float64, shape (K,)
        What the score was computed from, by name.
    formula : str
        How, in words.
    """

    chosen: int | None
    recommended: int | None
    reason: Reason
    propensity: float
    lower: Floats
    score: Floats
    parts: Mapping[str, Floats] = field(default_factory=dict)
    formula: str = ""


class Policy(Protocol):
    """Chooses among candidates. Has no state: what it knows is in the question."""

    @property
    def name(self) -> str:
        """By which settings name it."""
        ...

    @property
    def needs_belief(self) -> bool:
        """Whether it reads ``Question.belief``."""
        ...

    def choose(self, question: Question) -> Answer:
        """Choose for one context."""
        ...


def cleared(question: Question, lower: Floats | None = None) -> Flags:
    """Return which candidates may be recommended.

    Parameters
    ----------
    question : Question
    lower : ndarray of float64, shape (K,), or None
        Lower bounds of the excess reward; None: those of the neighbourhood.

    Returns
    -------
    ndarray of bool, shape (K,)
    """
    estimates, settings = question.estimates, question.settings
    if lower is None:
        return np.asarray(clears_gate(estimates, settings)[0])
    flags: Flags = (
        (lower > 0.0)
        & (estimates.outcomes[0] >= settings.minimum_usage)
        & (estimates.confidence[0] >= settings.confidence_threshold)
    )
    return flags


def held(worth: Floats, may: Flags) -> int | None:
    """Return the best of those that may be recommended, ties by order; None if none may."""
    if not may.any():
        return None
    return int(np.where(may, worth, -np.inf).argmax())


def act(
    question: Question,
    picked: int,
    may: Flags,
    recommended: int | None,
    *,
    lower: Floats,
    score: Floats,
    parts: Mapping[str, Floats],
    formula: str,
) -> Answer:
    """Answer for a policy that picks one candidate without drawing lots.

    Without draws the answer is what is recommended. With them it is what was picked; if that may
    be recommended it is withheld now and then, and any candidate stands in for it.

    Parameters
    ----------
    question : Question
    picked : int
        By the policy's own rule, exploring included.
    may : ndarray of bool, shape (K,)
        From ``cleared``.
    recommended : int or None
    lower, score, parts, formula
        See ``Answer``.
    """
    if question.draws is None:
        chosen, reason, propensity = _recommendation(recommended)
    else:
        explore_draw, withhold_draw = question.draws
        count = len(score)
        share = question.settings.withheld_fraction if may[picked] else 0.0
        if withhold_draw < share:
            chosen, reason = min(int(explore_draw * count), count - 1), Reason.WITHHELD
        else:
            chosen, reason = picked, Reason.APPLIED if may[picked] else Reason.EXPLORED
        propensity = share / count + (1.0 - share if chosen == picked else 0.0)
    return Answer(chosen, recommended, reason, propensity, lower, score, parts, formula)


def mixed(
    question: Question,
    chances: Floats,
    may: Flags,
    recommended: int | None,
    *,
    lower: Floats,
    score: Floats,
    parts: Mapping[str, Floats],
    formula: str,
) -> Answer:
    """Answer for a policy that draws lots: as ``act``, but each candidate has its chance.

    One uniform draw serves for both lots: given which candidate it falls on, its place within that
    candidate's share is uniform again, and chooses what stands in where that one is withheld. So
    the propensity is exact.

    Parameters
    ----------
    question : Question
    chances : ndarray of float64, shape (K,)
        Sum to one.
    may, recommended, lower, score, parts, formula
        As in ``act``.
    """
    if question.draws is None:
        chosen, reason, propensity = _recommendation(recommended)
        return Answer(chosen, recommended, reason, propensity, lower, score, parts, formula)
    explore_draw, withhold_draw = question.draws
    count = len(chances)
    edges = np.cumsum(chances)
    at = explore_draw * float(edges[-1])
    picked = min(int(np.searchsorted(edges, at, side="right")), count - 1)
    share = question.settings.withheld_fraction
    if may[picked] and withhold_draw < share:
        start = float(edges[picked - 1]) if picked else 0.0
        within = (at - start) / max(float(edges[picked]) - start, 1e-300)
        chosen, reason = min(int(within * count), count - 1), Reason.WITHHELD
    else:
        chosen, reason = picked, Reason.APPLIED if may[picked] else Reason.EXPLORED
    given = share * float(chances[may].sum()) / count
    kept = float(chances[chosen]) * (1.0 - share if may[chosen] else 1.0)
    return Answer(chosen, recommended, reason, given + kept, lower, score, parts, formula)


def _recommendation(recommended: int | None) -> tuple[int | None, Reason, float]:
    if recommended is None:
        return None, Reason.ABSTAINED, 0.0
    return recommended, Reason.APPLIED, 1.0
