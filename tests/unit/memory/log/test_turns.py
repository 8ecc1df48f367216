"""A busy writer is waited for, and somebody is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swarm_runtime.errors import RunFolderError
from swarm_runtime.memory.log.turns import await_turn
from tests.banks import make_bank


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_bank(tmp_path / "bank.db")
    return tmp_path / "bank.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_nobody_is_told_where_nobody_writes(path: Path) -> None:
    told: list[str] = []
    await_turn(path, told.append)
    assert told == []


def test_who_is_told_of_the_wait_sees_it_end_when_the_writer_is_done(
    path: Path, writer: sqlite3.Connection
) -> None:
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        writer.execute("COMMIT")

    await_turn(path, say)
    assert len(told) == 1
    assert "another process is writing; waiting" in told[0]


def test_a_writer_that_does_not_end_is_named_after_a_while(
    path: Path, writer: sqlite3.Connection
) -> None:
    with pytest.raises(RunFolderError, match="another process has been writing for"):
        await_turn(path, lambda text: None, patience_s=0.01)


def test_what_else_is_wrong_is_for_others_to_find(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no bank" * 100)
    await_turn(tmp_path / "notes.txt", pytest.fail)
    await_turn(tmp_path / "missing", pytest.fail)
    assert not (tmp_path / "missing").exists()
