"""Rows in memory and in a file: what was appended is what is read, by whoever and in any order."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm_runtime.memory.vectors.file import FileVectors, RamVectors, SealedFile, Vectors

DIMENSION = 6


def rows(count: int, first: int = 0) -> npt.NDArray[np.float32]:
    """Rows that can be told apart."""
    flat = np.arange(first * DIMENSION, (first + count) * DIMENSION, dtype=np.float32)
    return flat.reshape(count, DIMENSION)


def in_file(folder: Path, *, writer: bool = True) -> FileVectors:
    path = folder / "vectors"
    file = SealedFile(path, 4 * DIMENSION, writer=writer)
    return FileVectors(file, DIMENSION, writer=writer, released=0)


def everything(vectors: Vectors, start: int, stop: int) -> npt.NDArray[np.float32]:
    parts, at = [], start
    for first, some in vectors.passes(start, stop):
        assert first == at
        at += len(some)
        parts.append(some)
    assert at == stop
    return np.concatenate(parts) if parts else rows(0)


@given(data=st.data())
def test_rows_are_what_was_appended_wherever_they_lie(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("vectors")
    kinds: list[RamVectors | FileVectors] = [
        RamVectors(DIMENSION, block_rows=8),
        RamVectors(DIMENSION),
        in_file(folder),
    ]
    parts = data.draw(st.lists(st.integers(0, 1_500), max_size=5))
    released = data.draw(st.lists(st.integers(0, 6_000), min_size=5, max_size=5))
    total = sum(parts)
    for vectors in kinds:
        done = 0
        for part, before in zip(parts, released, strict=False):
            assert vectors.append(rows(part, done)) == done
            done += part
            vectors.release(min(before, done))
        assert len(vectors) == total
        start = data.draw(st.integers(0, total))
        stop = data.draw(st.integers(start, total))
        np.testing.assert_array_equal(everything(vectors, start, stop), rows(stop - start, start))
        if total:
            some = np.array(data.draw(st.lists(st.integers(0, total - 1), max_size=20)), dtype=int)
            np.testing.assert_array_equal(vectors.take(some), rows(total)[some])


def test_a_pass_goes_on_while_rows_are_released_and_added(tmp_path: Path) -> None:
    vectors = in_file(tmp_path)
    vectors.append(rows(6_000))
    vectors.release(3_000)
    running = vectors.passes(0, 6_000)
    parts = [next(running)]
    vectors.append(rows(2_000, 6_000))
    vectors.release(8_000)
    parts += list(running)
    np.testing.assert_array_equal(np.concatenate([some for _, some in parts]), rows(6_000))


def test_who_only_reads_keeps_what_it_adds_to_itself(tmp_path: Path) -> None:
    writer = in_file(tmp_path)
    writer.append(rows(100))
    seals = writer.file.seals()
    reading = SealedFile(tmp_path / "vectors", 4 * DIMENSION, 100, seals, writer=False)
    reader = FileVectors(reading, DIMENSION, writer=False, released=100)
    assert reader.append(-rows(3_000)) == 100
    reader.release(3_100)
    writer.append(rows(4_000, 100))
    np.testing.assert_array_equal(everything(reader, 0, 100), rows(100))
    np.testing.assert_array_equal(everything(reader, 100, 3_100), -rows(3_000))
    np.testing.assert_array_equal(reader.take(np.array([100, 5])), [-rows(1)[0], rows(1, 5)[0]])
    np.testing.assert_array_equal(everything(writer, 0, 4_100), rows(4_100))


@given(st.lists(st.integers(1, 5_000), max_size=4), st.integers(0, 10_000))
def test_seals_depend_on_the_rows_alone(parts: list[int], shorter: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        piecewise = SealedFile(Path(folder) / "a", 4 * DIMENSION, writer=True)
        done = 0
        for part in parts:
            piecewise.append(rows(part, done).data.cast("B"))
            done += part
        keep = min(shorter, done)
        whole = SealedFile(Path(folder) / "b", 4 * DIMENSION, writer=True)
        if keep:
            whole.append(rows(keep).data.cast("B"))
        piecewise.shorten(keep)
        assert piecewise.seals() == whole.seals()
        again = SealedFile(Path(folder) / "b", 4 * DIMENSION, keep, whole.seals(), writer=False)
        assert again.broken() == []
        np.testing.assert_array_equal(again.checked().view(np.float32), rows(keep))
        for file in (piecewise, whole, again):
            file.close()


@pytest.mark.parametrize("at", [0, 4_095 * 4 * DIMENSION, 4_500 * 4 * DIMENSION, -1])
def test_a_changed_byte_is_found(at: int, tmp_path: Path) -> None:
    file = SealedFile(tmp_path / "rows", 4 * DIMENSION, writer=True)
    file.append(rows(5_000).data.cast("B"))
    content = bytearray((tmp_path / "rows").read_bytes())
    content[at] ^= 1
    (tmp_path / "rows").write_bytes(content)
    assert file.broken() == [0 if 0 <= at < 4_096 * 4 * DIMENSION else 1]
    with pytest.raises(OSError, match="is not what was written"):
        file.checked()


def test_a_file_whose_end_is_missing_or_torn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    file = SealedFile(path, 4 * DIMENSION, writer=True)
    file.append(rows(5_000).data.cast("B"))
    seals, whole = file.seals(), path.read_bytes()
    for wrong, said in (
        (whole[:-1], "cut off"),
        (b"", "cut off"),
        (whole[:-9] + bytes(9), "its end is not what was written"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(OSError, match=said):
            SealedFile(path, 4 * DIMENSION, 5_000, seals, writer=False)
    path.write_bytes(whole)
    with pytest.raises(OSError, match="1 seals of 5000 rows"):
        SealedFile(path, 4 * DIMENSION, 5_000, seals[:1], writer=True)
    path.unlink()
    with pytest.raises(OSError, match="No such file"):
        SealedFile(path, 4 * DIMENSION, 5_000, seals, writer=True)
    assert not path.exists()
