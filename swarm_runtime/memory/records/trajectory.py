"""A trajectory: one approach tried at one task of any kind, and how it ended. Pure.

It is what a user of the bank records who has no batches of subjects and no declared context
space. (Agents that act on many subjects at once record a ``core.knowledge.Experience``.) Above:
``store`` keeps it, ``bank`` takes it. Below: ``core``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.core.knowledge import REWARD_SCALE

__all__ = ["LARGEST_EXCESS", "Context", "Trajectory", "checked_context", "excess_units", "is_text"]

#: A context: named numbers and texts.
Context = Mapping[str, float | str]

#: Excess rewards are cut at this many standard deviations, so that one can't rule a mean.
LARGEST_EXCESS = 8.0
#: Fields that came with a later version.
_LATER = frozenset({"task", "steps"})


def is_text(value: object) -> bool:
    """Return whether a value is a text that can be written down: lone surrogates can't."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that is too large for a float
        return False


def excess_units(excess: float) -> int:
    """Return an excess reward in 1/REWARD_SCALE standard deviations, cut at ±LARGEST_EXCESS."""
    return round(max(-LARGEST_EXCESS, min(LARGEST_EXCESS, excess)) * REWARD_SCALE)


def checked_context(context: Context) -> dict[str, float | str]:
    """Return a copy of a context, in one order: equal ones have equal bytes.

    Raises
    ------
    ValueError
        If a name is no text, or a value is neither a text nor a finite number.
    """
    given: object = context
    # The codec writes arrays under a name of its own.
    if not isinstance(given, Mapping) or not all(map(is_text, given)) or "\0array" in given:
        raise ValueError(f"context = {context!r}: named numbers and texts are needed")
    checked: dict[str, float | str] = {}
    for name in sorted(context):
        value: object = context[name]
        if isinstance(value, str) and is_text(value):
            checked[name] = value
        elif not isinstance(value, (int, float)) or not _is_finite(value):
            raise ValueError(f"context[{name!r}] = {value!r}: a text or a finite number")
        else:
            checked[name] = float(value)
    return checked


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One try and its outcome.

    Attributes
    ----------
    id : str
        What identifies it: recording it twice changes nothing. For instance run, task and
        attempt; two tries need two ids even if everything else is equal.
    agent : str
        Who tried.
    task_type : str
        Only trajectories of the same task type teach each other.
    approach : str
        What was tried.
    context : mapping of str to float or str
        Under what circumstances, as known *before* the try.
    known_at_s : int
        When the outcome was known, in seconds since 1970. Nothing uses it earlier.
    excess : float
        Reward above what one would have had without knowledge, in standard deviations of such
        rewards. For a yes-or-no task: 1 for a success, -1 for a failure. Cut at
        ±LARGEST_EXCESS.
    verdict : int
        1 success, -1 failure, 0 where the judge abstains.
    domain : str
        The field it comes from, e.g. ``"web"``.
    task : str
        Which task it was a try at; several tries at one task are set against each other when
        items are distilled. Empty: a task of its own.
    steps : tuple of str
        What was done and what came of it, step by step, in words.
    """

    id: str
    agent: str
    task_type: str
    approach: str
    context: Context
    known_at_s: int
    excess: float
    verdict: int
    domain: str = ""
    task: str = ""
    steps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "agent", "task_type", "approach", "domain", "task"):
            value = getattr(self, name)
            if not is_text(value) or not (value or name in ("domain", "task")):
                raise ValueError(f"{name} = {value!r}: a text is needed")
        steps: object = self.steps
        if not isinstance(steps, (tuple, list)) or not all(map(is_text, steps)):
            raise ValueError(f"steps = {self.steps!r}: texts are needed")
        if type(self.known_at_s) is not int or abs(self.known_at_s) > 2**53:
            raise ValueError(f"known_at_s = {self.known_at_s!r}: whole seconds since 1970")
        verdict: object = self.verdict
        if not isinstance(verdict, (int, Integral)) or verdict not in (-1, 0, 1):
            raise ValueError(f"verdict = {self.verdict!r}: 1, 0 or -1")
        excess: object = self.excess
        if not isinstance(excess, (float, int, Real)) or not _is_finite(self.excess):
            raise ValueError(f"excess = {self.excess!r}: a finite number is needed")
        object.__setattr__(self, "context", checked_context(self.context))
        object.__setattr__(self, "excess", float(self.excess))
        object.__setattr__(self, "verdict", int(self.verdict))
        object.__setattr__(self, "steps", tuple(self.steps))

    @property
    def excess_units(self) -> int:
        """The excess reward in 1/REWARD_SCALE standard deviations, cut."""
        return excess_units(self.excess)

    def to_bytes(self) -> bytes:
        """Return a canonical form: equal trajectories give equal bytes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        # Left out where they say nothing: so were they before there were any.
        for name in _LATER:
            if not values[name]:
                del values[name]
        return encode(values)

    @classmethod
    def from_bytes(cls, data: bytes) -> Trajectory:
        """Return the trajectory that ``to_bytes`` gave.

        Raises
        ------
        ValueError
            If the bytes are not of that form.
        """
        values = decode(data)
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not names - _LATER <= set(values) <= names:
            raise ValueError("not a trajectory")
        if not isinstance(values["context"], dict):
            raise ValueError("not a trajectory: its context is no mapping")
        try:
            return cls(**values)
        except TypeError as problem:
            raise ValueError(f"not a trajectory: {problem}") from problem
