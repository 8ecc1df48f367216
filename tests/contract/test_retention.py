"""What a log lets go of: its counters stay, nothing counts twice, nothing comes back."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import Experience
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.filing import pattern_number, pattern_of
from swarm_runtime.memory.log.protocol import (
    SPACE,
    ExperienceStore,
    FoldedRow,
    FoldedUsage,
    Position,
)
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.annotations import Annotation, Item, Tombstone, Usage, Verdict
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import pattern_id, space_to_json
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.annotations import item, link, tombstone, usage, verdict
from tests.experiences import SPACE as GRID
from tests.experiences import experience, trajectory

#: Of the tries that ``trajectory`` makes.
CELL = (("site", "example.org"),)
MIRROR = pattern_id("", "fetch", "mirror", CELL)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExperienceStore]:
    path = ":memory:" if request.param == "memory" else str(tmp_path / "bank.db")
    with closing(SqliteStore(path)) as opened:
        yield opened


def ids(store: ExperienceStore) -> list[str]:
    return [one.id for one in store.in_order_of_time() if isinstance(one, Trajectory)]


# --- letting go ------------------------------------------------------------------------------


def test_counters_stay_by_pattern_and_agent(store: ExperienceStore) -> None:
    store.record_all(
        (),
        [
            trajectory("1", known_at_s=1, excess=0.5, verdict=1),
            trajectory("2", known_at_s=3, excess=-1.25, verdict=-1),
            trajectory("3", known_at_s=2, excess=0.0, verdict=0, agent="you"),
            trajectory("4", known_at_s=4, excess=9.0, verdict=1, domain="web"),
            trajectory("5", known_at_s=5),
        ],
    )
    assert store.let_go(4) == 4
    assert ids(store) == ["5"]
    name = ("fetch", "mirror", CELL)
    assert set(store.folded_rows()) == {
        FoldedRow("", *name, "me", 2, 1, 1, -750, 500**2 + 1250**2, 1, 3),
        FoldedRow("", *name, "you", 1, 0, 0, 0, 0, 2, 2),
        FoldedRow("web", *name, "me", 1, 1, 0, 8_000, 8_000**2, 4, 4),
    }
    assert store.verify() == 1
    assert store.kept_from_s() == 4


def test_letting_go_again_adds_to_what_was_folded(store: ExperienceStore) -> None:
    store.record_all((), [trajectory(str(at), known_at_s=at, excess=1.0) for at in range(6)])
    assert [store.let_go(until_s) for until_s in (1, 1, 0, 4)] == [2, 0, 0, 3]
    (row,) = store.folded_rows()
    assert (row.trials, row.reward, row.first_known_s, row.last_known_s) == (5, 5_000, 0, 4)
    assert store.kept_from_s() == 4
    assert ids(store) == ["5"]


def test_the_watermark_never_moves_back(store: ExperienceStore) -> None:
    for until_s, kept_s in ((0, 0), (-1, 0), (3, 3), (2, 3)):
        store.let_go(until_s)
        assert store.kept_from_s() == kept_s


@pytest.mark.parametrize("until_s", [1.5, "1", None, True, 2**60])
def test_a_moment_that_is_none_is_refused(store: ExperienceStore, until_s: Any) -> None:
    for change in (lambda: store.let_go(until_s), lambda: store.prune([MIRROR], until_s)):
        with pytest.raises(ValueError, match="until_s = "):
            change()
    assert (store.kept_from_s(), store.counts()["pruned"]) == (None, 0)


def test_the_verdict_that_stands_is_the_one_that_counts(store: ExperienceStore) -> None:
    store.record_all(
        (),
        [trajectory("t1", known_at_s=1), trajectory("t2", known_at_s=1)],
        [
            verdict("a", verdict=0, known_at_s=3),
            verdict("b", verdict=-1, known_at_s=3),
            verdict("c", verdict=1, known_at_s=2, excess=0.25),
        ],
    )
    store.let_go(3)
    (row,) = store.folded_rows()
    assert (row.trials, row.successes, row.failures) == (2, 1, 1)
    assert (row.reward, row.square) == (1_250, 1_000**2 + 250**2)
    assert store.annotations("verdict") == []


def test_what_is_judged_or_used_only_later_stays_until_then(store: ExperienceStore) -> None:
    said: list[Annotation] = [verdict(known_at_s=5, verdict=-1), usage("u", trajectory="t2")]
    store.record_all((), [trajectory("t1", known_at_s=1), trajectory("t2", known_at_s=1)], said)
    assert store.let_go(4) == 0
    assert ids(store) == ["t1", "t2"]
    assert store.let_go(5) == 1
    assert ids(store) == ["t2"]
    assert [one.failures for one in store.folded_rows()] == [1]


@pytest.mark.parametrize(
    ("kind", "target"), [("trajectory", "t1"), ("agent", "liar"), ("pattern", MIRROR)]
)
def test_what_is_revoked_is_let_go_without_being_counted(
    store: ExperienceStore, kind: str, target: str
) -> None:
    tries = [
        trajectory("t1", agent="liar", known_at_s=1),
        trajectory("t2", agent="me", approach="origin", known_at_s=1),
    ]
    store.record_all((), tries, [tombstone(kind, target), usage(known_at_s=1)])
    assert store.let_go(1) == 2
    assert [one.approach for one in store.folded_rows()] == ["origin"]
    assert list(store.folded_usage()) == []
    assert store.annotations("tombstone") == [tombstone(kind, target)]


def test_what_is_revoked_from_a_later_moment_on_counts_until_then(store: ExperienceStore) -> None:
    said = [tombstone("trajectory", "t1", from_s=5), tombstone("agent", "me", from_s=5)]
    store.record_all((), [trajectory("t1", known_at_s=1), trajectory("t2", known_at_s=1)], said)
    # A single try can't be taken out of a sum; an agent's row can be left out by whoever reads.
    assert store.let_go(4) == 1
    assert ids(store) == ["t1"]
    assert [one.agent for one in store.folded_rows()] == ["me"]
    assert store.let_go(5) == 1
    assert [one.trials for one in store.folded_rows()] == [1]


def test_a_tombstone_of_another_kind_does_not_revoke(store: ExperienceStore) -> None:
    said = [tombstone("item", "t1"), tombstone("item", "me"), tombstone("trajectory", "me")]
    store.record_all((), [trajectory("t1", known_at_s=1)], said)
    store.let_go(1)
    assert [one.trials for one in store.folded_rows()] == [1]


def test_usages_are_folded_with_the_outcome_of_their_trajectory(store: ExperienceStore) -> None:
    store.record_all(
        (),
        [trajectory("t1", known_at_s=1, excess=0.5), trajectory("t2", known_at_s=2, verdict=-1)],
        [
            usage("u1", known_at_s=1),
            usage("u2", trajectory="t2", known_at_s=3),
            usage("u3", given=False, propensity=0.05, known_at_s=1),
            usage("u4", target="p2", used=True, known_at_s=0),
            verdict("v", trajectory="t2", verdict=0, known_at_s=2),
        ],
    )
    store.let_go(3)
    assert set(store.folded_usage()) == {
        FoldedUsage("p1", "me", MIRROR, True, None, 0.95, 2, 1, 0, 1_500, 500**2 + 1_000**2, 1, 3),
        FoldedUsage("p1", "me", MIRROR, False, None, 0.05, 1, 1, 0, 500, 500**2, 1, 1),
        FoldedUsage("p2", "me", MIRROR, True, True, 0.95, 1, 1, 0, 500, 500**2, 1, 1),
    }
    assert store.annotations("usage") == []
    store.record_all((), [trajectory("t3", known_at_s=4)], [usage("u5", trajectory="t3")])
    store.let_go(10**6)
    assert max(one.trials for one in store.folded_usage()) == 3


def test_items_links_tombstones_and_experiences_stay(store: ExperienceStore) -> None:
    lasting: list[Annotation] = [item(known_at_s=0), link(known_at_s=0), tombstone(known_at_s=0)]
    sealed = experience(known_at_s=0).seal()
    store.record_all([sealed], [trajectory(known_at_s=0)], lasting)
    assert store.let_go(10) == 1
    assert [one for kind in ("item", "link", "tombstone") for one in store.annotations(kind)] == (
        lasting
    )
    assert store.sealed() == [sealed]


def test_verdicts_and_usages_of_what_is_gone_do_not_pile_up(store: ExperienceStore) -> None:
    said: list[Annotation] = [verdict(known_at_s=1), usage(known_at_s=1)]
    for until_s in (1, 2, 3):
        store.record_all((), [trajectory(known_at_s=1)], said)
        store.let_go(until_s)
        assert store.annotations("verdict") + store.annotations("usage") == []
    assert [one.trials for one in store.folded_usage()] == [1]


def test_what_was_let_go_is_not_taken_again(store: ExperienceStore) -> None:
    store.record_all((), [trajectory("t1", known_at_s=1), trajectory("t2", known_at_s=2)])
    store.let_go(1)
    again = [trajectory(f"t{at}", known_at_s=at) for at in (1, 2, 3)]
    assert store.record_all((), again) == 1
    assert store.late == 1
    # Nor what was known by then and never was here: it can't be told from what was.
    assert store.record_all((), [trajectory("t0", known_at_s=0)]) == 0
    assert store.late == 2
    assert ids(store) == ["t2", "t3"]


def test_what_stayed_is_recognised_when_it_comes_again(store: ExperienceStore) -> None:
    kept = trajectory(known_at_s=1)
    store.record_all((), [kept], [verdict(known_at_s=9)])
    store.let_go(2)
    assert store.record_all((), [kept]) == 0
    assert store.late == 0
    with pytest.raises(StoreError, match="'t1' is here already, with another content"):
        store.record_all((), [trajectory(known_at_s=1, excess=0.5)])


def test_the_numbers_of_rows_do_not_come_again(store: ExperienceStore) -> None:
    store.record_all((), [trajectory("t1", known_at_s=1)], [verdict(known_at_s=1)])
    _, position = store.since(Position())
    store.let_go(1)
    assert store.since(position) == ([], position)
    later: list[Trajectory | Annotation] = [trajectory("t2", known_at_s=2), usage(known_at_s=2)]
    store.record_all((), [trajectory("t2", known_at_s=2)], [usage(known_at_s=2)])
    assert store.since(position)[0] == later


def test_whoever_derived_something_is_told_to_do_so_again(store: ExperienceStore) -> None:
    store.record_all((), [trajectory(known_at_s=1)])
    generation, position = store.generation(), store.since(Position())[1]
    before = store.fingerprint(position)
    store.let_go(0)
    store.prune([pattern_id("", "fetch", "origin", CELL)], 9)
    assert (store.generation(), store.fingerprint(position)) == (generation, before)
    store.let_go(1)
    assert store.generation() > generation
    assert store.fingerprint(position) != before
    generation = store.generation()
    store.prune([MIRROR], 1)
    assert store.generation() > generation


def test_a_space_that_is_noted_later_files_what_is_folded_anew(store: ExperienceStore) -> None:
    for at, trend in enumerate((1.7, 1.8, -4.0)):
        context = {"trend": trend, "volatility": 1.0}
        store.record_all((), [trajectory(str(at), context=context, known_at_s=at)])
    store.let_go(9)
    assert len(list(store.folded_rows())) > 1
    store.set_setting(SPACE, space_to_json(GRID))
    rows = {row.cell: row.trials for row in store.folded_rows()}
    assert rows == {
        (("trend", 2), ("volatility", 1)): 2,
        (("trend", 0), ("volatility", 1)): 1,
    }
    assert store.verify() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE folded SET successes = 7", "folded of 'mirror' by 'me' does not match its seal"),
        ("UPDATE folded SET agent = 'you'", "folded of 'mirror' by 'you' does not match its seal"),
        ("UPDATE folded_usage SET reward = 1", "the usage of 'p1' by 'me' does not match its seal"),
        ("UPDATE trajectories SET pattern = 3", "trajectory 't2': is filed elsewhere"),
        ("UPDATE trajectories SET pattern = NULL", "trajectory 't2': is filed elsewhere"),
        ("UPDATE annotations SET about = 't3'", "item .*: columns and body differ"),
        ("UPDATE annotations SET body = zeroblob(9)", "item .* does not match its seal"),
    ],
)
def test_rows_that_were_changed_by_hand_are_recognised(
    tmp_path: Path, change: str, told: str
) -> None:
    path = tmp_path / "bank.db"
    with closing(SqliteStore(path)) as store:
        tries = [trajectory("t1", known_at_s=1), trajectory("t2", known_at_s=2)]
        store.record_all((), tries, [usage(known_at_s=1), item()])
        store.let_go(1)
        with closing(sqlite3.connect(path)) as other, other:
            other.execute(change)
        with pytest.raises(StoreError, match=told):
            store.verify()


# --- pruning ---------------------------------------------------------------------------------


def test_a_pruned_pattern_is_gone_and_does_not_come_back(store: ExperienceStore) -> None:
    old = [trajectory(str(at), known_at_s=at) for at in range(4)]
    other = [trajectory("o", approach="origin", known_at_s=1)]
    store.record_all((), [*old, *other])
    store.let_go(0)
    assert store.prune([MIRROR], 2) == 3
    assert ids(store) == ["o", "3"]
    assert list(store.folded_rows()) == []
    assert store.record_all((), [*old, *other]) == 0
    assert store.late == 3
    # What is newer teaches it anew.
    assert store.record_all((), [trajectory("4", known_at_s=3)]) == 1
    assert [one.id for one in store.tries(MIRROR)] == ["3", "4"]
    assert store.verify() == 3


def test_patterns_can_be_named_in_each_way(store: ExperienceStore) -> None:
    names = [
        pattern_id("", "fetch", "a", CELL),
        ("", "fetch", "b", CELL),
        ("", "fetch", "c", '[["site","example.org"]]'),
    ]
    store.record_all((), [trajectory(name, approach=name) for name in "abcd"])
    assert store.prune(names, 10**6) == 3
    assert ids(store) == ["d"]
    assert store.counts()["pruned"] == 3


def test_pruning_earlier_than_before_does_not_let_anything_back(store: ExperienceStore) -> None:
    store.prune([MIRROR], 5)
    store.prune([MIRROR], 2)
    assert store.record_all((), [trajectory(known_at_s=5), trajectory("t2", known_at_s=6)]) == 1
    assert store.late == 1


def test_notes_of_pruned_patterns_go_when_the_watermark_has_passed_them(
    store: ExperienceStore,
) -> None:
    store.prune([MIRROR], 5)
    store.let_go(4)
    assert store.counts()["pruned"] == 1
    store.let_go(5)
    assert store.counts()["pruned"] == 0
    assert store.record_all((), [trajectory(known_at_s=5)]) == 0
    store.prune([MIRROR], 3)
    assert store.counts()["pruned"] == 0


def test_pruning_keeps_what_was_learnt_of_other_patterns(store: ExperienceStore) -> None:
    store.record_all(
        (),
        [trajectory("t1", known_at_s=1), trajectory("t2", known_at_s=1, agent="liar")],
        [
            usage("u1", target="else"),
            usage("u2", target=MIRROR),
            usage("u3", trajectory="t2", target="else"),
            tombstone("agent", "liar"),
            verdict(verdict=-1),
        ],
    )
    store.prune([MIRROR], 10**6)
    assert [(one.target, one.failures) for one in store.folded_usage()] == [("else", 1)]
    assert store.annotations("usage") == store.annotations("verdict") == []


# --- whatever is done, in whatever order -----------------------------------------------------

Key = tuple[object, ...]


def outcome(one: Trajectory, said: list[Verdict]) -> tuple[int, int]:
    """Judge a trajectory, the plain way."""
    found, excess = one.verdict, one.excess
    for later in sorted(said, key=lambda given: (given.known_at_s, given.id)):
        found = later.verdict
        excess = excess if later.excess is None else later.excess
    return found, round(excess * 1_000)


def statistics(store: ExperienceStore) -> tuple[Counter[Key], Counter[Key]]:
    """Return what everybody would know in the end: counters of patterns, and of usages."""
    revoked = {
        (one.target_kind, one.target)
        for one in store.annotations("tombstone")
        if isinstance(one, Tombstone)
    }
    learnt: Counter[Key] = Counter()
    used: Counter[Key] = Counter()

    def add(counter: Counter[Key], key: Key, sums: tuple[int, ...]) -> None:
        for name, value in zip(("n", "+", "-", "r", "s"), sums, strict=True):
            counter[*key, name] += value

    for row in store.folded_rows():
        id_ = pattern_id(row.domain, row.task_type, row.approach, row.cell)
        if not {("agent", row.agent), ("pattern", id_)} & revoked:
            add(learnt, (id_, row.agent), row[5:10])
    for row in store.folded_usage():
        if not {("agent", row.agent), ("pattern", row.pattern)} & revoked:
            add(used, (row.target, row.agent, row.given, row.used, row.propensity), row[6:11])
    verdicts = store.annotations("verdict")
    usages = store.annotations("usage")
    for one in store.in_order_of_time():
        assert isinstance(one, Trajectory)
        said = [had for had in verdicts if isinstance(had, Verdict) and had.trajectory == one.id]
        found, excess = outcome(one, said)
        sums = (1, int(found > 0), int(found < 0), excess, excess * excess)
        cell = ContextReader().cell(one.context)
        id_ = pattern_id(one.domain, one.task_type, one.approach, cell)
        names = {("agent", one.agent), ("pattern", id_), ("trajectory", one.id)}
        if names & revoked:
            continue
        add(learnt, (id_, one.agent), sums)
        for had in usages:
            if isinstance(had, Usage) and had.trajectory == one.id:
                key = (had.target, had.agent, had.given, had.used, had.propensity)
                add(used, key, sums)
    return +learnt, +used


TIMES = st.integers(0, 6)
AGENTS = st.sampled_from("ab")


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Trajectory], list[Annotation]]:
    """Draw tries of two agents at two patterns, and what is said of them."""
    count = draw(st.integers(1, 6))
    tries = [
        trajectory(
            f"t{at}",
            agent=draw(AGENTS),
            approach=draw(st.sampled_from(["mirror", "origin"])),
            known_at_s=draw(TIMES),
            excess=draw(st.integers(-2, 2)),
            verdict=draw(st.sampled_from([-1, 0, 1])),
        )
        for at in range(count)
    ]
    name = st.integers(0, count).map(lambda at: f"t{at}")
    said: list[Annotation] = []
    for at in range(draw(st.integers(0, 4))):
        what = draw(st.sampled_from(["verdict", "usage", "tombstone"]))
        if what == "verdict":
            excess = draw(st.none() | st.integers(-2, 2))
            given_ = draw(st.sampled_from([-1, 0, 1]))
            said.append(
                verdict(
                    f"v{at}",
                    trajectory=draw(name),
                    verdict=given_,
                    excess=excess,
                    known_at_s=draw(TIMES),
                )
            )
        elif what == "usage":
            about = draw(st.sampled_from(tries))
            said.append(
                usage(
                    f"u{at}",
                    trajectory=about.id,
                    agent=about.agent,
                    given=draw(st.booleans()),
                    known_at_s=draw(TIMES),
                )
            )
        else:
            kind = draw(st.sampled_from(["agent", "trajectory", "pattern"]))
            target = MIRROR if kind == "pattern" else draw(AGENTS if kind == "agent" else name)
            from_s = draw(st.just(-(2**53)) | TIMES)
            said.append(tombstone(kind, target, from_s=from_s, known_at_s=at))
    return tries, said


@settings(deadline=None, max_examples=60)
@given(found=logs(), untils=st.lists(st.integers(-1, 7), max_size=4), data=st.data())
def test_letting_go_at_any_time_and_sending_all_again_changes_no_statistics(
    found: tuple[list[Trajectory], list[Annotation]], untils: list[int], data: st.DataObject
) -> None:
    tries, said = found
    with closing(SqliteStore(":memory:")) as store:
        store.record_all((), tries, said)
        whole = statistics(store)
        for until_s in untils:
            store.let_go(until_s)
            assert statistics(store) == whole
            for one in data.draw(st.permutations(tries)):
                store.record_all((), [one, one])
            store.record_all((), (), said)
            assert statistics(store) == whole
        assert store.verify() >= 0


@settings(deadline=None, max_examples=40)
@given(
    found=logs(),
    steps=st.lists(st.tuples(st.booleans(), st.integers(-1, 7)), max_size=4),
)
def test_pruning_takes_one_pattern_and_touches_no_other(
    found: tuple[list[Trajectory], list[Annotation]], steps: list[tuple[bool, int]]
) -> None:
    tries, said = found
    with closing(SqliteStore(":memory:")) as store:
        store.record_all((), tries, said)
        learnt, _ = statistics(store)
        others = {key: value for key, value in learnt.items() if key[0] != MIRROR}
        pruned_s = -(2**53)
        for prunes, until_s in steps:
            if prunes:
                store.prune([MIRROR], until_s)
                pruned_s = max(pruned_s, until_s)
            else:
                store.let_go(until_s)
            store.record_all((), tries, said)
            now, _ = statistics(store)
            assert {key: value for key, value in now.items() if key[0] != MIRROR} == others
            assert all(one.known_at_s > pruned_s for one in store.tries(MIRROR))


def long_log(store: ExperienceStore, count: int) -> None:
    tries = [trajectory(f"{at:05}", known_at_s=at % 97, agent=f"a{at % 5}") for at in range(count)]
    store.record_all((), tries, [usage(f"u{at}", trajectory=f"{at:05}") for at in range(0, 90)])


def test_a_long_log_is_let_go_in_several_commits(store: ExperienceStore) -> None:
    long_log(store, 3_000)
    changes: Callable[[], int] = store.generation
    before = changes()
    gone = store.let_go(95)
    assert gone > 2_900 - 90
    assert changes() > before + 1
    assert sum(row.trials for row in store.folded_rows()) == gone
    assert len(ids(store)) == 3_000 - gone


def test_experiences_are_no_trajectories_to_be_let_go(store: ExperienceStore) -> None:
    store.record_all([experience(epoch=at, known_at_s=at).seal() for at in (1, 2)])
    assert store.let_go(10) == 0
    found = list(store.in_order_of_time())
    assert [one.epoch for one in found if isinstance(one, Experience)] == [1, 2]


def test_the_number_of_a_pattern_is_its_id() -> None:
    number = pattern_number(MIRROR)
    assert pattern_of(number) == MIRROR
    assert pattern_number(("", "fetch", "mirror", CELL)) == number
    assert -(2**63) <= number < 2**63


def test_an_item_outlives_its_sources(store: ExperienceStore) -> None:
    store.record_all((), [trajectory(known_at_s=1)], [item(sources=("t1",))])
    store.let_go(1)
    (kept,) = store.annotations("item")
    assert isinstance(kept, Item) and kept.sources == ("t1",)
    assert store.trajectories(kept.sources) == []
