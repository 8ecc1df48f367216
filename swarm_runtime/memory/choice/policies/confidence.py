"""Rank by the report's confidence: success rate, usage, recency, similarity. Pure.

Kept because the report asks for it, as one policy among others. Usage is one of its parts, so what
was tried often ranks high even where something rarely tried is better: as a measure of how well a
thing is known it is good, as a rule for choosing it is the worst of those here (benchmarks/bandit).
"""

from __future__ import annotations

from dataclasses import dataclass

from swarm_runtime.memory.choice.policies.protocol import Answer, Question, held
from swarm_runtime.memory.choice.ranking import Reason

__all__ = ["ReportConfidence"]


@dataclass(frozen=True, slots=True)
class ReportConfidence:
    """Highest confidence above the threshold; uniform where there is none."""

    name: str = "confidence"
    needs_belief: bool = False

    def choose(self, question: Question) -> Answer:
        """Choose for one context."""
        estimates, settings = question.estimates, question.settings
        confidence = estimates.confidence[0]
        may = (estimates.outcomes[0] >= settings.minimum_usage) & (
            confidence >= settings.confidence_threshold
        )
        recommended = held(confidence, may)
        count = len(confidence)
        chosen, reason, propensity = recommended, Reason.APPLIED, 1.0
        if question.draws is not None:
            explore_draw, withhold_draw = question.draws
            blind = min(int(explore_draw * count), count - 1)
            share = 1.0 if recommended is None else settings.withheld_fraction
            if recommended is None or withhold_draw < share:
                chosen = blind
                reason = Reason.ABSTAINED if recommended is None else Reason.WITHHELD
            propensity = share / count + (1.0 - share if chosen == recommended else 0.0)
        elif recommended is None:
            reason, propensity = Reason.ABSTAINED, 0.0
        return Answer(
            chosen=chosen,
            recommended=recommended,
            reason=reason,
            propensity=propensity,
            lower=estimates.lower_bound(settings.bound_z)[0],
            score=confidence,
            parts={
                "success": estimates.success[0],
                "usage": estimates.usage[0],
                "recency": estimates.recency[0],
                "similarity": estimates.similarity[0],
            },
            formula="0.4 success + 0.3 usage + 0.2 recency + 0.1 similarity",
        )
