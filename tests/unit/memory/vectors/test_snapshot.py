"""Snapshots of the index: taken up when they can be trusted, made anew when they can't."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from swarm_runtime.errors import StoreError
from swarm_runtime.memory.vectors.index import VectorIndex

DIMENSION = 64
Rows = npt.NDArray[np.float32]


def vectors(seed: int, count: int) -> Rows:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((30, DIMENSION), dtype=np.float32)
    found = centres[random.integers(0, 30, count)]
    found += 0.5 * random.standard_normal((count, DIMENSION), dtype=np.float32)
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), dtype=np.float32)


def start(folder: Path, generation: str = "a") -> VectorIndex:
    return VectorIndex(DIMENSION, folder, generation=generation, exact_rows=1_500, background=False)


def opened(
    folder: Path, generation: str = "a", *, rows: int | None = None, writer: bool = True
) -> VectorIndex:
    return VectorIndex.open(
        folder,
        DIMENSION,
        generation=generation,
        rows=rows,
        writer=writer,
        exact_rows=1_500,
        background=False,
    )


def saved(folder: Path, count: int, generation: str = "a") -> Rows:
    """Leave a snapshot of so many rows; return them."""
    held = vectors(1, count)
    with start(folder, generation) as index:
        for at in range(0, count, 600):
            index.add(held[at : at + 600])
        index.snapshot()
    return held


def answers(index: VectorIndex) -> list[tuple[list[int], list[float]]]:
    return [
        (rows.tolist(), cosines.tolist()) for rows, cosines in index.search_many(vectors(2, 8), 10)
    ]


def fresh(held: Rows) -> VectorIndex:
    index = VectorIndex(DIMENSION, exact_rows=1_500, background=False)
    for at in range(0, len(held), 600):
        index.add(held[at : at + 600])
    return index


@pytest.mark.parametrize("count", [0, 900, 3_000, 9_000])
@pytest.mark.parametrize("writer", [True, False])
def test_an_index_that_was_taken_up_is_the_one_that_was_saved(
    count: int, writer: bool, tmp_path: Path
) -> None:
    held = saved(tmp_path, count)
    with opened(tmp_path, writer=writer) as index:
        said = index.describe()
        assert said["opened"] == "taken up"
        assert len(index) == count
        assert index.verify() == []
        np.testing.assert_array_equal(index.vectors(np.arange(count)), held)
        other = fresh(held)
        assert answers(index) == answers(other)
        for name in ("kind", "signed_rows", "recall_at_10", "recall_rows", "widening"):
            assert said[name] == other.describe()[name]


def test_what_was_added_after_the_snapshot_is_not_there_and_can_be_added_anew(
    tmp_path: Path,
) -> None:
    held = vectors(1, 7_000)
    with start(tmp_path) as index:
        index.add(held[:4_000])
        index.snapshot()
        index.add(held[4_000:])
    with opened(tmp_path) as index:
        assert len(index) == 4_000
        assert index.add(held[4_000:]) == 4_000
        index.snapshot()
    with opened(tmp_path) as index:
        np.testing.assert_array_equal(index.vectors(np.arange(7_000)), held)
        assert answers(index) == answers(fresh(held))


@pytest.mark.parametrize("keep", [0, 1_000, 4_095, 4_096, 5_000])
def test_no_more_rows_are_taken_up_than_are_wanted(keep: int, tmp_path: Path) -> None:
    held = saved(tmp_path, 6_000)
    with opened(tmp_path, rows=keep) as index:
        assert len(index) == keep
        assert index.describe()["signed_rows"] <= keep
        others = vectors(5, 1_500)
        index.add(others)
        index.snapshot()
    with opened(tmp_path) as index:
        expected = np.concatenate([held[:keep], others])
        np.testing.assert_array_equal(index.vectors(np.arange(len(index))), expected)
        assert index.verify() == []
        assert answers(index) == answers(fresh(expected))


def spoil(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def forge(path: Path, **changes: object) -> None:
    """Change what the snapshot says of itself, and seal it again."""
    body = json.loads(json.loads(path.read_text())["body"]) | changes
    text = json.dumps(body)
    path.write_text(json.dumps({"seal": zlib.crc32(text.encode()), "body": text}))


@pytest.mark.parametrize("writer", [True, False])
@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "index.json").unlink(),
        lambda folder: cut(folder / "index.json", 0),
        lambda folder: cut(folder / "index.json", 100),
        lambda folder: spoil(folder / "index.json", 60),
        lambda folder: (folder / "index.json").write_text("[1]"),
        lambda folder: (folder / "index.json").write_text('{"seal": 0, "body": 5}'),
        lambda folder: forge(folder / "index.json", generation="b"),
        lambda folder: forge(folder / "index.json", format=99),
        lambda folder: forge(folder / "index.json", dimension=65),
        lambda folder: forge(folder / "index.json", rows=4_900),
        lambda folder: (folder / "vectors-a.f32").unlink(),
        lambda folder: cut(folder / "vectors-a.f32", 5_000 * DIMENSION * 4 - 1),
        lambda folder: spoil(folder / "vectors-a.f32", 5_000 * DIMENSION * 4 - 1),
        lambda folder: cut(folder / "vectors-a.f32", 0),
    ],
)
def test_what_cannot_be_trusted_is_not_taken_up(harm: object, writer: bool, tmp_path: Path) -> None:
    held = saved(tmp_path, 5_000)
    harm(tmp_path)  # type: ignore[operator]
    with opened(tmp_path, writer=writer) as index:
        assert len(index) == 0
        assert index.describe()["opened"] != "taken up"
        index.add(held)
        assert answers(index) == answers(fresh(held))
        if writer:
            index.snapshot()
    if writer:
        with opened(tmp_path) as index:
            assert len(index) == 5_000
            assert index.verify() == []


@pytest.mark.parametrize("writer", [True, False])
@pytest.mark.parametrize(
    "harm", [lambda path: path.unlink(), lambda path: cut(path, 70), lambda path: spoil(path, 99)]
)
def test_signs_that_cannot_be_trusted_are_made_anew(
    harm: object, writer: bool, tmp_path: Path
) -> None:
    held = saved(tmp_path, 5_000)
    harm(tmp_path / "signs-a.u8")  # type: ignore[operator]
    with opened(tmp_path, writer=writer) as index:
        assert index.describe()["opened"].startswith("signs not trusted")
        assert len(index) == index.describe()["signed_rows"] == 5_000
        assert answers(index) == answers(fresh(held))
        if writer:
            index.snapshot()
    with opened(tmp_path) as index:
        assert (index.describe()["opened"] == "taken up") is writer


def test_damage_in_the_middle_is_found_when_everything_is_read(tmp_path: Path) -> None:
    saved(tmp_path, 9_000)
    spoil(tmp_path / "vectors-a.f32", 17)
    with opened(tmp_path) as index:
        assert [problem.rsplit(": ", 1)[1] for problem in index.verify()] == ["block 0"]


def test_a_reader_keeps_its_rows_while_a_writer_adds_saves_and_starts_anew(
    tmp_path: Path,
) -> None:
    held = saved(tmp_path, 3_000)
    with opened(tmp_path, writer=False) as reader, opened(tmp_path) as writer:
        before = answers(reader)
        more, own = vectors(3, 4_000), vectors(4, 2_000)
        writer.add(more)
        assert answers(reader) == before
        assert reader.add(own) == 3_000
        writer.snapshot()
        assert answers(reader) == answers(fresh(np.concatenate([held, own])))
        with opened(tmp_path, writer=False) as later:
            assert len(later) == 7_000
        writer.close()
        with start(tmp_path, "b") as anew:
            anew.add(own)
            anew.snapshot()
            np.testing.assert_array_equal(reader.vectors(np.arange(3_000)), held)
        assert answers(reader) == answers(fresh(np.concatenate([held, own])))
        with opened(tmp_path, "b", writer=False) as later:
            assert len(later) == 2_000
        with opened(tmp_path, "a", writer=False) as stale:
            assert len(stale) == 0
            assert "another generation" in stale.describe()["opened"]


def test_files_of_other_generations_go_with_the_next_snapshot_and_nothing_else(
    tmp_path: Path,
) -> None:
    saved(tmp_path, 100)
    (tmp_path / "notes.txt").write_text("mine")
    with start(tmp_path, "b") as index:
        index.add(vectors(1, 10))
        index.snapshot()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "index.json",
        "lock",
        "notes.txt",
        "signs-b.u8",
        "vectors-b.f32",
    ]


def test_starting_anew_leaves_nothing_to_take_up_until_it_is_saved(tmp_path: Path) -> None:
    held = saved(tmp_path, 5_000)
    with start(tmp_path) as index:
        # The end is the same, and only the end is looked at when a snapshot is taken up.
        index.add(np.concatenate([vectors(9, 4_096), held[4_096:]]))
    with opened(tmp_path) as index:
        assert len(index) == 0


def test_a_second_writer_is_refused_until_the_first_one_is_closed(tmp_path: Path) -> None:
    first = start(tmp_path)
    for second in (start, opened):
        with pytest.raises(StoreError, match="another process writes this index"):
            second(tmp_path)
    first.close()
    first.close()
    opened(tmp_path).close()


def test_only_what_writes_in_a_folder_has_snapshots(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only an index that writes in a folder"):
        VectorIndex(DIMENSION).snapshot()
    saved(tmp_path, 10)
    with (
        opened(tmp_path, writer=False) as index,
        pytest.raises(ValueError, match="only an index that writes in a folder"),
    ):
        index.snapshot()


@pytest.mark.parametrize("generation", ["", "a b", "../a", "x" * 65])
def test_a_generation_that_is_no_part_of_a_name_is_refused(generation: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 64 letters"):
        start(tmp_path, generation)
