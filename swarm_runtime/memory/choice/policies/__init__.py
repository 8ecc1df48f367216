"""Choice policies: which candidate to take, given what is known of each. Pure.

``protocol`` says what a policy is; each other module is one policy, and ``POLICIES`` has them by
name. ``lower_bound`` is the rule of the swarm's agents. Which one is the default was decided by
``benchmarks/bandit``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from swarm_runtime.errors import ConfigError, did_you_mean
from swarm_runtime.memory.choice.policies.blend import Blend
from swarm_runtime.memory.choice.policies.confidence import ReportConfidence
from swarm_runtime.memory.choice.policies.linucb import LinUcb
from swarm_runtime.memory.choice.policies.lower_bound import LowerBound
from swarm_runtime.memory.choice.policies.protocol import Answer, Belief, Policy, Question
from swarm_runtime.memory.choice.policies.thompson import Thompson
from swarm_runtime.memory.choice.policies.ucb import Ucb

__all__ = [
    "AGENTS_POLICY",
    "DEFAULT_POLICY",
    "POLICIES",
    "Answer",
    "Belief",
    "Policy",
    "Question",
    "policy_named",
]

_ALL: tuple[Policy, ...] = (LowerBound(), ReportConfidence(), Ucb(), Thompson(), LinUcb(), Blend())

#: Policies by name, with their default strength of exploring.
POLICIES: Mapping[str, Policy] = MappingProxyType({one.name: one for one in _ALL})

#: Best or level with the best where contexts are numbers (``benchmarks/bandit``). On short texts of
#: which no two are alike it is no better than a linear model of words, and both know little.
DEFAULT_POLICY = "blend"

#: What agents of a swarm use.
AGENTS_POLICY: Policy = POLICIES["lower_bound"]


def policy_named(name: str) -> Policy:
    """Return the policy of a name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    found = POLICIES.get(name)
    if found is None:
        raise ConfigError("policy", name, f"not known.{did_you_mean(name, POLICIES)}")
    return found
