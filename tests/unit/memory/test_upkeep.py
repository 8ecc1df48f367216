"""A bank is kept small without forgetting what it learnt, and says when something is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.config import MemorySettings, UpkeepSettings
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.annotations import Verdict
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state.patterns import PatternFold
from tests.experiences import DAY_S, SPACE, experience, trajectory

NOW = 200 * DAY_S


@pytest.fixture
def bank() -> Iterator[ReasoningBank]:
    with ReasoningBank.open(":memory:", dimension=128) as opened:
        yield opened


def tries(count: int, *, site: str = "shop", day: int = 1, **more: object) -> list[Trajectory]:
    return [
        trajectory(f"{site}{day}/{at}", context={"site": site}, known_at_s=day * DAY_S, **more)
        for at in range(count)
    ]


# --- pruning ---------------------------------------------------------------------------------


def test_pruning_lets_go_of_what_is_least_confident(bank: ReasoningBank) -> None:
    bank.record_many(tries(5, site="good", day=199))
    bank.record_many(tries(1, site="bad", day=1, verdict=-1, excess=-1.0))
    would = bank.upkeep.prune(NOW, below=0.5, pretend=True)
    assert (len(would.patterns), would.trajectories, would.kept) == (1, 0, 1)
    assert len(bank.patterns()) == 2
    done = bank.upkeep.prune(NOW, below=0.5)
    assert done.patterns == would.patterns and done.trajectories == 1
    (left,) = bank.patterns()
    assert left.context == {"site": "good"}
    bank.upkeep.verify()


def test_what_was_pruned_is_not_taken_again_but_what_is_new_is(bank: ReasoningBank) -> None:
    old = tries(2, site="bad", verdict=-1, excess=-1.0)
    bank.record_many(old)
    bank.upkeep.prune(NOW, below=1.0)
    assert bank.record_many(old) == 0
    assert bank.patterns() == []
    bank.record_many(tries(1, site="bad", day=201))
    (again,) = bank.patterns()
    assert again.outcomes == 1


def test_above_the_bound_a_quarter_of_it_is_made_free(bank: ReasoningBank) -> None:
    for at in range(25):
        bank.record_many(tries(1, site=f"site {at}", day=100 + at))
    done = bank.upkeep.prune(NOW, below=0.0, most=20)
    assert done.kept == len(bank.patterns()) == 15
    newest = {one.context["site"] for one in bank.patterns()}
    assert newest == {f"site {at}" for at in range(10, 25)}


def test_a_bank_that_tends_itself_stays_within_its_bound() -> None:
    upkeep = UpkeepSettings(automatic=True, most_patterns=40, prune_below=0.0, retention_days=30)
    with ReasoningBank.open(
        ":memory:", dimension=128, settings=MemorySettings(upkeep=upkeep)
    ) as bank:
        for day in range(1, 120):
            bank.record_many(tries(3, site=f"site {day}", day=day))
            bank.record_many(tries(2, site="always", day=day))
            bank.upkeep.tend(day * DAY_S)
            assert bank.upkeep.audit().patterns <= 40
        (always,) = bank.search({"site": "always"}, count=1)
        # What retention folded still counts.
        assert always.pattern.outcomes == 2 * 119
        assert bank.upkeep.audit().counts["trajectories"] < 5 * 40
        bank.upkeep.verify()


def test_a_bank_is_left_alone_unless_it_is_told_otherwise(bank: ReasoningBank) -> None:
    bank.record_many(tries(3))
    assert bank.upkeep.tend(10_000 * DAY_S) is None
    assert len(bank.insight.judgements()) == 3


# --- retention -------------------------------------------------------------------------------


def test_retention_forgets_the_tries_and_keeps_what_they_taught(bank: ReasoningBank) -> None:
    bank.record_many(tries(6, day=10))
    bank.record_many(tries(4, day=190))
    bank.note([Verdict("v", "shop10/0", "judge", -1, 11 * DAY_S)])
    before = bank.recommend("fetch", {"site": "shop"}, ["mirror"], NOW)
    assert bank.upkeep.retain(NOW, days=90) == 6
    after = bank.recommend("fetch", {"site": "shop"}, ["mirror"], NOW)
    assert after.candidates == before.candidates
    assert after.evidence == before.evidence
    assert (after.evidence[0].trials, after.evidence[0].failures) == (10, 1)
    assert len(bank.insight.judgements()) == 4
    assert bank.record_many(tries(6, day=10)) == 0
    assert bank.recommend("fetch", {"site": "shop"}, ["mirror"], NOW).evidence == after.evidence


def test_retention_keeps_what_tries_taught_in_a_declared_space() -> None:
    calm = {"trend": 2.0, "volatility": 0.1}
    with ReasoningBank.open(":memory:", space=SPACE) as bank:
        bank.record_many(
            trajectory(f"t{at}", task_type="trade", approach="p0", context=calm) for at in range(5)
        )
        bank.record_all([experience(cells=[6], epoch=1, known_at_s=2 * DAY_S)])
        before = bank.recommend("trade", calm, ["p0", "p1"], NOW)
        assert bank.upkeep.retain(NOW) == 5
        after = bank.recommend("trade", calm, ["p0", "p1"], NOW)
        assert after.candidates == before.candidates
        assert after.evidence == before.evidence


# --- checking --------------------------------------------------------------------------------


def test_verifying_counts_what_agrees(bank: ReasoningBank) -> None:
    bank.record_many(tries(3) + tries(2, site="news"))
    found = bank.upkeep.verify()
    assert (found.records, found.patterns, found.outcomes, found.vectors) == (5, 2, 5, 2)
    assert bank.upkeep.rebuild() == found


def test_an_index_that_does_not_agree_with_the_log_is_named(bank: ReasoningBank) -> None:
    bank.record_many(tries(3) + tries(2, site="news"))
    bank.patterns()
    bank._derived.catalogue.patterns.counters.rows[1, 1] += 1
    with pytest.raises(StoreError, match=r"pattern [0-9a-f]{16}: its counters.*rebuild"):
        bank.upkeep.verify()
    bank.upkeep.rebuild()


def test_a_backup_knows_what_the_bank_knew(tmp_path: Path) -> None:
    with ReasoningBank.open(tmp_path / "bank.db", dimension=128) as bank:
        bank.record_many(tries(3))
        bank.upkeep.backup(tmp_path / "copy.db")
        bank.record_many(tries(3, day=2))
    with ReasoningBank.open(tmp_path / "copy.db", dimension=128) as copy:
        assert copy.upkeep.verify().records == 3


def test_an_audit_says_what_should_be_looked_at(bank: ReasoningBank) -> None:
    empty = bank.upkeep.audit()
    assert (empty.patterns, empty.findings) == (0, ()) and math.isnan(empty.mean_confidence)
    bank.record_many(tries(4, agent="you"))
    for at in range(120):
        bank.record_many(tries(1, site=f"s{at}", verdict=-1, day=1))
    audit = bank.upkeep.audit(NOW)
    assert audit.patterns == 121 and audit.outcomes_by_agent == {"me": 120, "you": 4}
    assert audit.doubtful_share > 0.9 and audit.single_share > 0.9
    assert any("rest on one outcome" in one for one in audit.findings)


# --- the moving average ----------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(-1, 1), st.integers(0, 2)), max_size=12))
def test_the_catalogue_and_the_fold_say_the_same_of_every_pattern(
    outcomes: list[tuple[int, int, int]],
) -> None:
    settings = MemorySettings(learning_rate=0.2)
    records = [
        trajectory(
            f"t{at:02}",
            known_at_s=day * DAY_S + at,
            verdict=verdict,
            excess=verdict * 0.5,
            approach=f"p{approach}",
        )
        for at, (day, verdict, approach) in enumerate(outcomes)
    ]
    fold = PatternFold(ContextReader(), settings)
    for one in sorted(records, key=lambda one: one.known_at_s):
        fold.add(one)
    with ReasoningBank.open(":memory:", dimension=128, settings=settings) as bank:
        bank.record_many(records)
        found = bank.patterns()
    expected = fold.patterns()
    assert [one.id for one in found] == [one.id for one in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.actual == theirs.actual
        assert np.allclose(mine.interval, theirs.interval)
        assert mine.confidence.value == pytest.approx(theirs.confidence.value, abs=1e-12)
