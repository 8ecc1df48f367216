"""How far each agent's reports are believed, and how far one domain's patterns hold in another.

Pure. An agent's reports are compared with what the *other* agents found of the same approach in
the same neighbourhood (``neighbourhoods``). What chance explains is taken off, so agents that
meet the same kind of contexts differ by zero on average, however few their reports are; what is
left is the mean squared *disagreement*, in σ² of an outcome. A liar of any kind disagrees: one that
always reports success, one that always reports failure, one that says the opposite, one that makes
it up. Disagreement only counts where it is sure, so a new agent has full weight, and beyond what
is usual among the others: where all agents differ because each has contexts of its own,
nobody is suspected. Each other agent has one vote in a neighbourhood, however much it reports,
and its vote counts as far as it is believed itself, which takes a few rounds to settle. With two
agents nobody can say which one is wrong, and both keep their weight.

Where it fails: a liar that disagrees less than ``TOLERANCE`` (it mostly does what works and says
so), or only where nobody else reports; liars that are the majority of those who report somewhere,
also if they are one liar by many names; and an honest agent whose contexts differ from all others'
*within* neighbourhoods by more than ``TOLERANCE`` loses weight, because that looks the same. One
that tries anything anywhere, while all others do what the memory says, comes near it.
``benchmarks/liars`` measures all of these.

How it is called (``assessment`` does all of it from columns of outcomes; nothing depends on their
order)::

    fine = Reports.collect(keys, agents, counters)          one row for each (key, agent)
    coarse = Reports.collect(wider_keys, agents, counters)
    trust = settled(fine, agent_count, coarse=coarse)       -> Trust, with .levels in sixteenths
    trust.doubts(names)                                     -> who counts for less, and why
    transfer_levels(Reports.collect(keys, domains, counters), domain_count)   -> sixteenths

``transfer_levels`` is the same comparison between domains: how far the mean excess reward of an
approach in a neighbourhood in one domain tells its mean in another, as a slope; 1 for domains that
are alike, 0 for unrelated ones, and a prior in between while there is no evidence.

Above: ``assessment``. Below: ``reports``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.trust.reports import Reports

__all__ = [
    "FULL_LEVEL",
    "TOLERANCE",
    "TRANSFER_PRIOR",
    "Agreement",
    "Doubt",
    "Trust",
    "agreement",
    "levels_of",
    "settled",
    "standing_count",
    "transfer_levels",
]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Levels are sixteenths: this one is full weight.
FULL_LEVEL = 16
#: Mean squared disagreement that is let pass, in σ² of an outcome: 0.39 σ.
TOLERANCE = 0.15
#: How many times the usual disagreement (the others' median) is let pass on top of it.
_USUAL = 1.5
#: Disagreement counts beyond this many of its standard errors.
_BOUND_Z = 1.5
#: Comparisons that agreed perfectly, added to every agent's.
_PRIOR_REPORTS = 4.0
#: No (key, agent) counts for more comparisons than this, so that one place can't decide alone.
_MOST_PER_KEY = 20.0
#: Distance between the two outcomes of a yes-or-no task, squared, in σ²: the tail of its noise.
_RANGE_SQUARED = 4.0
#: How often votes are weighed anew, at most.
_ROUNDS = 6

#: What a domain is worth to another before anything is known: a quarter.
TRANSFER_PRIOR = 4
#: How much that prior weighs: as much as this sum of squares (reports times σ²) of evidence.
_TRANSFER_EVIDENCE = 2.0


def standing_count(count: int) -> int:
    """Return how many outcomes trust is computed from when there are ``count``.

    A grid with steps of at least 8 and between a sixteenth and a thirty-second of the count: so
    trust is a function of what is known, not of when it was asked for, and it is computed anew
    only now and then. (Take the first so many in the order of time.)
    """
    step = max(8, 1 << max(0, count.bit_length() - 5))
    return count - count % step


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """How each agent's reports compare with the others', summed over keys.

    Attributes
    ----------
    reports : ndarray of float64, shape (A,)
        That could be compared, in effect: one that stands against a single other one counts half.
    bias, bias_noise : ndarray of float64, shape (A,)
        Sum of their differences, in σ: above zero where it reports better outcomes; its variance.
    disagreement : ndarray of float64, shape (A,)
        Sum of squared differences beyond what chance explains, in σ²; zero on average for an agent
        that meets the same contexts as others and tells the truth.
    noise : ndarray of float64, shape (A,)
        Its variance.
    compared : ndarray of float64, shape (A,)
        How much of it there would be if each report were off by 1 σ.
    """

    reports: Floats
    bias: Floats
    bias_noise: Floats
    disagreement: Floats
    noise: Floats
    compared: Floats


def agreement(reports: Reports, agent_count: int, levels: Integers | None = None) -> Agreement:
    """Compare every agent with the others, key by key.

    Under a key an agent with n reports of mean m is compared with M, the mean of the others' means,
    each weighed by its level. If all reports were drawn from one urn, the difference m - M would
    have variance S²/h, where S² is the variance of single reports and 1/h = 1/n + Σ w²/n_b / (Σ
    w)². Then h·(m - M)² - S² is zero on average: S² is estimated from the same reports without
    bias (as in a permutation test, stratified by key: Cochran, Biometrics 10, 1954). Excess reward
    and verdict are compared alike, and averaged.

    Parameters
    ----------
    reports : Reports
    agent_count : int
        A: agents are numbered from 0.
    levels : ndarray of int64, shape (A,), or None
        What each agent's vote counts, 0..FULL_LEVEL; None: all the same.
    """
    vote = np.ones(agent_count) if levels is None else levels / FULL_LEVEL
    agents, weight = reports.reporters, vote[reports.reporters]
    trials = reports.trials()
    group = reports.groups()
    others = _Others(group, weight)
    votes = others.sum(np.ones(len(agents)))
    some = votes > 0.0
    some_votes = np.where(some, votes, 1.0)
    of_others = others.sum(weight / trials)
    worth = 1.0 / (1.0 / trials + of_others / np.square(some_votes))
    capped = np.minimum(worth, _MOST_PER_KEY)
    share = capped / worth
    # Of the variance within a key, as it is pooled below; none is left of a single report.
    kept = 1.0 - (1.0 / trials + of_others) / np.square(1.0 + votes)
    some_kept = np.where(kept > 1e-9, kept, np.inf)
    compared = np.maximum(capped - share * votes / np.square(1.0 + votes) / some_kept, 0.0)
    disagreement, noise, bias, bias_noise = np.zeros((4, len(agents)))
    for total, square in reports.channels():
        mean, mean_square = total / trials, square / trials
        reference = others.sum(mean) / some_votes
        reference_square = others.sum(mean_square) / some_votes
        difference = mean - reference
        # One vote of its own beside those of the others: all reports in one urn.
        pooled = (mean + votes * reference) / (1.0 + votes)
        pooled_square = (mean_square + votes * reference_square) / (1.0 + votes)
        spread = np.maximum(pooled_square - pooled * pooled, 0.0) / some_kept
        disagreement += 0.5 * (capped * difference * difference - spread * share)
        # The two channels mostly say the same, so their noise is not independent.
        noise += 0.5 * share * share * (2.0 * spread * spread + _RANGE_SQUARED * spread / trials)
        bias += 0.5 * capped * difference
        bias_noise += 0.5 * capped * share * spread
    rows = np.flatnonzero(some)

    def by_agent(values: Floats) -> Floats:
        sums = np.bincount(agents[rows], values[rows], agent_count)
        return np.asarray(sums[:agent_count], dtype=np.float64)

    columns = (capped, bias, bias_noise, disagreement, noise, compared)
    return Agreement(*(by_agent(column) for column in columns))


class _Others:
    """Weighted sums over the other rows of the same key."""

    def __init__(self, group: Integers, weight: Floats) -> None:
        self._group, self._weight = group, weight

    def sum(self, values: Floats) -> Floats:
        """Return Σ weight·value over the key, without the row's own."""
        parts = self._weight * values
        if not len(parts):
            return parts
        # Rows are in order, so the sums are the same whatever order they were given in.
        totals: Floats = np.bincount(self._group, parts)[self._group] - parts
        # What is left of the own part by rounding is no vote.
        return np.where(np.abs(totals) > 1e-9, totals, 0.0)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why an agent counts for less.

    Attributes
    ----------
    agent : str
    level : int
        Sixteenths, below FULL_LEVEL.
    reports : float
        Of its that could be compared.
    disagreement, passes : float
        Root mean square of its differences beyond chance, and what is let pass; in σ.
    bias : float
        Mean difference, in σ: above zero where it reports better outcomes than others.
    """

    agent: str
    level: int
    reports: float
    disagreement: float
    passes: float
    bias: float

    def sentence(self) -> str:
        """Return the same in words."""
        if abs(self.bias) < 0.25 * self.disagreement:
            how = "now better, now worse"
        else:
            how = f"on average {abs(self.bias):.2f} σ {'better' if self.bias > 0 else 'worse'}"
        return (
            f"{self.agent!r} counts for {self.level}/{FULL_LEVEL}: in about {self.reports:.0f}"
            f" comparable reports its outcomes differ by {self.disagreement:.2f} σ from what other"
            f" agents found of the same approaches in like contexts, beyond chance ({how});"
            f" {self.passes:.2f} σ is let pass."
        )


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """How far each agent is believed.

    Attributes
    ----------
    levels : ndarray of int64, shape (A,)
        Sixteenths, 0..FULL_LEVEL.
    fine, coarse : Agreement
        That led to them: in small neighbourhoods and in large ones.
    passes : ndarray of float64, shape (A,)
        Mean squared disagreement that is let pass, in σ².
    """

    levels: Integers
    fine: Agreement
    coarse: Agreement
    passes: Floats

    def doubts(self, names: Sequence[str]) -> list[Doubt]:
        """Return who counts for less than full weight, in the order of their names."""
        found: list[Doubt] = []
        best, _ = _mean_disagreement(self.fine, self.coarse)
        for at, name in enumerate(names):
            if at >= len(self.levels) or self.levels[at] >= FULL_LEVEL:
                continue
            reports = float(self.coarse.reports[at])
            found.append(
                Doubt(
                    agent=name,
                    level=int(self.levels[at]),
                    reports=reports,
                    disagreement=math.sqrt(max(float(best[at]), 0.0)),
                    passes=math.sqrt(float(self.passes[at])),
                    bias=float(self.coarse.bias[at]) / max(reports, 1e-9),
                )
            )
        return sorted(found, key=lambda doubt: doubt.agent)


def _mean_disagreement(fine: Agreement, coarse: Agreement) -> tuple[Floats, Floats]:
    """Return each agent's mean squared disagreement: the best estimate, and what is sure.

    What counts is the disagreement in small neighbourhoods: in large ones an honest agent that
    chooses differently meets other contexts than those that the others chose the approach for.
    But small ones need more outcomes. So large ones are believed as far as small ones, drawn
    towards them the less the more could be compared, bear them out.

    A single report is seldom surprising, however false; that all of them are off in one direction
    is. So the square of the mean difference stands where it is larger than the mean square.
    """
    weight = coarse.compared + _PRIOR_REPORTS
    mean = coarse.disagreement / weight
    sure = mean - _BOUND_Z * np.sqrt(coarse.noise) / weight
    weight = fine.compared + _PRIOR_REPORTS
    best = (fine.disagreement + _PRIOR_REPORTS * mean) / weight
    fine_sure = (fine.disagreement - _BOUND_Z * np.sqrt(fine.noise)) / weight
    reports = fine.reports + _PRIOR_REPORTS
    off, error = np.abs(fine.bias) / reports, np.sqrt(fine.bias_noise) / reports
    best = np.maximum(best, off * off - error * error)
    off_sure = np.square(np.maximum(off - 2.0 * _BOUND_Z * error, 0.0))
    return best, np.maximum(np.maximum(fine_sure, off_sure), np.minimum(sure, best))


def levels_of(
    fine: Agreement, coarse: Agreement, *, start: int = FULL_LEVEL
) -> tuple[Integers, Floats]:
    """Return what each agent's reports count for, and the mean square that is let pass.

    Full weight up to what is let pass: TOLERANCE, and twice the median of the *other* agents'
    disagreement. Beyond it the weight falls with the square of the mean square disagreement of
    which one can be sure.

    Parameters
    ----------
    fine, coarse : Agreement
        In small neighbourhoods and in large ones.
    start : int
        Level of an agent of which nothing could be compared yet; it rises to what its reports
        deserve with every one that could. FULL_LEVEL: new agents are believed.

    Returns
    -------
    levels : ndarray of int64, shape (A,)
    passes : ndarray of float64, shape (A,)
    """
    best, sure = _mean_disagreement(fine, coarse)
    passes = TOLERANCE + _USUAL * _median_of_others(np.maximum(best, 0.0), coarse.compared > 0.0)
    believed = np.square(passes / np.maximum(sure, passes))
    known = coarse.compared / (coarse.compared + _PRIOR_REPORTS)
    newness = start / FULL_LEVEL + (1.0 - start / FULL_LEVEL) * known
    return np.rint(FULL_LEVEL * believed * newness).astype(np.int64), passes


def _median_of_others(values: Floats, some: npt.NDArray[np.bool_]) -> Floats:
    """Return for each value the median of the others of which something is known, or 0."""
    known = np.sort(values[some])
    count = len(known)
    found = np.zeros(len(values))
    if not count:
        return found
    whole = float(np.median(known))
    found[~some] = whole
    if count == 1:
        return found
    # Without the one at a place of the order, the middle of the rest is at (count - 2) / 2.
    place = np.searchsorted(known, values[some])
    low, high = (count - 2) // 2, (count - 1) // 2
    lower = known[low + (place <= low)]
    upper = known[high + (place <= high)]
    found[some] = 0.5 * (lower + upper)
    return found


def settled(
    fine: Reports, agent_count: int, *, coarse: Reports | None = None, start: int = FULL_LEVEL
) -> Trust:
    """Return how far each agent is believed, its judges being believed as far themselves.

    Begins with all votes alike and weighs them anew a fixed number of times, so it is a function
    of the reports alone.

    Parameters
    ----------
    fine : Reports
        By small neighbourhoods, or by exact contexts.
    agent_count : int
        A: agents are numbered from 0.
    coarse : Reports or None
        The same by large neighbourhoods; None: there are no others.
    start : int
        See ``levels_of``.
    """
    votes: Integers | None = None
    for _ in range(_ROUNDS):
        in_small = agreement(fine, agent_count, votes)
        in_large = in_small if coarse is None else agreement(coarse, agent_count, votes)
        levels, passes = levels_of(in_small, in_large, start=start)
        if votes is not None and np.array_equal(votes, levels):
            break
        votes = levels
    return Trust(levels, in_small, in_large, passes)


def transfer_levels(reports: Reports, domain_count: int) -> Integers:
    """Return what each domain's patterns are worth to each other domain.

    For two domains: the slope of the mean excess rewards in the second on those in the first, over
    the keys in which both have outcomes, about their averages (what matters is which approach is
    better where, not that all go well). The noise of the first one's means is taken
    off their sum of squares, which would flatten the slope (Fuller, Measurement Error Models,
    1987, section 1.2). The slope is drawn towards TRANSFER_PRIOR, the less the more evidence
    there is, and cut to [0, 1].

    Parameters
    ----------
    reports : Reports
        Keys of approach and neighbourhood; the reporters are domains. (Counters that are weighed by
        trust do as well.)
    domain_count : int
        D: domains are numbered from 0.

    Returns
    -------
    ndarray of int64, shape (D, D)
        Sixteenths, by (from, to); FULL_LEVEL on the diagonal.
    """
    group, domains = reports.groups(), reports.reporters
    keys = int(group[-1]) + 1 if len(group) else 0
    trials = reports.trials()
    (reward, square), _ = reports.channels()
    count, mean = np.zeros((domain_count, keys)), np.zeros((domain_count, keys))
    count[domains, group] = trials
    mean[domains, group] = reward / trials
    # The variance of single outcomes around their key's mean, by domain.
    within = np.bincount(domains, square - reward * reward / trials, domain_count)
    free = np.bincount(domains, trials - 1.0, domain_count)
    spread = (np.maximum(within, 0.0) + 1.0) / (free + 1.0)
    levels = np.full((domain_count, domain_count), FULL_LEVEL, dtype=np.int64)
    for one in range(domain_count):
        for other in range(domain_count):
            if one == other:
                continue
            both = np.flatnonzero((count[one] > 0) & (count[other] > 0))
            n, m = count[one, both], count[other, both]
            weight = np.minimum(n * m / (n + m), _MOST_PER_KEY)
            total = max(float(weight.sum()), 1e-12)
            x = mean[one, both] - float((weight * mean[one, both]).sum()) / total
            noise = float((weight * spread[one] / n).sum())
            squares = max(float((weight * x * x).sum()) - noise, 0.0)
            products = float((weight * x * mean[other, both]).sum())
            prior = TRANSFER_PRIOR / FULL_LEVEL
            slope = (prior * _TRANSFER_EVIDENCE + products) / (_TRANSFER_EVIDENCE + squares)
            levels[one, other] = round(FULL_LEVEL * min(max(slope, 0.0), 1.0))
    return levels
