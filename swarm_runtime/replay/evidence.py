"""Which patterns mattered, and why they were chosen: from the recorded experiences alone.

A pattern mattered by what following it brought above choosing blindly, summed over all the times
it was followed, good or bad. Why it was chosen is what was known *when* it was chosen; each
experience holds that. Above: ``results``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import EVIDENCE, Reason
from swarm_runtime.memory.records.pattern import ContextSpace, pattern_id

__all__ = ["patterns_that_mattered"]


@dataclass(slots=True)
class _Followed:
    """What is known of one pattern's applications."""

    experience: Experience
    row: int
    excess: list[float] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)


def patterns_that_mattered(
    experiences: Iterable[Experience], space: ContextSpace, count: int = 5
) -> list[dict[str, Any]]:
    """Return the patterns whose applications brought (or cost) most, greatest effect first.

    Parameters
    ----------
    experiences : iterable of Experience
        In canonical order: what is told of a pattern is of its last application.
    space : ContextSpace
    count : int
        At most so many.

    Returns
    -------
    list of dict
        ``pattern``, ``task_type``, ``approach``, ``context``, ``context_words``, ``applied``,
        ``excess_return`` (sum over applications of the return above choosing blindly, on the
        capital set aside), ``mean_excess`` and ``lower_bound`` (what was known at the last
        application, in standard deviations of a block's outcome), ``outcomes``, ``agents``,
        ``realised_excess`` with ``realised_interval`` (95 %, None for fewer than 2), ``confidence``
        with its parts, and ``sentence``.
    """
    followed: dict[tuple[str, str, int], _Followed] = {}
    for experience in experiences:
        for row in range(len(experience.subjects)):
            if experience.reason[row] != Reason.APPLIED:
                continue
            chosen = int(experience.chosen[row])
            key = (experience.task_type, experience.approaches[chosen], int(experience.cells[row]))
            one = followed.setdefault(key, _Followed(experience, row))
            one.experience, one.row = experience, row
            one.excess.append(float(experience.excess[row, chosen]) / REWARD_SCALE)
            blind = float(experience.net_return[row].mean())
            one.returns.append(float(experience.net_return[row, chosen]) - blind)
            one.agents.add(experience.agent)
            one.subjects.add(experience.subjects[row])
    ranked = sorted(followed.items(), key=lambda item: (-abs(math.fsum(item[1].returns)), item[0]))
    return [_told(key, one, space) for key, one in ranked[:count]]


def _told(key: tuple[str, str, int], one: _Followed, space: ContextSpace) -> dict[str, Any]:
    task_type, approach, cell = key
    experience, row = one.experience, one.row
    words = space.words(cell)
    bins = dict(zip((each.name for each in space.features), space.bins(cell), strict=True))
    known = {
        name: round(float(experience.evidence[row, at]), 6) for at, name in enumerate(EVIDENCE)
    }
    count = len(one.excess)
    mean = math.fsum(one.excess) / count
    interval = None
    if count >= 2:
        variance = math.fsum((value - mean) ** 2 for value in one.excess) / (count - 1)
        reach = 1.96 * math.sqrt(variance / count)
        interval = [round(mean - reach, 6), round(mean + reach, 6)]
    total = math.fsum(one.returns)
    context = ", ".join(words.values())
    agents = sorted(one.agents)
    sentence = (
        f"{approach} was followed {'once' if count == 1 else f'{count} times'} by "
        f"{_names(agents)} for "
        f"{_names(sorted(one.subjects))} when the market was: {context}. It was chosen because "
        f"in such contexts it had beaten a blind choice by {known['mean']:+.2f} standard "
        f"deviations a block over {known['outcomes']:.0f} outcomes (lower bound "
        f"{known['lower_bound']:+.2f}). Following it brought {mean:+.2f} a block"
        + (f" ({interval[0]:+.2f} to {interval[1]:+.2f})" if interval else "")
        + f", {total:+.2%} of the capital set aside in all."
    )
    parts = ("success", "usage", "recency", "similarity")
    return {
        "pattern": pattern_id(experience.domain, task_type, approach, sorted(bins.items())),
        "task_type": task_type,
        "approach": approach,
        "context": bins,
        "context_words": words,
        "applied": count,
        "agents": agents,
        "subjects": sorted(one.subjects),
        "excess_return": round(total, 10),
        "mean_excess": known["mean"],
        "lower_bound": known["lower_bound"],
        "outcomes": known["outcomes"],
        "realised_excess": round(mean, 6),
        "realised_interval": interval,
        "confidence": {
            "total": known["confidence"],
            **{part: known[part] for part in parts},
        },
        "sentence": sentence,
    }


def _names(words: list[str]) -> str:
    if len(words) <= 3:
        return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    return f"{', '.join(words[:2])} and {len(words) - 2} more"
