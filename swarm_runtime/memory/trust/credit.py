"""What knowledge is worth that was given: its uplift, with an interval, and whether to go on. Pure.

Now and then a recommendation, or an item, is withheld at random although the memory would give it.
Then the outcomes with it and without it differ by its uplift and by chance alone, and by nothing
that made the memory give it: no other comparison in the log can say that.

The estimate is the difference of two weighted means (Hájek's: each outcome weighs one over the
probability of what happened to it; Hájek 1971, in: Foundations of Statistical Inference). Its error
is linearised, by clusters, with Bessel's correction for weights, and some pseudo-outcomes of unit
variance on either side, so that a few equal outcomes don't look certain; the interval is Student's
with Welch's and Satterthwaite's degrees of freedom. With fewer than two outcomes (or clusters) on a
side there is no interval, and nothing is claimed. ``tests/unit/memory/test_credit`` counts how
often the interval holds the truth.

What was given for certain says nothing and is left out. Whether an agent *used* what it was given
is reported, not used for the estimate: agents use what suits the task, which is no chance.

Above: ``bank``. Below: ``ranking``, ``records``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.memory.records.annotations import Usage

__all__ = [
    "NOTHING_KNOWN",
    "Uplift",
    "Worth",
    "approach_uplifts",
    "chance_to_give",
    "recommendation_uplift",
    "target_uplifts",
    "uplift",
    "worth",
]

Floats = npt.NDArray[np.float64]
Worth = Literal["helps", "harms", "not known"]

#: Outcomes (or clusters) that an interval needs on either side.
_FEWEST = 2
#: Of unit variance, on either side. Without them a side of twenty equal outcomes, of a task that
#: succeeds in nine of ten, would look certain, and the interval hold the truth in 86 % of cases.
_PSEUDO_OUTCOMES = 4.0


@dataclass(frozen=True, slots=True)
class Uplift:
    """What something given was worth, in standard deviations of an outcome.

    Attributes
    ----------
    given, withheld : int
        Outcomes with it and without it.
    mean_given, mean_withheld : float or None
        Weighted means of the excess reward; None where there are no outcomes.
    difference : float or None
    interval : tuple of two float, or None
        None: too few outcomes to say anything.
    level : float
        Of the interval, e.g. 0.95.
    used, unused : int
        Of those given: where the agent said that it used it, or that it didn't.
    """

    given: int
    withheld: int
    mean_given: float | None
    mean_withheld: float | None
    difference: float | None
    interval: tuple[float, float] | None
    level: float = 0.95
    used: int = 0
    unused: int = 0

    def sentence(self, name: str = "knowledge from the memory") -> str:
        """Return the same in words."""
        counts = f"{self.given} outcomes with {name} and {self.withheld} with it withheld at random"
        if self.used or self.unused:
            counts += f" (used in {self.used} of the {self.used + self.unused} that say)"
        if self.difference is None or self.interval is None:
            return f"{counts}: too few to say what it is worth."
        low, high = self.interval
        words = {
            "helps": "it helps",
            "harms": "it harms",
            "not known": "it may help or harm",
        }[worth(self)]
        return (
            f"{counts}: worth {self.difference:+.2f} σ an outcome ({self.level:.0%} between"
            f" {low:+.2f} and {high:+.2f}), so {words}."
        )


#: Of what was never given or withheld.
NOTHING_KNOWN = Uplift(0, 0, None, None, None, None)


def worth(found: Uplift) -> Worth:
    """Return whether it surely helps, surely harms, or neither.

    Surely: the whole interval is above, or below, zero.
    """
    if found.interval is None:
        return "not known"
    low, high = found.interval
    if high < 0.0:
        return "harms"
    return "helps" if low > 0.0 else "not known"


def chance_to_give(found: Uplift, withheld_fraction: float) -> float:
    """Return the probability with which it should be given from now on.

    What surely harms should no longer be given; but as a verdict on many things is wrong on some of
    them, and things change, it is still given as often as others are withheld, and can recover.
    """
    return withheld_fraction if worth(found) == "harms" else 1.0 - withheld_fraction


def uplift(
    excess: npt.ArrayLike,
    given: npt.ArrayLike,
    propensity: npt.ArrayLike,
    *,
    clusters: Sequence[object] | None = None,
    level: float = 0.95,
    used: int = 0,
    unused: int = 0,
) -> Uplift:
    """Estimate what something given is worth.

    Parameters
    ----------
    excess : array of float, shape (n,)
        Outcomes, in standard deviations.
    given : array of bool, shape (n,)
    propensity : array of float, shape (n,)
        Probability with which it was given, in (0, 1]. Rows with 1 are left out.
    clusters : sequence of length n, or None
        Outcomes of one cluster (the same market, the same hour) are not independent; None: each is
        a cluster of its own.
    level : float
        Of the interval.
    used, unused : int
        To be reported.

    Raises
    ------
    ValueError
        If the lengths differ, or a propensity is not in (0, 1].
    """
    y = np.asarray(excess, dtype=np.float64)
    with_it = np.asarray(given, dtype=np.bool_)
    chance = np.asarray(propensity, dtype=np.float64)
    if not y.shape == with_it.shape == chance.shape == (len(y),):
        raise ValueError(f"{len(y)} outcomes, {with_it.size} given, {chance.size} propensities")
    if clusters is not None and len(clusters) != len(y):
        raise ValueError(f"{len(y)} outcomes, {len(clusters)} clusters")
    if not ((chance > 0.0) & (chance <= 1.0)).all():
        raise ValueError(f"propensity = {chance.min()} to {chance.max()}: in (0, 1]")
    lots = chance < 1.0
    groups = np.arange(len(y)) if clusters is None else _numbered(clusters)
    y, with_it, chance, groups = y[lots], with_it[lots], chance[lots], groups[lots]
    first = _side(y[with_it], 1.0 / chance[with_it], groups[with_it])
    second = _side(y[~with_it], 1.0 / (1.0 - chance[~with_it]), groups[~with_it])
    difference = None if first.mean is None or second.mean is None else first.mean - second.mean
    return Uplift(
        given=int(with_it.sum()),
        withheld=int((~with_it).sum()),
        mean_given=first.mean,
        mean_withheld=second.mean,
        difference=difference,
        interval=None if difference is None else _interval(difference, first, second, level),
        level=level,
        used=used,
        unused=unused,
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """A weighted mean; each cluster's part in its error; how many clusters it is worth."""

    mean: float | None
    parts: dict[int, float]
    worth: float
    floor: float


def _side(y: Floats, weight: Floats, groups: npt.NDArray[np.intp]) -> _Side:
    if not len(y):
        return _Side(None, {}, 0.0, 0.0)
    total = float(weight.sum())
    mean = float((weight * y).sum()) / total
    names, at = np.unique(groups, return_inverse=True)
    share = np.bincount(at, weight) / total
    parts = np.bincount(at, weight * (y - mean)) / total
    squares = float((share * share).sum())
    worth_of = 1.0 / squares
    # Bessel's correction for weights; n / (n - 1) if all are equal.
    if squares < 1.0 - 1e-12:
        parts = parts / math.sqrt(1.0 - squares)
    # Some pseudo-outcomes of unit variance beside as many as the clusters are worth.
    free = max(worth_of - 1.0, 0.0)
    parts = parts * math.sqrt(free / (free + _PSEUDO_OUTCOMES))
    floor = squares * _PSEUDO_OUTCOMES / (free + _PSEUDO_OUTCOMES)
    return _Side(mean, dict(zip(names.tolist(), parts.tolist(), strict=True)), worth_of, floor)


def _interval(
    difference: float, first: _Side, second: _Side, level: float
) -> tuple[float, float] | None:
    if min(len(first.parts), len(second.parts)) < _FEWEST:
        return None
    total = sum(
        (first.parts.get(name, 0.0) - second.parts.get(name, 0.0)) ** 2
        for name in sorted(first.parts.keys() | second.parts.keys())
    )
    floors = first.floor + second.floor
    variances = [
        sum(part * part for part in one.parts.values()) + one.floor for one in (first, second)
    ]
    degrees = sum(variances) ** 2 / sum(
        variance**2 / max(one.worth - 1.0, 1e-9)
        for variance, one in zip(variances, (first, second), strict=True)
    )
    quantile = float(stdtrit(max(degrees, 1.0), 0.5 + 0.5 * level))
    width = quantile * math.sqrt(total + floors)
    return difference - width, difference + width


def _numbered(clusters: Sequence[object]) -> npt.NDArray[np.intp]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(one, len(numbers)) for one in clusters], dtype=np.intp)


def target_uplifts(
    usages: Iterable[Usage],
    excess: Mapping[str, float],
    *,
    as_of_s: int | None = None,
    clusters: Mapping[str, object] | None = None,
    level: float = 0.95,
) -> dict[str, Uplift]:
    """Return the uplift of each pattern and item that was given or withheld.

    Parameters
    ----------
    usages : iterable of Usage
        In any order; one that comes twice counts once.
    excess : mapping of str to float
        Outcome of each trajectory that is known, by id, in standard deviations. (One that is
        revoked, or not known yet, is not here, and its usage does not count.)
    as_of_s : int or None
        Usages known later don't count; None: all do.
    clusters : mapping of str to object, or None
        By trajectory; see ``uplift``.
    level : float

    Returns
    -------
    dict of str to Uplift
        By target, in order of targets.
    """
    rows: dict[str, dict[str, Usage]] = {}
    for one in usages:
        if one.trajectory in excess and (as_of_s is None or one.known_at_s <= as_of_s):
            rows.setdefault(one.target, {})[one.id] = one
    found: dict[str, Uplift] = {}
    for target in sorted(rows):
        mine = [rows[target][id_] for id_ in sorted(rows[target])]
        found[target] = uplift(
            [excess[one.trajectory] for one in mine],
            [one.given for one in mine],
            [one.propensity for one in mine],
            clusters=[
                one.trajectory if clusters is None else clusters.get(one.trajectory, one.trajectory)
                for one in mine
            ],
            level=level,
            used=sum(one.given and one.used is True for one in mine),
            unused=sum(one.given and one.used is False for one in mine),
        )
    return found


def recommendation_uplift(experiences: Iterable[Experience], *, level: float = 0.95) -> Uplift:
    """Return what it was worth to follow recommendations, over experiences of agents.

    Compares the rows whose reason is APPLIED with those whose reason is WITHHELD, by the outcome
    of what was carried out. Rows of one moment are a cluster: they share the market.

    Parameters
    ----------
    experiences : iterable of Experience
        In any order; one that comes twice counts once.
    level : float
    """
    values: list[Floats] = []
    given: list[npt.NDArray[np.bool_]] = []
    chances: list[Floats] = []
    clusters: list[int] = []
    for one in _once(experiences):
        applied, withheld = one.reason == Reason.APPLIED, one.reason == Reason.WITHHELD
        rows = np.flatnonzero((applied | withheld) & (one.chosen >= 0))
        actual = one.excess[rows, one.chosen[rows]] / REWARD_SCALE
        values.append(actual)
        given.append(applied[rows])
        chances.append(_given_chance(one.propensity[rows], len(one.approaches)))
        clusters += [one.known_at_s] * len(rows)
    if not values:
        return uplift([], [], [], level=level)
    return uplift(
        np.concatenate(values),
        np.concatenate(given),
        np.concatenate(chances),
        clusters=clusters,
        level=level,
    )


def _given_chance(propensity: npt.NDArray[np.float32], approaches: int) -> Floats:
    """Return the probability that a recommendation was followed, from that of what was chosen.

    Withheld with probability w, one of K is chosen instead, each alike. So the recommended one is
    chosen with probability 1 - w + w/K, any other one with w/K; w is at most a half.
    """
    chosen = propensity.astype(np.float64)
    if approaches < 2:
        return np.ones(len(chosen))
    recommended = chosen >= 0.5
    withheld = np.where(recommended, (1.0 - chosen) / (1.0 - 1.0 / approaches), chosen * approaches)
    return np.clip(1.0 - withheld, 1e-9, 1.0)


def approach_uplifts(
    experiences: Iterable[Experience], *, level: float = 0.95
) -> dict[str, Uplift]:
    """Return for each approach what recommending it was worth, from outcomes computed afterwards.

    Where the outcome of every candidate can be computed (a price-taker's), nothing needs to be
    withheld: each row in which an approach was applied is compared with the mean over all
    candidates in the same row, which is what choosing blindly would have earned. ``withheld`` then
    counts the same rows. The interval is Student's, over the moments.

    Parameters
    ----------
    experiences : iterable of Experience
        Whose ``excess`` holds all candidates' outcomes; in any order.
    level : float

    Returns
    -------
    dict of str to Uplift
        By approach, in order of names.
    """
    rows: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for one in _once(experiences):
        for at in np.flatnonzero((one.reason == Reason.APPLIED) & (one.chosen >= 0)).tolist():
            chosen = int(one.chosen[at])
            pair = (
                int(one.excess[at, chosen]) / REWARD_SCALE,
                int(one.excess[at].sum()) / len(one.approaches) / REWARD_SCALE,
            )
            moments = rows.setdefault(one.approaches[chosen], {})
            moments.setdefault(one.known_at_s, []).append(pair)
    return {approach: _paired(rows[approach], level) for approach in sorted(rows)}


def _paired(moments: Mapping[int, list[tuple[float, float]]], level: float) -> Uplift:
    pairs = np.array([pair for moment in sorted(moments) for pair in moments[moment]])
    groups = np.repeat(
        np.arange(len(moments)), [len(moments[moment]) for moment in sorted(moments)]
    )
    gain = pairs[:, 0] - pairs[:, 1]
    side = _side(gain, np.ones(len(gain)), groups)
    difference = float(gain.mean())
    interval = None
    if len(moments) >= _FEWEST:
        variance = sum(part * part for part in side.parts.values()) + side.floor
        quantile = float(stdtrit(max(side.worth - 1.0, 1.0), 0.5 + 0.5 * level))
        width = quantile * math.sqrt(variance)
        interval = (difference - width, difference + width)
    mean = pairs.mean(axis=0)
    return Uplift(
        given=len(gain),
        withheld=len(gain),
        mean_given=float(mean[0]),
        mean_withheld=float(mean[1]),
        difference=difference,
        interval=interval,
        level=level,
    )


def _once(experiences: Iterable[Experience]) -> list[Experience]:
    """Return each experience once, in one order."""
    known = {one.key: one for one in experiences}
    return [known[key] for key in sorted(known)]
