"""What every store of experiences must do, in a file and in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import Experience
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.store import ExperienceStore, Position, SqliteStore
from tests.experiences import DAY_S, experience, histories, random_experience, trajectory

Opener = Callable[[], ExperienceStore]


@pytest.fixture(params=["file", "memory"])
def opener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Opener:
    """Return what opens an empty store, a fresh one each time."""

    def open_store() -> ExperienceStore:
        if request.param == "memory":
            return SqliteStore(":memory:")
        return SqliteStore(tmp_path_factory.mktemp("bank") / "bank.db")

    return open_store


@pytest.fixture
def store(opener: Opener) -> Iterator[ExperienceStore]:
    with closing(opener()) as opened:
        yield opened


def test_what_was_recorded_comes_back_bit_by_bit(store: ExperienceStore) -> None:
    found = [random_experience(1, "a", 1), random_experience(2, "a", 2)]
    tries = [trajectory("x"), trajectory("y", context={"n": 1.5, "ü": "ß"})]
    assert store.record_all([one.seal() for one in found], tries) == 4
    assert store.sealed() == [one.seal() for one in found]
    assert [one.to_bytes() for one in store.experiences()] == [one.to_bytes() for one in found]
    assert store.since(Position())[0][2:] == tries
    assert store.verify() == 4


def test_recording_again_changes_nothing(store: ExperienceStore) -> None:
    first, second = experience(epoch=1).seal(), experience(epoch=2).seal()
    assert store.record_all([first], [trajectory()]) == 2
    assert store.record_all([first, second, second], [trajectory(), trajectory()]) == 1
    assert store.record_all([], []) == 0
    assert store.view() == {"a": 2}
    assert store.verify() == 3


def test_another_experience_of_the_same_name_is_refused_by_name(store: ExperienceStore) -> None:
    store.record_all([experience("a", 1).seal()], [])
    with pytest.raises(StoreError, match="epoch 1 of a is here already, with another content"):
        store.record_all([experience("a", 1, excess=[[2.0, 0.0]]).seal()], [])


def test_another_trajectory_of_the_same_id_is_refused_by_name(store: ExperienceStore) -> None:
    store.record_all([], [trajectory("x")])
    with pytest.raises(StoreError, match="'x' is here already, with another content"):
        store.record_all([], [trajectory("x", excess=0.5)])


def test_a_gap_in_an_agents_epochs_is_refused(store: ExperienceStore) -> None:
    with pytest.raises(StoreError, match="epoch 2 of a came after 0"):
        store.record_all([experience("a", 2).seal()], [])


def test_a_batch_is_recorded_whole_or_not_at_all(store: ExperienceStore) -> None:
    store.record_all([experience("a", 1).seal()], [])
    batch = [experience("a", 2).seal(), experience("b", 1).seal(), experience("c", 3).seal()]
    with pytest.raises(StoreError, match="epoch 3 of c"):
        store.record_all(batch, [trajectory()])
    assert store.view() == {"a": 1}
    assert store.verify() == 1
    assert store.record_all(batch[:2], []) == 2


def test_the_order_inside_a_batch_does_not_matter(store: ExperienceStore) -> None:
    assert store.record_all([experience("a", epoch).seal() for epoch in (3, 1, 2)], []) == 3
    assert [one.epoch for one in store.sealed()] == [1, 2, 3]


def test_experiences_come_by_epoch_and_agent_between_views(store: ExperienceStore) -> None:
    names = [("b", 1), ("a", 1), ("a", 2), ("b", 2), ("b", 3)]
    store.record_all([experience(*name).seal() for name in names], [])

    def keys(after: dict[str, int] | None, until: dict[str, int] | None) -> list[tuple[str, int]]:
        return [one.key for one in store.experiences(after, until)]

    assert keys(None, None) == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", 3)]
    assert keys({"a": 1, "b": 2}, None) == [("a", 2), ("b", 3)]
    assert keys({"b": 1}, {"b": 2, "a": 1}) == [("a", 1), ("b", 2)]
    assert keys(None, {}) == []
    assert keys({"a": 9}, {"a": 2}) == []


def test_a_view_that_names_what_is_not_here_is_refused(store: ExperienceStore) -> None:
    store.record_all([experience("a", 1).seal()], [])
    with pytest.raises(StoreError, match="a up to epoch 2: only 1 are here"):
        store.sealed(None, {"a": 2})


def test_time_runs_by_known_at_then_epoch_agent_and_id(store: ExperienceStore) -> None:
    store.record_all(
        [
            experience("b", 1, known_at_s=DAY_S).seal(),
            experience("a", 1, known_at_s=2 * DAY_S).seal(),
            experience("a", 2, known_at_s=2 * DAY_S).seal(),
            experience("b", 2, known_at_s=2 * DAY_S).seal(),
        ],
        [trajectory("y", known_at_s=2 * DAY_S), trajectory("x", known_at_s=2 * DAY_S)],
    )

    def names(until_s: int | None) -> list[object]:
        return [
            one.key if isinstance(one, Experience) else one.id
            for one in store.in_order_of_time(until_s)
        ]

    assert names(None) == [("b", 1), "x", "y", ("a", 1), ("a", 2), ("b", 2)]
    assert names(DAY_S) == [("b", 1)]
    assert names(0) == []


@settings(deadline=None, max_examples=15)
@given(found=histories(), cuts=st.lists(st.integers(1, 3)))
def test_a_reader_that_follows_the_log_sees_everything_once(
    found: list[Experience], cuts: list[int]
) -> None:
    waiting = sorted(found, key=lambda one: one.epoch)
    position, seen = Position(), []
    with closing(SqliteStore(":memory:")) as store:
        for count in [*cuts, len(waiting)]:
            store.record_all([one.seal() for one in waiting[:count]], [])
            waiting = waiting[count:]
            records, position = store.since(position)
            seen += [one.key for one in records if isinstance(one, Experience)]
        assert sorted(seen) == sorted(one.key for one in found)
        assert store.since(position) == ([], position)


def test_a_long_log_is_read_chunk_by_chunk_up_to_a_position(store: ExperienceStore) -> None:
    tries = [trajectory(f"{at:05}") for at in range(5_000)]
    store.record_all([], tries)
    position, seen, chunks = Position(), [], 0
    while True:
        records, end = store.since(position, Position(0, 4_999))
        if end == position:
            break
        position, chunks = end, chunks + 1
        seen += records
    assert seen == tries[:4_999]
    assert chunks > 1


def test_what_the_log_says_of_itself_can_be_noted(store: ExperienceStore) -> None:
    assert store.setting("owner") is None
    store.set_setting("owner", "ü")
    store.set_setting("owner", "[]")
    assert store.setting("owner") == "[]"


def test_closing_twice_is_fine_and_using_it_afterwards_is_not(opener: Opener) -> None:
    opened = opener()
    opened.close()
    opened.close()
    with pytest.raises(StoreError, match=r"can't be used: .* closed"):
        opened.view()
    with pytest.raises(StoreError, match=r"can't be used: .* closed"):
        opened.record_all([experience().seal()], [])
