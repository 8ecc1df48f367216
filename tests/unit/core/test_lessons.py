"""Lessons hold what statistics need, however they travelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import Experience
from swarm_runtime.core.lessons import LessonLog, lesson_of
from swarm_runtime.memory.choice.ranking import Statistics
from tests.experiences import SPACE, experience, histories, random_experience


@given(st.integers(0, 10_000), st.booleans())
def test_statistics_learn_the_same_from_a_lesson_as_from_the_whole_experience(
    seed: int, shadow_teaches: bool
) -> None:
    whole = random_experience(seed)
    tables = []
    for teaching in (whole, lesson_of(whole).open()):
        statistics = Statistics(SPACE.cell_count, len(whole.approaches))
        statistics.fold([teaching], shadow_teaches=shadow_teaches)
        tables.append(statistics)
    assert np.array_equal(tables[0].counters, tables[1].counters)
    assert np.array_equal(tables[0].last_known_s, tables[1].last_known_s)


def test_a_lesson_is_much_smaller_than_its_experience() -> None:
    whole = random_experience(1, rows=20, columns=6)
    assert len(lesson_of(whole).blob) * 2.5 < len(whole.to_bytes())


def test_a_lesson_that_was_cut_off_is_refused() -> None:
    lesson = lesson_of(experience())
    for blob in (lesson.blob[:-1], lesson.blob + b"x"):
        with pytest.raises(ValueError, match=r"lesson|buffer"):
            replace(lesson, blob=blob).open()


def test_a_reward_that_does_not_fit_is_refused_and_not_cut() -> None:
    with pytest.raises(ValueError, match="beyond 16 bits"):
        lesson_of(experience(excess=((40.0, 0.0),)))


@given(histories(), st.data())
def test_a_log_holds_the_same_whatever_arrives_twice_or_interleaved(
    found: list[Experience], data: st.DataObject
) -> None:
    in_order = [lesson_of(one) for one in sorted(found, key=lambda one: one.epoch)]
    log = LessonLog()
    log.add(one for one in in_order for _ in range(data.draw(st.integers(1, 2))))
    log.add(in_order)
    for agent, count in log.view().items():
        held = log.between(agent, 0, count)
        assert [one.epoch for one in held] == list(range(1, count + 1))
        opened = log.opened(agent, 0, count)
        assert [one.known_at_s for one in opened] == [one.known_at_s for one in held]
    assert sum(log.view().values()) == len(found)


def test_a_log_refuses_a_gap() -> None:
    log = LessonLog()
    with pytest.raises(ValueError, match="epoch 2 of a came after 0"):
        log.add([lesson_of(experience(epoch=2))])


def test_a_log_says_what_is_missing() -> None:
    log = LessonLog()
    log.add([lesson_of(experience())])
    assert log.between("a", 1, 1) == []
    with pytest.raises(KeyError, match="only 1 are here"):
        log.between("a", 0, 2)
