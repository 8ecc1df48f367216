"""Group commit: who shares a commit, who is answered when, and who is told of an error."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest

from actors.lanes import Commits, Committer, Lane
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.group_store import Batch, GroupStore
from swarm_runtime.memory.log.store import SqliteStore
from tests.annotations import verdict
from tests.experiences import experience, trajectory

#: How long a test waits for another thread before it fails.
PATIENCE_S = 20.0


class Gate:
    """Lets commits through one by one, and counts the batches in each."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.passing = threading.Semaphore(0)
        self.refuses: Callable[[Sequence[Batch]], bool] = lambda batches: False

    def open_store(self, path: Path) -> GroupStore:
        gate = self

        class Gated(GroupStore):
            def record_each(self, batches: Sequence[Batch]) -> list[int | Exception]:
                gate.batches.append(len(batches))
                gate.entered.release()
                assert gate.passing.acquire(timeout=PATIENCE_S)
                if gate.refuses(batches):
                    raise StoreError(self.path, "the disk refuses")
                return super().record_each(batches)

        return Gated(path)

    def wait(self) -> None:
        """Wait until the next commit is held."""
        assert self.entered.acquire(timeout=PATIENCE_S)

    def open(self) -> None:
        """Let everything pass from now on."""
        self.passing.release(1_000)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.sqlite"


@pytest.fixture
def committer(gate: Gate, path: Path) -> Iterator[Committer]:
    lane = Lane("writer", str(path), lambda: gate.open_store(path))
    yield Committer(lane, 64, lambda: None)
    gate.open()
    lane.close(lambda store: store.close())


def tries(*ids: str) -> Batch:
    return Batch(trajectories=[trajectory(id_) for id_ in ids])


def outcomes(futures: Sequence[Future[int]]) -> list[int | str]:
    """Return what each caller was told, an error by its kind."""
    found: list[int | str] = []
    for future in futures:
        problem = future.exception(PATIENCE_S)
        found.append(future.result() if problem is None else type(problem).__name__)
    return found


def recorded(path: Path) -> list[str]:
    store = SqliteStore(path)
    try:
        assert store.verify() == sum(store.counts().values())
        return [one.id for one in store.in_order_of_time() if hasattr(one, "id")]
    finally:
        store.close()


def test_batches_that_arrive_while_a_commit_is_under_way_share_the_next_one(
    gate: Gate, path: Path, committer: Committer
) -> None:
    first = committer.submit(tries("first"))
    gate.wait()
    others = [committer.submit(tries(f"a{at}", f"b{at}")) for at in range(20)]
    gate.open()
    assert outcomes([first, *others]) == [1] + [2] * 20
    assert gate.batches == [1, 20]
    assert committer.done == Commits(commits=2, batches=21, records=41, refused=0)
    assert len(recorded(path)) == 41


def test_nobody_is_answered_before_his_own_commit_is_done(
    gate: Gate, path: Path, committer: Committer
) -> None:
    first = committer.submit(tries("first"))
    gate.wait()
    second = committer.submit(tries("second"))
    gate.passing.release()
    assert first.result(PATIENCE_S) == 1
    gate.wait()  # the second commit is held
    assert recorded(path) == ["first"]
    assert not second.done()
    gate.passing.release()
    assert second.result(PATIENCE_S) == 1
    assert recorded(path) == ["first", "second"]


def test_a_batch_that_cant_be_taken_fails_alone_and_in_the_same_commit(
    gate: Gate, path: Path, committer: Committer
) -> None:
    first = committer.submit(tries("first"))
    gate.wait()
    others = [
        committer.submit(tries("good")),
        committer.submit(
            Batch(trajectories=[trajectory("half"), trajectory("first", excess=-1.0, verdict=-1)])
        ),
        committer.submit(Batch(sealed=[experience("a", 2).seal()])),
        committer.submit(Batch(trajectories=["no trajectory"])),  # type: ignore[list-item]
        committer.submit(Batch(sealed=[experience("a", 1).seal()])),
        committer.submit(
            Batch(trajectories=[trajectory("judged")], annotations=[verdict(trajectory="judged")])
        ),
    ]
    gate.open()
    told = ["StoreError", "StoreError", "AttributeError"]
    assert outcomes([first, *others]) == [1, 1, *told, 1, 2]
    assert gate.batches == [1, 6]
    assert committer.done.refused == 3
    # Of a batch that was refused, nothing stays: neither "half" nor epoch 2.
    assert recorded(path) == ["first", "good", "judged"]
    with pytest.raises(StoreError, match="'first' is here already, with another content"):
        others[1].result()
    with pytest.raises(StoreError, match="epoch 2 of a came after 0"):
        others[2].result()


def test_what_one_caller_records_counts_for_the_next_one_in_the_same_commit(
    gate: Gate, path: Path, committer: Committer
) -> None:
    first = committer.submit(tries("first"))
    gate.wait()
    others = [
        committer.submit(tries("x", "y")),
        committer.submit(tries("y", "z", "first")),
        committer.submit(Batch(sealed=[experience("a", 1).seal()])),
        committer.submit(Batch(sealed=[experience("a", 1).seal(), experience("a", 2).seal()])),
    ]
    gate.open()
    assert outcomes([first, *others]) == [1, 2, 1, 1, 1]
    assert gate.batches == [1, 4]


def test_where_a_commit_fails_as_a_whole_each_batch_is_tried_alone(
    gate: Gate, path: Path, committer: Committer
) -> None:
    gate.refuses = lambda batches: any(batch.size > 1 for batch in batches)
    first = committer.submit(tries("first"))
    gate.wait()
    others = [committer.submit(one) for one in (tries("a"), tries("b", "c"), tries("d"))]
    gate.open()
    assert outcomes([first, *others]) == [1, 1, "StoreError", 1]
    assert gate.batches == [1, 3, 1, 1, 1]
    assert recorded(path) == ["a", "d", "first"]


def test_a_full_disk_refuses_everybody_and_loses_nothing_that_was_acknowledged(
    path: Path,
) -> None:
    class Small(GroupStore):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self._file.connection.execute("PRAGMA max_page_count = 60")

    store = Small(path)
    acknowledged: list[str] = []
    with pytest.raises(StoreError, match="make room"):
        for at in range(1_000):
            batch = [trajectory(f"{at}-{one}", steps=("x" * 500,)) for one in range(5)]
            store.record_each([Batch(trajectories=[one]) for one in batch])
            acknowledged += [one.id for one in batch]
    store.close()
    assert acknowledged
    assert sorted(recorded(path)) == sorted(acknowledged)


def test_one_commit_takes_no_more_than_it_may(path: Path) -> None:
    gate = Gate()
    lane = Lane("writer", str(path), lambda: gate.open_store(path))
    committer = Committer(lane, 2, lambda: None)
    found = [committer.submit(tries("first"))]
    gate.wait()
    found += [committer.submit(tries(f"t{at}")) for at in range(5)]
    gate.open()
    assert outcomes(found) == [1] * 6
    assert gate.batches == [1, 2, 2, 1]
    lane.close(lambda store: store.close())


def test_a_lane_that_is_closed_does_what_was_handed_in_and_takes_nothing_more(
    gate: Gate, path: Path
) -> None:
    lane = Lane("writer", str(path), lambda: gate.open_store(path))
    committer = Committer(lane, 64, lambda: None)
    found = [committer.submit(tries("first"))]
    gate.wait()
    found.append(committer.submit(tries("second")))
    gate.open()
    lane.close(lambda store: store.close())
    assert outcomes(found) == [1, 1]
    with pytest.raises(StoreError, match="is closed"):
        committer.submit(tries("third"))
    assert not [one for one in threading.enumerate() if one.name == "writer"]


def test_a_lane_whose_own_thing_cant_be_made_says_so_and_tries_again(path: Path) -> None:
    attempts: list[int] = []

    def make() -> GroupStore:
        attempts.append(1)
        if len(attempts) < 2:
            raise StoreError(str(path), "is somewhere else")
        return GroupStore(path)

    lane = Lane("writer", str(path), make)
    committer = Committer(lane, 64, lambda: None)
    assert outcomes([committer.submit(tries("first"))]) == ["StoreError"]
    assert outcomes([committer.submit(tries("first"))]) == [1]
    lane.close(lambda store: store.close())


def test_a_lanes_own_thing_is_used_in_one_thread_alone(path: Path) -> None:
    lane = Lane("reader", str(path), lambda: sqlite3.connect(path))
    # A connection refuses any other thread.
    assert lane.call(lambda own: own.execute("SELECT 1").fetchone()) == (1,)
    lane.close(lambda own: own.close())
