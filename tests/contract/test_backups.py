"""Backups: consistent while others write, whole or not there; restoring puts nothing at risk."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.log.backups import backups_in
from swarm_runtime.memory.log.migrations import FORMAT
from swarm_runtime.memory.log.protocol import Position
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.annotations import item, usage, verdict
from tests.experiences import experience, trajectory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bank.db"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "bank.backup"


def fill(store: SqliteStore, count: int = 100, start: int = 0) -> None:
    tries = [
        trajectory(f"{at:05}", known_at_s=at, steps=("x" * 200,))
        for at in range(start, start + count)
    ]
    store.record_all((), tries)


def ids(path: Path) -> list[str]:
    with closing(SqliteStore(path)) as store:
        store.verify()
        return [one.id for one in store.in_order_of_time() if isinstance(one, Trajectory)]


def names(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


# --- backing up ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["file", "memory"])
def test_a_backup_holds_everything(path: Path, backup: Path, where: str) -> None:
    with closing(SqliteStore(":memory:" if where == "memory" else path)) as store:
        fill(store)
        store.record_all([experience().seal()], (), [verdict(), item(), usage(known_at_s=1)])
        store.let_go(40)
        store.prune([("", "fetch", "origin", ())], 10**6)
        store.keep_embeddings("small", {"a": b"1"})
        position = store.since(Position())[1]
        store.backup(backup)
        with closing(SqliteStore(backup)) as copy:
            assert copy.verify() == store.verify()
            assert copy.counts() == store.counts()
            assert (copy.uuid, copy.kept_from_s()) == (store.uuid, 40)
            assert copy.fingerprint(position) == store.fingerprint(position)
            assert list(copy.folded_rows()) == list(store.folded_rows())


def test_a_backup_is_one_plain_file(path: Path, backup: Path) -> None:
    with closing(SqliteStore(path)) as store:
        fill(store)
        path.chmod(0o640)
        store.backup(backup)
        assert names(path.parent) == ["bank.backup", "bank.db", "bank.db-shm", "bank.db-wal"]
    assert backup.stat().st_mode & 0o777 == 0o640
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_whoever_writes_meanwhile_neither_waits_nor_disturbs(path: Path, backup: Path) -> None:
    with closing(SqliteStore(path)) as store, closing(SqliteStore(path)) as other:
        fill(store, 20_000)
        told: list[tuple[int, int]] = []

        def write(done: int, pages: int) -> None:
            told.append((done, pages))
            fill(other, 10, 20_000 + 10 * len(told))

        store.backup(backup, write)
        assert len(told) > 2
        assert [done for done, _ in told] == sorted({done for done, _ in told})
        assert {pages for _, pages in told} == {told[-1][0]}
    assert len(ids(backup)) == 20_000
    assert len(ids(path)) == 20_000 + 10 * len(told)


def test_a_backup_that_is_broken_off_leaves_the_earlier_one(path: Path, backup: Path) -> None:
    with closing(SqliteStore(path)) as store:
        fill(store)
        store.backup(backup)
        fill(store, 5_000, 100)

        def stop(done: int, pages: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.backup(backup, stop)
        assert len(ids(backup)) == 100
        assert names(path.parent) == ["bank.backup", "bank.db", "bank.db-shm", "bank.db-wal"]
        store.backup(backup)
    assert len(ids(backup)) == 5_100


def test_a_backup_overwrites_nothing_but_banks(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        for name in ("notes.txt", "other.db"):
            place = tmp_path / name
            if name == "notes.txt":
                place.write_text("dear diary " * 100)
            else:
                with closing(sqlite3.connect(place)) as other:
                    other.execute("CREATE TABLE notes (text)")
            before = place.read_bytes()
            with pytest.raises(RunFolderError, match="is there already, and no bank"):
                store.backup(place)
            assert place.read_bytes() == before
        with pytest.raises(RunFolderError, match="is the bank itself"):
            store.backup(path)
        with pytest.raises(RunFolderError, match="nowhere: no such folder"):
            store.backup(tmp_path / "nowhere" / "x")
        with pytest.raises(RunFolderError, match="is a folder"):
            store.backup(tmp_path)


def test_backups_in_turn_keep_the_newest(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    with closing(SqliteStore(path)) as store:
        for at in range(12):
            fill(store, 1, at)
            made = store.backup_in_turn(folder, 3)
            assert made.name == f"bank.db.backup-{at + 1:06d}"
        (folder / "bank.db.backup-000013.draft-1").write_text("of somebody who was killed")
        (folder / "notes").write_text("somebody else's")
        store.backup_in_turn(folder, 2)
        with pytest.raises(ValueError, match="kept = 0"):
            store.backup_in_turn(folder, 0)
    assert names(folder) == ["bank.db.backup-000012", "bank.db.backup-000013", "notes"]
    assert len(ids(backups_in(folder, "bank.db")[-1])) == 12


# --- restoring -------------------------------------------------------------------------------


def made(path: Path, backup: Path) -> None:
    """Back up a bank of a hundred tries, which then gets another hundred."""
    with closing(SqliteStore(path)) as store:
        fill(store)
        store.backup(backup)
        fill(store, 100, 100)


def test_a_bank_that_was_lost_is_restored(path: Path, backup: Path) -> None:
    made(path, backup)
    path.unlink()
    assert SqliteStore.restore(backup, path) is None
    assert len(ids(path)) == len(ids(backup)) == 100


def test_a_bank_that_is_there_is_not_replaced_unless_told(path: Path, backup: Path) -> None:
    made(path, backup)
    with pytest.raises(RunFolderError, match="is there already; say that it is to be replaced"):
        SqliteStore.restore(backup, path)
    assert len(ids(path)) == 200
    for turn in (1, 2):
        old = SqliteStore.restore(backup, path, replace=True)
        assert old == path.with_name(f"bank.db.old-{turn}")
        assert len(ids(path)) == 100
        assert len(ids(old)) == (200 if turn == 1 else 100)


def test_what_was_added_after_the_backup_makes_another_fingerprint(
    path: Path, backup: Path
) -> None:
    made(path, backup)
    with closing(SqliteStore(path)) as store:
        early, late = Position(0, 100), Position(0, 200)
        known, gone = store.fingerprint(early), store.fingerprint(late)
    SqliteStore.restore(backup, path, replace=True)
    with closing(SqliteStore(path)) as store:
        assert store.fingerprint(early) == known
        assert store.fingerprint(late) != gone
        # Sent again in another order: other rows have the same numbers.
        fill(store, 50, 150)
        fill(store, 50, 100)
        assert store.fingerprint(late) != gone


def test_the_log_beside_the_old_file_is_taken_in_before_it_is_put_aside(
    path: Path, backup: Path, tmp_path: Path
) -> None:
    made(path, backup)
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(SqliteStore(path)) as store:
        fill(store, 7, 200)
        for name in ("bank.db", "bank.db-wal"):
            (killed / name).write_bytes((tmp_path / name).read_bytes())
    old = SqliteStore.restore(backup, killed / "bank.db", replace=True)
    assert old is not None
    assert names(killed) == ["bank.db", "bank.db.old-1"]
    assert len(ids(old)) == 207
    assert len(ids(killed / "bank.db")) == 100


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10_000])


@pytest.mark.parametrize("harm", [spoil, lambda path: path.write_text("scrambled " * 900)])
def test_a_damaged_bank_is_put_aside_as_it_is_with_its_log(
    path: Path, backup: Path, harm: Callable[[Path], object]
) -> None:
    made(path, backup)
    harm(path)
    log = path.with_name("bank.db-wal")
    log.write_bytes(b"what was left of it")
    path.with_name("bank.db-shm").write_bytes(bytes(32_768))
    spoilt = path.read_bytes()
    old = SqliteStore.restore(backup, path, replace=True)
    assert old is not None and old.read_bytes() == spoilt
    assert names(path.parent)[:3] == ["bank.backup", "bank.db", "bank.db.old-1"]
    assert not log.exists()
    assert len(ids(path)) == 100


def test_a_log_whose_file_is_gone_is_put_aside_too(path: Path, backup: Path) -> None:
    made(path, backup)
    path.unlink()
    path.with_name("bank.db-wal").write_bytes(b"left over")
    assert SqliteStore.restore(backup, path) is None
    assert path.with_name("bank.db.old-1-wal").read_bytes() == b"left over"
    assert len(ids(path)) == 100


def test_a_bank_that_is_in_use_is_not_replaced(path: Path, backup: Path) -> None:
    made(path, backup)
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StoreError, match="is in use by another process; end that one first"):
            SqliteStore.restore(backup, path, replace=True)
        fill(store, 1, 200)
    assert len(ids(path)) == 201
    assert names(path.parent) == ["bank.backup", "bank.db"]


def test_a_bank_in_use_can_be_restored_from(path: Path, tmp_path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        fill(store)
        SqliteStore.restore(path, tmp_path / "copy.db")
        fill(store, 1, 100)
    assert len(ids(tmp_path / "copy.db")) == 100


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (spoil, "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "its end is cut off"),
        (lambda path: path.write_text("notes"), "is no SQLite file"),
        (lambda path: path.write_bytes(b""), "no bank"),
    ],
)
def test_a_backup_that_is_none_is_refused_and_nothing_is_touched(
    path: Path, backup: Path, harm: Callable[[Path], object], told: str
) -> None:
    made(path, backup)
    harm(backup)
    for replace in (False, True):
        target = path if replace else path.with_name("new.db")
        with pytest.raises(StoreError, match=f"bank.backup: .*{told}"):
            SqliteStore.restore(backup, target, replace=replace)
    assert names(path.parent) == ["bank.backup", "bank.db"]
    assert len(ids(path)) == 200


def test_a_backup_of_a_newer_format_is_refused(path: Path, backup: Path) -> None:
    made(path, backup)
    with closing(sqlite3.connect(backup)) as other, other:
        other.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT + 1),))
    with pytest.raises(StoreError, match=f"has format {FORMAT + 1}.*update the program"):
        SqliteStore.restore(backup, path, replace=True)
    assert len(ids(path)) == 200


def test_files_that_can_not_be_restored_are_named(path: Path, backup: Path) -> None:
    made(path, backup)
    for source, target, told in (
        (path.with_name("nothing"), path, "nothing: no such file; name a backup"),
        (path.parent, path, "no such file"),
        (backup, path.parent / "nowhere" / "x", "no such folder"),
        (backup, path.parent, "is a folder"),
        (backup, backup, "is the backup itself"),
    ):
        with pytest.raises(RunFolderError, match=told):
            SqliteStore.restore(source, target, replace=True)


def test_a_backup_that_can_only_be_read_is_restored(path: Path, backup: Path) -> None:
    made(path, backup)
    backup.chmod(0o444)
    folder = path.with_name("restored")
    folder.mkdir()
    SqliteStore.restore(backup, folder / "bank.db")
    assert (folder / "bank.db").stat().st_mode & 0o777 == 0o644
    assert len(ids(folder / "bank.db")) == 100
