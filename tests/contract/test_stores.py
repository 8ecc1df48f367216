"""What every store of experiences must do, in a file and in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarm_runtime.core.knowledge import Experience, Sealed
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.protocol import SPACE, ExperienceStore, Position, Record
from swarm_runtime.memory.log.seal_index import Seal
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.annotations import ANNOTATIONS, Annotation
from swarm_runtime.memory.records.pattern import pattern_id, space_to_json
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.annotations import annotations, item, link, tombstone, usage, verdict
from tests.experiences import (
    DAY_S,
    experience,
    histories,
    random_experience,
    trajectory,
)
from tests.experiences import SPACE as GRID

#: One annotation of each kind.
NOTES: tuple[Annotation, ...] = (verdict(), item(), usage(), link(), tombstone())

Opener = Callable[[], ExperienceStore]


def everything(store: ExperienceStore) -> list[Record]:
    """Read the whole log, chunk by chunk."""
    found, position = list[Record](), Position()
    while True:
        records, end = store.since(position)
        if end == position:
            return found
        found, position = found + records, end


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


# --- annotations -----------------------------------------------------------------------------


def test_annotations_of_every_kind_come_back_as_they_were(store: ExperienceStore) -> None:
    assert store.record_all((), (), NOTES) == len(ANNOTATIONS)
    for one in NOTES:
        assert store.annotations(one.kind) == [one]
    assert store.verify() == len(NOTES)


def test_recording_annotations_again_changes_nothing(store: ExperienceStore) -> None:
    store.record_all(annotations=NOTES[:2])
    assert store.record_all(annotations=[*NOTES, *NOTES]) == 3
    assert store.record_all(annotations=NOTES) == 0
    assert store.counts()["verdict"] == 1


def test_another_annotation_of_the_same_id_is_refused_by_name(store: ExperienceStore) -> None:
    store.record_all(annotations=[verdict("v")])
    with pytest.raises(StoreError, match="verdict 'v' is here already, with another content"):
        store.record_all((), [trajectory()], [usage("u"), verdict("v", verdict=-1)])
    assert store.verify() == 1
    # Of another kind it is another one.
    assert store.record_all(annotations=[usage("v")]) == 1


def test_a_batch_that_contradicts_itself_is_refused(store: ExperienceStore) -> None:
    with pytest.raises(StoreError, match="'x' is here already"):
        store.record_all((), [trajectory("x"), trajectory("x", excess=0.5)])
    with pytest.raises(StoreError, match="'v' is here already"):
        store.record_all(annotations=[verdict("v"), verdict("v", verdict=-1)])
    assert store.verify() == 0


def test_annotations_come_by_time_and_id_and_can_be_asked_for_by_what_they_speak_of(
    store: ExperienceStore,
) -> None:
    said = [
        verdict("b", trajectory="t1", known_at_s=2),
        verdict("c", trajectory="t1", known_at_s=1),
        verdict("a", trajectory="t1", known_at_s=2),
        verdict("d", trajectory="t2", known_at_s=3),
    ]
    store.record_all(annotations=said)

    def names(target: str | None = None, until_s: int | None = None) -> list[str]:
        return [one.id for one in store.annotations("verdict", target=target, until_s=until_s)]

    assert names() == ["c", "a", "b", "d"]
    assert names("t1") == ["c", "a", "b"]
    assert names("t1", 1) == ["c"]
    assert names(until_s=2) == ["c", "a", "b"]
    assert names("t3") == []


def test_what_an_annotation_speaks_of_depends_on_its_kind(store: ExperienceStore) -> None:
    store.record_all(annotations=NOTES)
    for one, target in zip(NOTES, ("t1", "fetch", "t1", "p2", "liar"), strict=True):
        assert store.annotations(one.kind, target=target) == [one]
        assert store.annotations(one.kind, target="else") == []


def test_a_kind_of_annotation_that_is_not_known_is_refused(store: ExperienceStore) -> None:
    with pytest.raises(ValueError, match="Did you mean 'verdict'"):
        store.annotations("verdicts")


def test_trajectories_come_before_what_is_said_of_them(store: ExperienceStore) -> None:
    store.record_all(annotations=[verdict()])
    store.record_all([experience().seal()], [trajectory()], [item()])
    records, _ = store.since(Position())
    assert records[1:] == [trajectory(), verdict(), item()]
    assert isinstance(records[0], Experience)


@settings(deadline=None, max_examples=25)
@given(
    found=histories(),
    said=st.lists(annotations(), max_size=6),
    tried=st.lists(st.integers(0, 9), max_size=6),
    data=st.data(),
)
def test_the_order_and_repetition_of_batches_does_not_matter(
    found: list[Experience], said: list[Annotation], tried: list[int], data: st.DataObject
) -> None:
    # One content per id, as everywhere but in the tests of refusals.
    notes = list({(one.kind, one.id): one for one in said}.values())
    tries = [trajectory(f"t{at}", excess=at / 8) for at in tried]
    sealed = [one.seal() for one in found]

    def content(store: ExperienceStore) -> tuple[list[bytes], list[Trajectory], list[Annotation]]:
        assert store.verify() == sum(store.counts()[name] for name in COUNTED)
        return (
            [one.to_bytes() for one in store.experiences()],
            [one for one in store.in_order_of_time() if isinstance(one, Trajectory)],
            [one for kind in sorted(ANNOTATIONS) for one in store.annotations(kind)],
        )

    with closing(SqliteStore(":memory:")) as whole, closing(SqliteStore(":memory:")) as parts:
        whole.record_all(sealed, tries, notes)
        for _ in range(2):
            waiting: list[Sealed | Trajectory | Annotation] = [*tries, *notes, *notes]
            waiting = data.draw(st.permutations(waiting))
            for at in range(0, len(waiting), 3):
                batch = waiting[at : at + 3]
                parts.record_all(
                    (),
                    [one for one in batch if isinstance(one, Trajectory)],
                    [one for one in batch if not isinstance(one, (Trajectory, Sealed))],
                )
            # Epochs of one agent come in order, those of several in any.
            for one in sorted(data.draw(st.permutations(sealed)), key=lambda one: one.epoch):
                parts.record_all([one, one])
        assert content(parts) == content(whole)


COUNTED = ("experiences", "trajectories", *ANNOTATIONS)


# --- finding trajectories --------------------------------------------------------------------


def test_trajectories_are_found_by_id(store: ExperienceStore) -> None:
    store.record_all((), [trajectory("x"), trajectory("y")])
    assert store.trajectory("x") == trajectory("x")
    assert store.trajectory("z") is None
    assert store.trajectories(["y", "z", "x", "y"]) == [
        trajectory("y"),
        trajectory("x"),
        trajectory("y"),
    ]


def test_trajectories_are_found_by_their_pattern(store: ExperienceStore) -> None:
    near = trajectory("b", context={"site": "EXAMPLE.org "}, known_at_s=2)
    tries = [near, trajectory("a", known_at_s=3), trajectory("c", approach="origin")]
    store.record_all((), tries)
    cell = (("site", "example.org"),)
    name = ("", "fetch", "mirror", cell)
    for pattern in (pattern_id(*name), name, (*name[:3], '[["site", "example.org"]]')):
        assert [one.id for one in store.tries(pattern)] == ["b", "a"]
        assert [one.id for one in store.tries(pattern, 2)] == ["b"]
    assert store.tries("0123456789abcdef") == []


@pytest.mark.parametrize("name", ["", "xyz", "0123456789ABCDE", "0123456789 bcdef"])
def test_a_pattern_that_is_none_is_refused(store: ExperienceStore, name: str) -> None:
    with pytest.raises(ValueError, match="sixteen hex digits"):
        store.tries(name)


def test_a_space_that_is_noted_later_files_trajectories_anew(store: ExperienceStore) -> None:
    context = {"trend": 1.7, "volatility": 1.0}
    store.record_all((), [trajectory("x", context=context)])
    before = store.generation()
    store.set_setting(SPACE, space_to_json(GRID))
    assert store.generation() > before
    store.record_all((), [trajectory("y", context={"trend": 2.0, "volatility": 0.9})])
    cell = (("trend", 2), ("volatility", 1))
    assert [one.id for one in store.tries(("", "fetch", "mirror", cell))] == ["x", "y"]
    assert store.verify() == 2


def test_a_space_that_is_none_is_refused(store: ExperienceStore) -> None:
    for wrong in ("ü", "[1]", "{}x"):
        with pytest.raises(ValueError, match="is no space"):
            store.set_setting(SPACE, wrong)
    assert store.setting(SPACE) is None


# --- seals -----------------------------------------------------------------------------------


def test_seals_name_every_record_and_lead_to_its_bytes(store: ExperienceStore) -> None:
    store.record_all([experience().seal()], [trajectory("x"), trajectory("y")], NOTES)
    found, position = list[Seal](), Position()
    while True:
        seals, end = store.seals(position)
        if end == position:
            break
        found, position = found + list(seals), end
    assert position == store.since(Position())[1]
    records: list[Trajectory | Annotation] = [trajectory("x"), trajectory("y"), *NOTES]
    bodies = {
        ("trajectory" if isinstance(one, Trajectory) else one.kind, one.id): one.to_bytes()
        for one in records
    }
    assert {seal[:2] for seal in found} == set(bodies)
    for seal in found:
        assert hashlib.sha256(bodies[seal[:2]]).digest() == seal.sha256
        assert seal.known_at_s == DAY_S
        (packet,) = store.packets([seal.place])
        assert (packet.kind, packet.body) == (seal.kind, bodies[seal[:2]])
    assert store.packets([1_000, 1_001]) == []


def test_seals_of_epochs_are_those_that_are_here(store: ExperienceStore) -> None:
    one = experience("a", 1).seal()
    store.record_all([one])
    assert store.epoch_seals({"a": 1, "b": 1}) == {"a": bytes.fromhex(one.digest())}
    assert store.epoch_seals({"a": 2}) == {}


# --- whose log, and in which state -----------------------------------------------------------


def test_every_log_has_a_name_of_its_own(opener: Opener) -> None:
    with closing(opener()) as first, closing(opener()) as second:
        assert first.uuid != second.uuid
        assert len(first.uuid) == 32


def test_a_fingerprint_stays_while_the_log_only_grows(store: ExperienceStore) -> None:
    store.record_all((), [trajectory("x")], [verdict()])
    position = store.since(Position())[1]
    before = store.fingerprint(position)
    store.record_all([experience().seal()], [trajectory("y")], [usage()])
    assert store.fingerprint(position) == before
    assert store.fingerprint(store.since(Position())[1]) != before


def test_a_log_that_goes_on_differently_has_another_fingerprint(store: ExperienceStore) -> None:
    names = [f"{at:02}" for at in range(40)]
    prints = set()
    for count in (5, 20, 39):
        with closing(SqliteStore(":memory:")) as other:
            other.record_all((), [trajectory(name) for name in names[:count]])
            other.record_all((), [trajectory("another")])
            for name in names[count + 1 :]:
                other.record_all((), [trajectory(name)])
            prints.add(other.fingerprint(Position(0, 40))[:8])
    assert len(prints) == 3


def test_a_position_beyond_the_end_has_another_fingerprint(store: ExperienceStore) -> None:
    store.record_all((), [trajectory("x")])
    assert store.fingerprint(Position(0, 1)) != store.fingerprint(Position(0, 2))


def test_the_stamp_changes_with_every_kind_of_change(store: ExperienceStore) -> None:
    stamps = [store.stamp()]
    assert store.stamp() == stamps[0]
    for change in (
        lambda: store.record_all([experience().seal()]),
        lambda: store.record_all((), [trajectory()]),
        lambda: store.record_all((), (), [verdict()]),
        lambda: store.set_setting("owner", "me"),
        lambda: store.let_go(2 * DAY_S),
    ):
        change()
        stamps.append(store.stamp())
    assert len(set(stamps)) == len(stamps)
    store.record_all((), (), [verdict()])
    store.view()
    assert store.since(Position())


def test_nothing_can_be_written_while_one_state_is_read(store: ExperienceStore) -> None:
    with store.reading():
        with store.reading():
            assert store.view() == {}
        with pytest.raises(StoreError, match="transaction"):
            store.record_all((), [trajectory()])
    assert store.record_all((), [trajectory()]) == 1


# --- the cache of embeddings -----------------------------------------------------------------


def test_embeddings_are_kept_by_model_and_key(store: ExperienceStore) -> None:
    store.keep_embeddings("small", {"ü": b"1", "b": b"2"})
    store.keep_embeddings("large", {"ü": b"3"})
    store.keep_embeddings("small", {"ü": b"other"})
    assert store.embedding("small", ["ü", "c", "ü"]) == {"ü": b"1"}
    assert store.embedding("large", ["ü", "b"]) == {"ü": b"3"}
    assert store.embedding("small", []) == {}
    assert store.counts()["embeddings"] == 3
    assert store.verify() == 0


def test_rows_are_counted_by_kind(store: ExperienceStore) -> None:
    assert set(store.counts().values()) == {0}
    store.record_all([experience().seal()], [trajectory()], [verdict(), verdict("v2"), item()])
    counts = store.counts()
    assert (counts["experiences"], counts["trajectories"]) == (1, 1)
    assert (counts["verdict"], counts["item"], counts["usage"]) == (2, 1, 0)
    assert store.size_bytes() > 4_096


def test_vacuum_gives_room_back_and_loses_nothing(store: ExperienceStore) -> None:
    tries = [trajectory(f"{at:05}", steps=("x" * 500,), known_at_s=at) for at in range(500)]
    store.record_all((), tries)
    store.let_go(449)
    before = everything(store)
    assert store.vacuum() > 100_000
    assert everything(store) == before == tries[450:]
    assert store.verify() == 50
