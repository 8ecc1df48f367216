"""LinUCB: the linear model's prediction, and what it may be wrong by. Pure.

Li et al., "A contextual-bandit approach to personalized news article recommendation", WWW 2010,
algorithm 1 (disjoint models): mean + α·width. It learns from every outcome of the task type, near
or far, so it is the first to know something; it never learns what isn't linear.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swarm_runtime.memory.choice.policies.protocol import (
    PRIOR,
    Answer,
    Belief,
    Question,
    act,
    cleared,
    held,
)

__all__ = ["LinUcb"]


@dataclass(frozen=True, slots=True)
class LinUcb:
    """Highest prediction plus allowance.

    Attributes
    ----------
    exploration : float
        α: widths that are added to the prediction.
    """

    exploration: float = 0.2
    name: str = "linucb"
    needs_belief: bool = True

    def choose(self, question: Question) -> Answer:
        """Choose for one context."""
        belief = question.belief or nothing_believed(question)
        score = belief.mean + self.exploration * belief.width
        lower = belief.mean - question.settings.bound_z * belief.width
        may = cleared(question, lower)
        return act(
            question,
            int(score.argmax()),
            may,
            held(lower, may),
            lower=lower,
            score=score,
            parts={"predicted": belief.mean, "width": belief.width},
            formula=f"predicted + {self.exploration:g}·width",
        )


def nothing_believed(question: Question) -> Belief:
    """Return what a model says that has learnt nothing."""
    count = question.estimates.mean.shape[1]
    return Belief(np.zeros(count), np.full(count, 1.0 / np.sqrt(PRIOR)))
