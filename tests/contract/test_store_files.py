"""Bank files: what was acknowledged survives a kill; damage is recognised and told."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.migrations import FORMAT
from swarm_runtime.memory.store import SqliteStore
from tests.experiences import random_experience, trajectory

#: Opens the bank named by its first argument, says so, waits for a word, then writes single tries
#: (named by its second argument) and says after each that it is recorded.
WRITER = """
import sys
from swarm_runtime.memory.store import SqliteStore
from tests.experiences import experience, trajectory
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SqliteStore(path)
print("open", flush=True)
sys.stdin.readline()
for at in range(1, count + 1):
    store.record_all([experience(name, at).seal()], [trajectory(f"{name}{at}")])
    print(at, flush=True)
store.close()
"""


def writer(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Start a writer, which waits to be told to begin."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def begin(process: subprocess.Popen[str]) -> None:
    assert line(process) == "open"
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.db"


def filled(path: Path, count: int = 60) -> bytes:
    """Fill a bank and return its file, whole."""
    with closing(SqliteStore(path)) as store:
        for epoch in range(1, count + 1):
            store.record_all(
                [random_experience(epoch, "a", epoch, rows=20, columns=9).seal()],
                [trajectory(f"t{epoch}")],
            )
    assert not path.with_name("bank.db-wal").exists()
    return path.read_bytes()


# --- kills and processes ---------------------------------------------------------------------


@pytest.mark.parametrize("acknowledged", [1, 7, 40])
def test_what_was_acknowledged_is_there_once_after_a_kill(path: Path, acknowledged: int) -> None:
    with writer(path, "w", 1_000_000) as process:
        begin(process)
        last = 0
        while last < acknowledged:
            last = int(line(process))
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        rest = process.stdout.read().split()
        assert process.wait() == -signal.SIGKILL
    last = max([last, *map(int, rest[:-1])])
    with closing(SqliteStore(path)) as store:
        # The one that was under way when the kill came may be there, too, whole.
        count = store.view()["w"]
        assert count >= last
        assert store.verify() == 2 * count
        assert [one.epoch for one in store.sealed()] == list(range(1, count + 1))


def test_two_processes_write_and_a_third_reads_meanwhile(path: Path) -> None:
    with (
        writer(path, "x", 40) as first,
        writer(path, "y", 40) as second,
        closing(SqliteStore(path)) as reader,
    ):
        begin(first)
        begin(second)
        seen = 0
        for at in range(1, 41):
            assert (line(first), line(second)) == (str(at), str(at))
            # Acknowledged means visible, to whoever asks from then on.
            view = reader.view()
            assert view["x"] >= at and view["y"] >= at
            assert len(reader.sealed()) >= seen
            seen = sum(view.values())
        assert first.wait() == second.wait() == 0
        assert reader.view() == {"x": 40, "y": 40}
        assert reader.verify() == 160


def test_processes_that_make_the_same_bank_at_once_make_one(path: Path) -> None:
    processes = [writer(path, name, 1) for name in "abcd"]
    for process in processes:
        begin(process)
    for process in processes:
        with process:
            assert line(process) == "1"
    with closing(SqliteStore(path)) as store:
        assert store.view() == dict.fromkeys("abcd", 1)


def test_a_batch_under_way_is_not_seen_by_others(path: Path) -> None:
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute(
            "INSERT INTO experiences VALUES (1, 'a', 1, 0, 'd', 't', zeroblob(32), zeroblob(9))"
        )
        assert store.view() == {}
        other.rollback()
        assert store.verify() == 0


# --- files that are no banks, or no longer ---------------------------------------------------


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("date,open,high,low,close\n" * 100)
    with pytest.raises(StoreError, match="is no SQLite file; name another file"):
        SqliteStore(path)


def test_a_database_that_is_no_bank_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE notes (text)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="but no bank; name another file"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_newer_format_is_refused(path: Path) -> None:
    filled(path, 1)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT + 1),))
    with pytest.raises(StoreError, match=f"has format {FORMAT + 1}, .*; update the program"):
        SqliteStore(path)


def test_a_file_that_was_cut_off_is_recognised(path: Path) -> None:
    whole = filled(path)
    pages = len(whole) // 4096
    assert pages > 20
    for keep in [*range(1, pages, 7), pages - 1]:
        for extra in (0, 1_000):
            path.write_bytes(whole[: keep * 4096 + extra])
            with pytest.raises(StoreError, match=r"backup|no SQLite file"):
                SqliteStore(path)


def test_damage_inside_is_never_read_as_knowledge(path: Path) -> None:
    whole = filled(path)
    unharmed = 0
    for at in range(0, len(whole), 4096):
        spoilt = bytearray(whole)
        spoilt[at + 2_000 : at + 2_040] = bytes(40 * [0xA5])
        path.write_bytes(spoilt)
        try:
            with closing(SqliteStore(path)) as store:
                assert store.verify() == 120
                unharmed += 1  # the free part of a page
        except StoreError as problem:
            assert "backup" in str(problem) or "no SQLite file" in str(problem)
    assert unharmed < len(whole) / 4096 / 4


def test_damage_to_the_structure_is_recognised_on_opening(path: Path) -> None:
    whole = filled(path)
    leaves = [at for at in range(4096, len(whole), 4096) if whole[at] == 0x0D]
    assert leaves
    for at in leaves:
        path.write_bytes(whole[:at] + bytes(16) + whole[at + 16 :])
        with pytest.raises(StoreError, match="backup"):
            SqliteStore(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE experiences SET known_at_s = 0 WHERE epoch = 2", "known_at_s differs"),
        ("UPDATE experiences SET body = zeroblob(100) WHERE epoch = 2", "epoch 2 of a does not"),
        ("UPDATE trajectories SET agent = 'liar' WHERE id = 't1'", "columns and body differ"),
        ("DELETE FROM experiences WHERE epoch = 2", "a: 2 of 3 epochs"),
    ],
)
def test_rows_that_were_changed_by_hand_are_recognised(path: Path, change: str, told: str) -> None:
    filled(path, 3)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(change)
    with closing(SqliteStore(path)) as store, pytest.raises(StoreError, match=told):
        store.verify()


# --- folders ---------------------------------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="nowhere: no such folder; make it first"):
        SqliteStore(tmp_path / "nowhere" / "bank.db")


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is a folder; name a file in it"):
        SqliteStore(tmp_path)


def test_a_place_that_can_not_be_written_is_named() -> None:
    with pytest.raises(RunFolderError, match="can't be"):
        SqliteStore("/proc/bank.db")


# --- earlier formats -------------------------------------------------------------------------

#: The schema of each released format, frozen.
FROZEN = {
    1: """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE experiences (
        seq INTEGER PRIMARY KEY, agent TEXT NOT NULL, epoch INTEGER NOT NULL CHECK (epoch >= 1),
        known_at_s INTEGER NOT NULL, domain TEXT NOT NULL, task_type TEXT NOT NULL,
        sha256 BLOB NOT NULL, body BLOB NOT NULL, UNIQUE (agent, epoch)
    );
    CREATE TABLE trajectories (
        seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, agent TEXT NOT NULL,
        known_at_s INTEGER NOT NULL, domain TEXT NOT NULL, task_type TEXT NOT NULL,
        sha256 BLOB NOT NULL, body BLOB NOT NULL
    );
    INSERT INTO meta VALUES ('format', '1');
    """,
}


def test_every_released_format_has_its_frozen_schema() -> None:
    assert set(FROZEN) == set(range(1, FORMAT + 1))


@pytest.mark.parametrize("version", FROZEN)
def test_a_bank_of_an_earlier_format_is_brought_up_to_date(path: Path, version: int) -> None:
    whole = random_experience(1).seal()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(FROZEN[version])
        old.execute(
            "INSERT INTO experiences VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            (
                whole.agent,
                whole.epoch,
                whole.known_at_s,
                whole.domain,
                whole.task_type,
                bytes.fromhex(whole.digest()),
                whole.blob,
            ),
        )
        old.commit()
    with closing(SqliteStore(path)) as store:
        assert store.setting("format") == str(FORMAT)
        assert store.sealed() == [whole]
        assert store.record_all([whole], [trajectory()]) == 1
