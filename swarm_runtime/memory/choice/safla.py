"""SAFLA, the self-aware feedback loop: observe, analyse, learn, adapt, apply. Pure.

Five functions, one turn of the loop each time they are called in this order::

    draft = observe(...)          what was tried, in what context; how it ends isn't known yet
    experience = analyse(draft, ...)   the outcome, judged: an experience, which never changes
    learn(statistics, [experience, ...], ...)   counters take up what is known by now
    estimates = adapt(statistics, ...)  what they say of each approach in today's contexts
    choice = apply(estimates, ...)      act on it, or abstain and explore: see ``observe``

All of them take a whole batch: n subjects (for trading: symbols) and K approaches. Who judges an
outcome, who carries a choice out, and where experiences come from is the caller's business; the
agent's machine turns this loop once a round, the bank learns and adapts with the same functions,
so both say the same. Below: ``ranking`` (the arithmetic) and ``core.knowledge``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.core.lessons import Teaching
from swarm_runtime.memory.choice.ranking import Choice, Estimates, Statistics, choose, estimate

__all__ = ["Draft", "adapt", "analyse", "apply", "learn", "observe"]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """What was tried and in what context: an experience whose outcome is still open.

    Attributes
    ----------
    agent, domain, task_type, approaches, subjects, context, cells, chosen, reason, propensity,
    evidence
        See ``core.knowledge.Experience``.
    """

    agent: str
    domain: str
    task_type: str
    approaches: tuple[str, ...]
    subjects: tuple[str, ...]
    context: npt.NDArray[np.float32]
    cells: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int16]
    reason: npt.NDArray[np.int8]
    propensity: npt.NDArray[np.float32]
    evidence: npt.NDArray[np.float32]


def observe(
    *,
    agent: str,
    domain: str,
    task_type: str,
    approaches: Sequence[str],
    subjects: Sequence[str],
    context: npt.NDArray[np.floating],
    cells: npt.NDArray[np.integer],
    choice: Choice,
) -> Draft:
    """Note what is being tried, before its outcome can be known.

    Parameters
    ----------
    agent, domain, task_type : str
    approaches : sequence of str, length K
    subjects : sequence of str, length n
    context : ndarray of float, shape (n, F)
        Features at the time of choosing.
    cells : ndarray of int, shape (n,)
        The context, quantised.
    choice : Choice
        From ``apply`` (or ``ranking.explore``, for an agent without a memory).

    Raises
    ------
    ValueError
        If context, cells or choice are not of n rows.
    """
    rows = len(subjects)
    if not len(context) == len(cells) == len(choice.chosen) == rows:
        raise ValueError(
            f"{rows} subjects, but {len(context)} contexts, {len(cells)} cells and"
            f" {len(choice.chosen)} choices"
        )
    return Draft(
        agent=agent,
        domain=domain,
        task_type=task_type,
        approaches=tuple(approaches),
        subjects=tuple(subjects),
        context=np.asarray(context, dtype=np.float32),
        cells=np.asarray(cells, dtype=np.int32),
        chosen=choice.chosen,
        reason=choice.reason,
        propensity=choice.propensity,
        evidence=choice.evidence,
    )


def analyse(
    draft: Draft,
    *,
    epoch: int,
    known_at_s: int,
    excess: npt.NDArray[np.integer],
    verdict: npt.NDArray[np.integer],
    net_return: npt.NDArray[np.floating],
) -> Experience:
    """Complete a draft by its judged outcome.

    Parameters
    ----------
    draft : Draft
    epoch : int (>= 1)
        The agent's experiences are numbered without gaps.
    known_at_s : int
        When the outcome was known; nothing may use it earlier.
    excess : ndarray of int, shape (n, K)
        Reward above the benchmark, in 1/REWARD_SCALE standard deviations.
    verdict : ndarray of int, shape (n, K)
        1 success, -1 failure, 0 no verdict.
    net_return : ndarray of float, shape (n, K)
        The outcome itself.

    Raises
    ------
    ValueError
        If an outcome is not of shape (n, K).
    """
    shape = (len(draft.subjects), len(draft.approaches))
    if not excess.shape == verdict.shape == net_return.shape == shape:
        raise ValueError(
            f"{draft.agent}: outcomes of shapes {excess.shape}, {verdict.shape} and"
            f" {net_return.shape} for {shape[0]} subjects and {shape[1]} approaches"
        )
    return Experience(
        agent=draft.agent,
        epoch=epoch,
        known_at_s=known_at_s,
        domain=draft.domain,
        task_type=draft.task_type,
        approaches=draft.approaches,
        subjects=draft.subjects,
        context=draft.context,
        cells=draft.cells,
        chosen=draft.chosen,
        reason=draft.reason,
        propensity=draft.propensity,
        evidence=draft.evidence,
        excess=np.asarray(excess, dtype=np.int32),
        verdict=np.asarray(verdict, dtype=np.int8),
        net_return=np.asarray(net_return, dtype=np.float64),
    )


def learn(
    statistics: Statistics,
    experiences: Sequence[Teaching],
    *,
    as_of_s: int,
    shadow_teaches: bool,
) -> int:
    """Fold into the statistics what is known by now. This is the point-in-time guard.

    Parameters
    ----------
    statistics : Statistics
        Changed in place.
    experiences : sequence of Experience or Taught
        In any order, each one offered until it is folded and not again. One whose outcome is
        known only later is passed over; offer it again when its time has come.
    as_of_s : int
        Now, in seconds.
    shadow_teaches : bool
        Whether outcomes of candidates that were not chosen count.

    Returns
    -------
    int
        How many were folded.

    Raises
    ------
    ValueError
        If an experience does not fit the statistics.
    """
    known = [experience for experience in experiences if experience.known_at_s <= as_of_s]
    statistics.fold(known, shadow_teaches=shadow_teaches)
    return len(known)


def adapt(
    statistics: Statistics,
    cells: npt.NDArray[np.int32],
    similarity: npt.NDArray[np.float64],
    recency: npt.NDArray[np.float64],
    as_of_s: int,
    *,
    copies: int = 1,
) -> Estimates:
    """Say what is known by now of each approach in some contexts.

    Parameters
    ----------
    statistics : Statistics
        Of C cells and K approaches.
    cells : ndarray of int32, shape (n,)
        Today's contexts.
    similarity : ndarray of float64, shape (C, C)
        From ``embedding.cell_similarity``.
    recency : ndarray of float64
        From ``ranking.recency_table``.
    as_of_s : int
        Now, in seconds.
    copies : int (>= 1)
        How many teachers report the same fact.

    Raises
    ------
    ValueError
        If the statistics hold what is known only later: somebody learnt without the guard.
    """
    if statistics.newest_s > as_of_s:
        raise ValueError(
            f"the statistics know an outcome of {statistics.newest_s}, which is after {as_of_s}"
        )
    return estimate(statistics, cells, similarity, recency, as_of_s, copies=copies)


def apply(
    estimates: Estimates,
    settings: MemorySettings,
    available: npt.NDArray[np.bool_],
    explore_draws: npt.NDArray[np.float64],
    withhold_draws: npt.NDArray[np.float64],
) -> Choice:
    """Choose an approach for each context: the best that clears the gate, else explore.

    Parameters
    ----------
    estimates : Estimates
        For n contexts and K approaches.
    settings : MemorySettings
    available : ndarray of bool, shape (n,)
        Whether the subject can be acted on.
    explore_draws, withhold_draws : ndarray of float64, shape (n,)
        Uniform in [0, 1).
    """
    return choose(estimates, settings, available, explore_draws, withhold_draws)
