"""What the bank answers: a choice or an abstention, with its reasons in numbers and words. Pure.

Above: ``bank``. Below: ``ranking`` estimates and chooses; here it is put into words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from swarm_runtime.config import MemorySettings
from swarm_runtime.memory.choice.policies.protocol import Answer
from swarm_runtime.memory.choice.ranking import (
    CONFIDENCE_WEIGHTS,
    Choice,
    Estimates,
    Reason,
    clears_gate,
)

__all__ = [
    "CandidateEstimate",
    "Confidence",
    "Evidence",
    "Recommendation",
    "answered",
    "best_candidate",
    "candidate_estimates",
    "in_words",
    "recommendation",
]


@dataclass(frozen=True, slots=True)
class Confidence:
    """The report's confidence, by its four parts, each in [0, 1].

    Attributes
    ----------
    success : float
        Share of successes among verdicts, with one of each added.
    usage : float
        n / (n + 3) for n outcomes.
    recency : float
        Halves with every half-life since the newest outcome.
    similarity : float
        Of the contexts in which the outcomes were found to the one that is asked about.
    """

    success: float
    usage: float
    recency: float
    similarity: float

    @property
    def value(self) -> float:
        """0.4 success + 0.3 usage + 0.2 recency + 0.1 similarity (the report, 3.2)."""
        weights = CONFIDENCE_WEIGHTS
        return (
            weights[0] * self.success
            + weights[1] * self.usage
            + weights[2] * self.recency
            + weights[3] * self.similarity
        )

    def __str__(self) -> str:
        parts = (self.success, self.usage, self.recency, self.similarity)
        names = ("success", "usage", "recency", "similarity")
        terms = zip(CONFIDENCE_WEIGHTS, parts, names, strict=True)
        return f"{self.value:.2f} = " + " + ".join(f"{w:g}·{p:.2f} {name}" for w, p, name in terms)


@dataclass(frozen=True, slots=True)
class CandidateEstimate:
    """What the memory knows of one candidate in the context that was asked about.

    Attributes
    ----------
    approach : str
    outcomes : float
        Effective number: each counts by the similarity of its context.
    mean, standard_error, lower_bound : float
        Of the excess reward, in standard deviations of an outcome.
    confidence : Confidence
    """

    approach: str
    outcomes: float
    mean: float
    standard_error: float
    lower_bound: float
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Evidence:
    """A pattern on which a recommendation rests.

    Attributes
    ----------
    pattern_id, domain, approach : str
    context : mapping of str to str
        Its context, in words.
    similarity : float
        Of its context to the one that was asked about, in (0, 1].
    trials, successes, failures : int
        Outcomes that taught.
    mean_excess : float
        In standard deviations of an outcome.
    agents : tuple of str
        Who found out.
    last_known_s : int
    """

    pattern_id: str
    domain: str
    approach: str
    context: Mapping[str, str]
    similarity: float
    trials: int
    successes: int
    failures: int
    mean_excess: float
    agents: tuple[str, ...]
    last_known_s: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The bank's answer.

    Attributes
    ----------
    approach : str or None
        What to do. None: nothing is recommended, explore. (If draws were given, what to do is
        always named, also when it is exploring.)
    recommended : str or None
        What the memory holds for best, also where it was withheld; None where it abstains.
    reason : Reason
        APPLIED, ABSTAINED, WITHHELD or EXPLORED.
    why : str
        The same in a sentence.
    propensity : float
        Probability with which ``approach`` was chosen; 0 if there is none.
    confidence : float or None
        Of ``recommended``.
    candidates : tuple of CandidateEstimate
        In the order in which they were given.
    evidence : tuple of Evidence
        The patterns that weigh most for ``recommended``; where the memory abstains, for the
        candidate with the highest lower bound.
    as_of_s : int
    formula : str
        How the policy ranked the candidates, in words.
    scores : tuple of mapping of str to float
        Of each candidate: its ``score``, and the parts that it was computed from.
    """

    approach: str | None
    recommended: str | None
    reason: Reason
    why: str
    propensity: float
    confidence: float | None
    candidates: tuple[CandidateEstimate, ...]
    evidence: tuple[Evidence, ...]
    as_of_s: int
    formula: str = ""
    scores: tuple[Mapping[str, float], ...] = ()


def candidate_estimates(
    estimates: Estimates, candidates: Sequence[str], bound_z: float
) -> tuple[CandidateEstimate, ...]:
    """Return the estimates of one context (the first row) by candidate."""
    columns = (
        estimates.outcomes,
        estimates.mean,
        estimates.standard_error,
        estimates.lower_bound(bound_z),
        estimates.success,
        estimates.usage,
        estimates.recency,
        estimates.similarity,
    )
    rows = zip(candidates, *(column[0].tolist() for column in columns), strict=True)
    return tuple(
        CandidateEstimate(approach, outcomes, mean, error, lower, Confidence(*parts))
        for approach, outcomes, mean, error, lower, *parts in rows
    )


def best_candidate(estimates: Estimates, settings: MemorySettings) -> int:
    """Return the candidate of one context (the first row) that a sentence should be about.

    The one that ``choose`` recommends; where it abstains, the one with the highest lower bound
    among those of which anything is known.
    """
    lower = estimates.lower_bound(settings.bound_z)[0]
    cleared = clears_gate(estimates, settings)[0]
    worth = cleared if cleared.any() else estimates.outcomes[0] > 0.0
    return int(np.where(worth, lower, -np.inf).argmax())


def recommendation(
    found: tuple[CandidateEstimate, ...],
    choice: Choice,
    settings: MemorySettings,
    evidence: tuple[Evidence, ...],
    best: CandidateEstimate,
    as_of_s: int,
    *,
    explores: bool,
) -> Recommendation:
    """Put a choice for one context into words.

    Parameters
    ----------
    found : tuple of CandidateEstimate
    choice : Choice
        Of one row.
    settings : MemorySettings
    evidence : tuple of Evidence
        For ``best``.
    best : CandidateEstimate
        What is recommended, or would be if it cleared the gate.
    as_of_s : int
    explores : bool
        Whether the caller gave draws, so that the choice stands also where it explores.
    """
    reason = Reason(int(choice.reason[0]))
    recommended = None if reason is Reason.ABSTAINED else best.approach
    acts = explores or reason is Reason.APPLIED
    return Recommendation(
        approach=found[int(choice.chosen[0])].approach if acts else None,
        recommended=recommended,
        reason=reason,
        why=_why(reason, best, settings, best.lower_bound),
        propensity=float(choice.propensity[0]) if acts else 0.0,
        confidence=None if recommended is None else best.confidence.value,
        candidates=found,
        evidence=evidence,
        as_of_s=as_of_s,
    )


def answered(
    answer: Answer,
    estimates: Estimates,
    candidates: Sequence[str],
    settings: MemorySettings,
    evidence: Callable[[str], tuple[Evidence, ...]] | None,
    as_of_s: int,
) -> Recommendation:
    """Put a policy's answer into words.

    Parameters
    ----------
    answer : Answer
    estimates : Estimates
        What it was asked about: one row.
    candidates : sequence of str, length K
    settings : MemorySettings
    evidence : callable or None
        From a candidate to the patterns that weigh most for it; None: they are not named.
    as_of_s : int
    """
    found = candidate_estimates(estimates, candidates, settings.bound_z)
    at = answer.recommended
    if at is None:
        known = estimates.outcomes[0] > 0.0
        at = int(np.where(known, answer.lower, -np.inf).argmax())
    best = found[at]
    taken = None if answer.chosen is None else found[answer.chosen]
    if answer.reason is Reason.EXPLORED and taken is not None:
        why = (
            f"Explores {taken.approach!r}: {taken.outcomes:.1f} outcomes are known in contexts like"
            f" this, and it may still be the best (score {answer.score[answer.chosen]:+.2f} ="
            f" {answer.formula})."
        )
    else:
        why = _why(answer.reason, best, settings, float(answer.lower[at]))
    names = ("score", *answer.parts)
    columns = (answer.score.tolist(), *(part.tolist() for part in answer.parts.values()))
    return Recommendation(
        approach=None if taken is None else taken.approach,
        recommended=None if answer.recommended is None else best.approach,
        reason=answer.reason,
        why=why,
        propensity=answer.propensity,
        confidence=None if answer.recommended is None else best.confidence.value,
        candidates=found,
        evidence=() if evidence is None else evidence(best.approach),
        as_of_s=as_of_s,
        formula=answer.formula,
        scores=tuple(
            dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)
        ),
    )


def _why(reason: Reason, best: CandidateEstimate, settings: MemorySettings, lower: float) -> str:
    if best.outcomes == 0.0:
        return "Abstains: nothing is known by then of any candidate in a context like this."
    facts = (
        f"{best.approach!r} earned {best.mean:+.2f} σ a try above the benchmark in contexts like"
        f" this ({best.outcomes:.1f} outcomes, lower bound {lower:+.2f} σ,"
        f" confidence {best.confidence})"
    )
    if reason is Reason.APPLIED:
        return f"{facts}."
    if reason is Reason.WITHHELD:
        return f"{facts}; withheld at random, to measure what recommendations are worth."
    short: list[str] = []
    if lower <= 0.0:
        short.append("its lower bound is not above 0")
    if best.outcomes < settings.minimum_usage:
        short.append(f"{settings.minimum_usage} outcomes are needed")
    if best.confidence.value < settings.confidence_threshold:
        short.append(f"a confidence of {settings.confidence_threshold:g} is needed")
    return f"Abstains: nothing clears the gate. The nearest, {facts}: {', '.join(short)}."


def in_words(context: Mapping[str, str]) -> str:
    """Return a context as part of a sentence, e.g. ``trend is rising and volume is high``."""
    return " and ".join(f"{name} is {word}" for name, word in sorted(context.items()))
