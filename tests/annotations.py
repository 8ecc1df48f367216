"""Verdicts, items, usages, links and tombstones for tests: plausible, set where a test cares."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from swarm_runtime.memory.records.annotations import (
    Annotation,
    Item,
    Link,
    Tombstone,
    Usage,
    Verdict,
)
from tests.experiences import DAY_S

__all__ = ["TEXTS", "annotations", "item", "link", "tombstone", "usage", "verdict"]

#: What can be written down: all but lone surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def verdict(id: str = "v1", **more: Any) -> Verdict:
    """Return a success that was found out later."""
    values = {"trajectory": "t1", "judge": "judge", "verdict": 1, "known_at_s": DAY_S}
    return Verdict(id=id, **{**values, **more})


def item(**more: Any) -> Item:
    """Return advice on fetching."""
    values: dict[str, Any] = {
        "task_type": "fetch",
        "title": "Ask a mirror first",
        "description": "Mirrors answer while the origin is busy.",
        "content": "Try the nearest mirror. Go to the origin when it lacks the file.",
        "when": "the origin is busy",
        "when_not": "the file changed today",
        "learnt_from": "success",
        "sources": ("t1",),
        "context": {"site": "example.org"},
        "agent": "me",
        "known_at_s": DAY_S,
    }
    return Item(**{**values, **more})


def usage(id: str = "u1", **more: Any) -> Usage:
    """Return that a pattern was given."""
    values: dict[str, Any] = {
        "trajectory": "t1",
        "target": "p1",
        "given": True,
        "used": None,
        "propensity": 0.95,
        "agent": "me",
        "known_at_s": DAY_S,
    }
    return Usage(id=id, **{**values, **more})


def link(**more: Any) -> Link:
    """Return that two patterns contradict each other."""
    values: dict[str, Any] = {
        "relation": "contradicts",
        "source": "p1",
        "target": "p2",
        "agent": "me",
        "known_at_s": DAY_S,
    }
    return Link(**{**values, **more})


def tombstone(target_kind: str = "agent", target: str = "liar", **more: Any) -> Tombstone:
    """Return that an agent is not believed."""
    values: dict[str, Any] = {"reason": "lies", "agent": "me", "known_at_s": DAY_S}
    return Tombstone(target_kind=target_kind, target=target, **{**values, **more})  # type: ignore[arg-type]


_NAMES = TEXTS.filter(bool)
_TIMES = st.integers(-(2**53), 2**53)
_CONTEXTS = st.dictionaries(
    TEXTS.filter(lambda name: name != "\0array"),
    TEXTS | st.floats(allow_nan=False, allow_infinity=False),
    max_size=3,
)


@st.composite
def annotations(draw: st.DrawFn) -> Annotation:
    """Draw an annotation of any kind."""
    names, times = _NAMES, _TIMES
    drawn: st.SearchStrategy[Annotation] = st.one_of(
        st.builds(
            Verdict,
            id=names,
            trajectory=names,
            judge=names,
            verdict=st.sampled_from([-1, 0, 1]),
            known_at_s=times,
            excess=st.none() | st.floats(-1e9, 1e9),
            confidence=st.floats(0, 1),
            reason=TEXTS,
            cost_usd=st.floats(0, 1e9),
        ),
        st.builds(
            Item,
            task_type=names,
            title=names,
            description=names,
            content=names,
            when=TEXTS,
            when_not=TEXTS,
            learnt_from=st.sampled_from(["success", "failure", "contrast"]),
            sources=st.lists(names, min_size=1, max_size=3).map(tuple),
            context=_CONTEXTS,
            agent=names,
            known_at_s=times,
            domain=TEXTS,
        ),
        st.builds(
            Usage,
            id=names,
            trajectory=names,
            target=names,
            given=st.booleans(),
            used=st.none() | st.booleans(),
            propensity=st.floats(1e-9, 1.0),
            agent=names,
            known_at_s=times,
        ),
        st.builds(
            Link,
            relation=st.sampled_from(["similar", "contradicts", "derived_from"]),
            source=names.map(lambda name: f"a{name}"),
            target=names.map(lambda name: f"b{name}"),
            agent=names,
            known_at_s=times,
        ),
        st.builds(
            Tombstone,
            target_kind=st.sampled_from(["agent", "pattern", "trajectory", "item"]),
            target=names,
            reason=TEXTS,
            agent=names,
            known_at_s=times,
            from_s=times,
        ),
    )
    return draw(drawn)
