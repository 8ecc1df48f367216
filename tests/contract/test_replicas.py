"""What every log that replicas stand on must do, whether a bank's file or a dict."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.memory.log.protocol import Position
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.travel.anti_entropy import reconcile
from swarm_runtime.memory.travel.bundle import Contents
from swarm_runtime.memory.travel.replica import Replica
from tests.annotations import annotations, item, tombstone, usage, verdict
from tests.bundles import contents
from tests.experiences import DAY_S, experience, trajectory
from tests.logs import DictLog

Opener = Callable[[], Any]


@pytest.fixture(params=["file", "memory", "dict"])
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    """Return what opens an empty log, a fresh one each time."""

    def open_log() -> Any:
        if request.param == "dict":
            return DictLog()
        if request.param == "memory":
            return SqliteStore(":memory:")
        return SqliteStore(tmp_path_factory.mktemp("bank") / "bank.db")

    return open_log


def learn(log: Any, which: Contents) -> None:
    log.record_all(which.experiences, which.trajectories, which.annotations)


def test_seals_name_every_record_once_and_find_it(opener: Opener) -> None:
    log, whole = opener(), contents()
    learn(log, whole)
    position, found = Position(), []
    while True:
        seals, end = log.seals(position)
        if end == position:
            break
        found += seals
        position = end
    named = {(one.kind, one.id): one for one in found}
    assert len(named) == len(found) == len(whole.trajectories) + len(whole.annotations)
    for record in (*whole.trajectories, *whole.annotations):
        seal = named[getattr(record, "kind", "trajectory"), record.id]
        assert seal.sha256 == hashlib.sha256(record.to_bytes()).digest()
        assert seal.known_at_s == record.known_at_s
        assert [one.body for one in log.packets([seal.place])] == [record.to_bytes()]
    assert log.packets([10**6]) == []


def test_what_is_added_later_is_sealed_later(opener: Opener) -> None:
    log = opener()
    assert log.seals(Position()) == ([], Position())
    log.record_all((), [trajectory("x")], ())
    _, position = log.seals(Position())
    log.record_all((), (), [verdict(trajectory="x")])
    later, _ = log.seals(position)
    assert [(one.kind, one.id) for one in later] == [("verdict", "v1")]


def test_epochs_are_named_by_their_seals(opener: Opener) -> None:
    log = opener()
    log.record_all([experience("a", 1).seal(), experience("a", 2).seal()], (), ())
    assert log.epoch_seals({"a": 2, "b": 1}) == {
        "a": hashlib.sha256(experience("a", 2).to_bytes()).digest()
    }
    assert log.epoch_seals({"a": 3}) == {}


def test_a_log_can_be_copied_into_an_empty_one_and_back(opener: Opener) -> None:
    here, there = opener(), opener()
    learn(here, contents())
    first, second = Replica(here), Replica(there)
    assert reconcile(second, first.answer).received == 16
    assert first.digest(bits=4) == second.digest(bits=4)
    assert reconcile(first, second.answer).messages == 1
    assert there.sealed() == here.sealed()


def test_a_replica_notices_what_is_let_go_of(opener: Opener) -> None:
    log = opener()
    log.record_all((), [trajectory(f"t{at}", known_at_s=at * DAY_S) for at in range(6)], ())
    replica, other = Replica(log), Replica(opener())
    reconcile(other, replica.answer)
    log.let_go(3 * DAY_S)
    assert replica.from_s == 3 * DAY_S + 1
    done = reconcile(other, replica.answer)
    assert (done.received, done.sent, done.messages) == (0, 0, 1)
    assert replica.digest() == other.digest(3 * DAY_S + 1)


def test_rows_that_come_after_others_were_let_go_of_are_noticed(opener: Opener) -> None:
    log = opener()
    replica = Replica(log)
    for day in range(1, 6):
        log.record_all((), [trajectory(f"t{day}", known_at_s=day * DAY_S)], ())
        replica.digest()
        log.let_go(day * DAY_S)
        replica.digest()
    log.record_all((), [trajectory("last", known_at_s=9 * DAY_S)], ())
    other = opener()
    reconcile(Replica(other), replica.answer)
    seals, _ = other.seals(Position())
    assert [one.id for one in seals] == ["last"]


def test_what_a_file_pruned_is_offered_once_and_not_again(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "bank.db")) as log, closing(SqliteStore(":memory:")) as two:
        for one in (log, two):
            one.record_all((), [trajectory(f"t{at}", known_at_s=at * DAY_S) for at in range(6)])
        other = Replica(two)
        pattern = ("", "fetch", "mirror", '[["site","example.org"]]')
        replica = Replica(log)
        assert reconcile(replica, other.answer).messages == 1
        assert log.prune([pattern], 3 * DAY_S) == 4
        assert reconcile(replica, other.answer).messages == 1
        restarted = Replica(log)
        assert reconcile(restarted, other.answer).received == 0
        assert reconcile(restarted, other.answer).messages == 1
        assert log.counts()["trajectories"] == 2


def test_a_conflict_does_not_hold_up_the_rest(opener: Opener) -> None:
    here, there = opener(), opener()
    here.record_all((), [trajectory("x")], [usage()])
    there.record_all((), [trajectory("x", excess=0.5), trajectory("y")], [item(), tombstone()])
    done = reconcile(Replica(here), Replica(there).answer)
    assert done.refused == ("trajectory x",)
    assert (done.received, done.sent) == (3, 1)


@settings(deadline=None, max_examples=25)
@given(first=st.lists(annotations(), max_size=6), second=st.lists(annotations(), max_size=6))
def test_a_file_and_a_dict_reconcile(first: list[Any], second: list[Any]) -> None:
    mine = {(one.kind, one.id): one for one in first}
    theirs = {name: one for one in second if (name := (one.kind, one.id)) not in mine}
    with closing(SqliteStore(":memory:")) as here:
        there = DictLog()
        here.record_all((), (), list(mine.values()))
        there.record_all((), (), list(theirs.values()))
        reconcile(Replica(here), Replica(there).answer)
        assert set(there.records) == {*mine, *theirs}
        assert Replica(here).digest(bits=3) == Replica(there).digest(bits=3)
        assert here.verify() == len(mine) + len(theirs)
