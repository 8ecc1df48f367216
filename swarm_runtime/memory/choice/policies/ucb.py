"""Upper confidence bound over the neighbourhood: take what may still be best. Pure.

The score is the mean excess reward of the nearest outcomes, drawn towards zero by half a
pseudo-outcome, plus an allowance that shrinks as outcomes come in (Auer et al., Machine Learning
47, 2002; here with outcomes counted by the nearness of their contexts). What is new in a
neighbourhood is tried because its allowance is large, and dropped as soon as it disappoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarm_runtime.memory.choice.policies.protocol import (
    PRIOR,
    Answer,
    Question,
    act,
    cleared,
    held,
)

__all__ = ["Ucb"]


@dataclass(frozen=True, slots=True)
class Ucb:
    """Highest mean plus allowance.

    Attributes
    ----------
    exploration : float
        Standard errors that are added to the mean.
    """

    exploration: float = 0.2
    name: str = "ucb"
    needs_belief: bool = False

    def choose(self, question: Question) -> Answer:
        """Choose for one context."""
        estimates = question.estimates
        outcomes = estimates.outcomes[0]
        mean = estimates.mean[0] * outcomes / (outcomes + PRIOR)
        error = 1.0 / np.sqrt(outcomes + PRIOR)
        score = mean + self.exploration * error
        may = cleared(question)
        lower = estimates.lower_bound(question.settings.bound_z)[0]
        return act(
            question,
            int(score.argmax()),
            may,
            held(lower, may),
            lower=lower,
            score=score,
            parts={"mean": mean, "standard_error": error},
            formula=f"mean + {self.exploration:g}·standard error",
        )
