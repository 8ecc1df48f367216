"""Anonymised records say what worked, and not who found out, about what and exactly when."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.records.annotations import (
    ALWAYS,
    Annotation,
    Item,
    Link,
    Tombstone,
    Usage,
    Verdict,
)
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import pattern_id, space_to_json
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.bundle import Contents, Header, pack
from swarm_runtime.memory.travel.bundle_reading import opened, outline
from swarm_runtime.memory.travel.pseudonyms import (
    Anonymity,
    anonymised,
    anonymised_header,
    with_origin,
)
from tests.annotations import annotations, item, link, tombstone, usage, verdict
from tests.bundles import contents
from tests.experiences import DAY_S, SPACE, random_experience, trajectory

KEY = b"a key that nobody else has"


def told(which: Contents, **more: object) -> Contents:
    return anonymised(which, Anonymity(KEY, **more), SPACE)[0]  # type: ignore[arg-type]


def pattern_of(one: Trajectory) -> str:
    cell = ContextReader(SPACE).cell(one.context)
    return pattern_id(one.domain, one.task_type, one.approach, cell)


def packed(which: Contents) -> bytes:
    return b"".join(pack(Header(0, "tests", space=space_to_json(SPACE)), which))


def secret() -> Contents:
    """Records full of words that nobody else is to read."""
    tries = [
        trajectory(
            f"SECRET-{at}",
            agent=f"SECRET-agent-{at % 2}",
            context={"site": "SECRET.example", "tool": "browser", "size": 3.5},
            task="SECRET-task",
            steps=("SECRET step",),
            known_at_s=DAY_S * at + 777,
            excess=0.12345678,
        )
        for at in range(3)
    ]
    one = random_experience(1, "SECRET-agent-0", 1, known_at_s=DAY_S + 777)
    subjects = tuple(f"SECRET-{at}" for at in range(4))
    notes: list[Annotation] = [
        verdict("SECRET-v", trajectory="SECRET-0", judge="SECRET-j", reason="SECRET reason"),
        usage(
            "SECRET-u", trajectory="SECRET-1", target=pattern_of(tries[0]), agent="SECRET-agent-1"
        ),
        item(sources=("SECRET-0",), context={"site": "SECRET.example"}, agent="SECRET-agent-0"),
        link(source="SECRET-0", target=pattern_of(tries[0]), agent="SECRET-agent-1"),
        tombstone("agent", "SECRET-agent-1", reason="SECRET reason", agent="SECRET-admin"),
        tombstone("trajectory", "SECRET-2", reason="SECRET reason", agent="SECRET-admin"),
    ]
    experience = dataclasses.replace(one, subjects=subjects).seal()
    return Contents((experience,), tuple(tries), tuple(notes))


def test_no_name_text_or_time_of_day_is_left() -> None:
    data = packed(told(secret()))
    assert b"SECRET" in packed(secret())
    assert b"SECRET" not in data
    for time in (777, DAY_S + 777, 2 * DAY_S + 777):
        assert str(time).encode() not in data
    assert b"0.12345678" not in data


def test_what_is_learnt_stays() -> None:
    before, after = secret(), told(secret())
    for old, new in zip(before.trajectories, after.trajectories, strict=True):
        same = ("domain", "task_type", "approach", "verdict")
        assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
        assert new.context == {"size": 3.5}
        assert new.excess_units == old.excess_units
    old_one, new_one = before.experiences[0].open(), after.experiences[0].open()
    for name in ("cells", "chosen", "excess", "verdict", "propensity", "reason"):
        np.testing.assert_array_equal(getattr(new_one, name), getattr(old_one, name))
    assert new_one.approaches == old_one.approaches
    assert new_one.context.size == new_one.evidence.size == 0
    assert np.isnan(new_one.net_return).all()


def test_texts_stay_under_names_that_are_allowed() -> None:
    (one, *_) = told(secret(), texts=frozenset({"tool"})).trajectories
    assert one.context == {"size": 3.5, "tool": "browser"}


def test_equal_names_stay_equal_and_references_lead_where_they_led() -> None:
    after = told(secret())
    first, second, third = after.trajectories
    assert first.agent == third.agent != second.agent
    assert first.agent == after.experiences[0].agent
    assert first.task == second.task
    found = {(one.kind, getattr(one, "target_kind", "")): one for one in after.annotations}
    assert len(found) == len(after.annotations) == 5
    judged, used = found["verdict", ""], found["usage", ""]
    assert isinstance(judged, Verdict) and judged.trajectory == first.id
    assert isinstance(used, Usage)
    assert (used.trajectory, used.agent) == (second.id, second.agent)
    assert used.target == pattern_of(first)
    linked = found["link", ""]
    assert isinstance(linked, Link)
    assert (linked.source, linked.target) == (first.id, pattern_of(first))
    revoked = found["tombstone", "agent"], found["tombstone", "trajectory"]
    assert all(isinstance(one, Tombstone) for one in revoked)
    assert [one.target for one in revoked if isinstance(one, Tombstone)] == [second.agent, third.id]


def test_another_key_gives_names_that_can_not_be_linked() -> None:
    def names(key: bytes) -> set[str]:
        after = anonymised(secret(), Anonymity(key), SPACE)[0]
        return {one.id for one in after.trajectories} | {one.agent for one in after.trajectories}

    assert names(KEY) == names(KEY)
    assert not names(KEY) & names(b"another key, as long")


def test_a_key_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(ValueError, match="a key has at least 16"):
        Anonymity(b"short")


def test_nothing_is_known_earlier_than_it_was() -> None:
    for old, new in zip(secret().trajectories, told(secret()).trajectories, strict=True):
        assert 0 <= new.known_at_s - old.known_at_s < DAY_S
        assert new.known_at_s % DAY_S == 0
    stone = tombstone("agent", "x", known_at_s=5, from_s=DAY_S + 5)
    always = tombstone("agent", "y", known_at_s=-5)
    kept = {
        (one.known_at_s, one.from_s)
        for one in told(Contents((), (), (stone, always))).annotations
        if isinstance(one, Tombstone)
    }
    assert kept == {(DAY_S, DAY_S), (0, ALWAYS)}


def test_of_verdicts_of_a_day_the_one_that_stands_is_kept() -> None:
    notes = (
        verdict("a", verdict=1, known_at_s=3),
        verdict("z", verdict=-1, known_at_s=2),
        verdict("b", verdict=0, known_at_s=3),
        verdict("c", verdict=1, known_at_s=DAY_S + 1),
    )
    kept = sorted(
        (one.known_at_s, one.verdict)
        for one in told(Contents((), (), notes)).annotations
        if isinstance(one, Verdict)
    )
    assert kept == [(DAY_S, 0), (2 * DAY_S, 1)]


def test_items_stay_only_if_asked_for() -> None:
    which = Contents((), (trajectory(),), (item(), usage(target=item().statement)))
    kept, gone = anonymised(which, Anonymity(KEY), SPACE)
    assert (kept.annotations, gone) == ((), {"item": 1, "usage": 1})
    kept, gone = anonymised(which, Anonymity(KEY, items=True), SPACE)
    advice = next(one for one in kept.annotations if isinstance(one, Item))
    used = next(one for one in kept.annotations if isinstance(one, Usage))
    assert gone == {}
    assert advice.statement == item().statement == used.target
    assert advice.sources == (kept.trajectories[0].id,)
    assert advice.context == {}


def test_what_was_revoked_does_not_come_back_under_another_name() -> None:
    bad, good = (trajectory(site, context={"site": site}) for site in ("bad", "good"))
    which = Contents((), (bad, good), (tombstone("pattern", pattern_of(bad)),))
    kept, gone = anonymised(which, Anonymity(KEY), SPACE)
    # Without the site both would be one pattern: its tombstone would have revoked the good one too.
    assert len(kept.trajectories) == 1 and kept.annotations == ()
    assert gone == {"tombstone": 1, "trajectory": 1}
    assert kept.trajectories[0].id == Anonymity(KEY).name("try", "good")


def test_tombstones_of_patterns_of_experiences_stay() -> None:
    one = random_experience(1)
    cell = ContextReader(SPACE).numbered(int(one.cells[0]))
    pattern = pattern_id(one.domain, one.task_type, one.approaches[0], cell)
    (stone,) = told(Contents((one.seal(),), (), (tombstone("pattern", pattern),))).annotations
    assert isinstance(stone, Tombstone) and stone.target == pattern


def test_the_header_names_no_bank_and_no_time_of_day() -> None:
    header = Header(777, "tests", bank="mine", kept_from_s=5, dimension=64)
    told_of = anonymised_header(header)
    assert told_of == Header(DAY_S, "tests", kept_from_s=DAY_S, dimension=64, anonymised=True)


@settings(deadline=None, max_examples=40)
@given(found=st.lists(annotations(), max_size=8))
def test_any_annotations_can_be_anonymised_and_given_an_origin(found: list[Annotation]) -> None:
    by_name = {(one.kind, one.id): one for one in found}
    which = dataclasses.replace(contents(), annotations=tuple(by_name.values()))
    for kept, _ in (
        anonymised(which, Anonymity(KEY, items=True), SPACE),
        with_origin(which, "acme", SPACE),
    ):
        again = opened(outline(packed(kept), "bundle"))
        assert again.counts() == kept.counts()
        assert all(one.verdict in (-1, 0, 1) for one in again.trajectories)
        assert all(round(one.excess * REWARD_SCALE) == 1_000 for one in again.trajectories)
