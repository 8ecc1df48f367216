"""Apply what surely pays, else explore blindly: the swarm's own rule, ``ranking.choose``. Pure.

A candidate is applied when the lower bound of its excess reward is above zero, and the highest
lower bound wins. Where nothing clears the gate any candidate is tried, each with the same chance.
It never tries anything else once something pays, so it finds what is good enough, not what is best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarm_runtime.memory.choice.policies.protocol import Answer, Question, cleared, held
from swarm_runtime.memory.choice.ranking import Reason, choose

__all__ = ["LowerBound"]

_ONE = np.ones(1, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class LowerBound:
    """Highest lower bound above zero; uniform where there is none."""

    name: str = "lower_bound"
    needs_belief: bool = False

    def choose(self, question: Question) -> Answer:
        """Choose for one context, exactly as an agent of the swarm does."""
        estimates, settings = question.estimates, question.settings
        explore_draw, withhold_draw = question.draws or (0.0, 1.0)
        choice = choose(
            estimates, settings, _ONE, np.array([explore_draw]), np.array([withhold_draw])
        )
        reason = Reason(int(choice.reason[0]))
        lower = estimates.lower_bound(settings.bound_z)[0]
        recommended: int | None = None
        if reason is not Reason.ABSTAINED:
            recommended = held(lower, cleared(question))
        chosen: int | None = int(choice.chosen[0])
        propensity = float(choice.propensity[0])
        if question.draws is None:
            chosen, propensity = recommended, 0.0 if recommended is None else 1.0
        return Answer(
            chosen=chosen,
            recommended=recommended,
            reason=reason,
            propensity=propensity,
            lower=lower,
            score=lower,
            parts={"mean": estimates.mean[0], "standard_error": estimates.standard_error[0]},
            formula=f"mean - {settings.bound_z:g}·standard error",
        )
