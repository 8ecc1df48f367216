"""Bank files: what was acknowledged survives a kill; damage is recognised and told."""

from __future__ import annotations

import gzip
import hashlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from swarm_runtime.errors import RunFolderError, StoreError
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.log.files import explained
from swarm_runtime.memory.log.filing import Filing
from swarm_runtime.memory.log.migrations import FORMAT
from swarm_runtime.memory.log.protocol import SPACE
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.pattern import space_to_json
from swarm_runtime.memory.records.trajectory import Trajectory
from tests.annotations import verdict
from tests.experiences import DAY_S, random_experience, trajectory
from tests.experiences import SPACE as GRID

#: Opens the bank named by its first argument, says so, waits for a word, then writes single tries
#: (named by its second argument) and says after each that it is recorded.
WRITER = """
import sys
from swarm_runtime.memory.log.store import SqliteStore
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


def test_what_is_read_at_once_is_of_one_state_while_another_handle_lets_go(path: Path) -> None:
    def counted(store: SqliteStore, until_s: int) -> int:
        alive = sum(1 for _ in store.in_order_of_time())
        other.let_go(until_s)
        return alive + sum(row.trials for row in store.folded_rows())

    with closing(SqliteStore(path)) as store, closing(SqliteStore(path)) as other:
        store.record_all((), [trajectory(f"{at:03}", known_at_s=at) for at in range(100)])
        with store.reading():
            assert counted(store, 49) == 100
        # Not at once, and what is let go in between counts twice.
        assert counted(store, 59) == 110


def test_a_handle_notices_what_another_one_did(path: Path) -> None:
    with closing(SqliteStore(path)) as store, closing(SqliteStore(path, check=False)) as other:
        before = store.stamp(), store.generation()
        other.record_all((), [trajectory(known_at_s=1)])
        assert store.stamp() != before[0]
        other.set_setting(SPACE, space_to_json(GRID))
        store.record_all((), [trajectory("x", context={"trend": 2.0, "volatility": 1.0})])
        cell = (("trend", 2), ("volatility", 1))
        assert [one.id for one in other.tries(("", "fetch", "mirror", cell))] == ["x"]
        other.let_go(1)
        assert store.generation() > before[1]
        assert store.record_all((), [trajectory(known_at_s=1)]) == 0
        assert (store.late, other.late) == (1, 0)


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


def test_a_space_that_is_none_is_recognised(path: Path) -> None:
    filled(path, 1)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("INSERT INTO meta VALUES ('space', '[1]')")
    with pytest.raises(StoreError, match=r"is no space of contexts; .*swarm bank restore"):
        SqliteStore(path)


def test_a_table_of_settings_that_is_somebody_elses_is_no_bank(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE meta (name, content)")
    with pytest.raises(StoreError, match="but no bank; name another file"):
        SqliteStore(path)


def test_a_format_that_is_no_number_is_no_bank(path: Path) -> None:
    filled(path, 1)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = 'new' WHERE key = 'format'")
    with pytest.raises(StoreError, match="but no bank"):
        SqliteStore(path)


# --- what the machine refuses ----------------------------------------------------------------


def test_a_writer_that_waited_long_enough_says_so(path: Path) -> None:
    with (
        closing(SqliteStore(path, patience_s=0.05)) as store,
        closing(sqlite3.connect(path)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process has been writing for 0 s; try again"):
            store.record_all((), [trajectory()])
        # Who only reads doesn't wait.
        assert store.view() == {}
        other.rollback()
        assert store.record_all((), [trajectory()]) == 1


#: Records until the disk refuses, then says what it was told, and how many it had recorded.
FULL_DISK = """
import resource, signal, sys
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.store import SqliteStore
from tests.experiences import trajectory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
done = 0
try:
    while done < 10_000:
        done += store.record_all((), [trajectory(str(done), steps=("x" * 3_000,))])
except StoreError as problem:
    print(problem)
print(done)
"""


def test_a_full_disk_is_told_and_loses_nothing(path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    told, done = found.stdout.splitlines()
    assert "the disk refuses" in told and "make room" in told
    with closing(SqliteStore(path)) as store:
        assert 10 < int(done) == store.verify() < 10_000
        assert store.record_all((), [trajectory("one more")]) == 1


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("database or disk is full", StoreError, "make room and try again"),
        ("attempt to write a readonly database", RunFolderError, "can't be written"),
        ("unable to open database file", RunFolderError, "can't be written"),
        ("database is locked", StoreError, "has been writing for 3 s"),
        ("disk I/O error", StoreError, "the disk refuses"),
        ("something else", StoreError, "something else"),
    ],
)
def test_what_sqlite_says_is_turned_into_what_to_do(
    said: str, kind: type[Exception], told: str
) -> None:
    with pytest.raises(kind, match=f"bank.db: .*{told}"), explained("bank.db", 3.0):
        raise sqlite3.OperationalError(said)


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

FILES = Path(__file__).parent / "files"
#: A bank that the program of each earlier format wrote, and the digest of its records.
RELEASED = {1: "format-1.db.gz"}
#: Of what the program of format 1 put into its bank: three agents' epochs, twelve tries.
WRITTEN = {
    "epochs": {"a": 3, "b": 3, "c": 3},
    "tries": [f"t{at:02}" for at in range(12)],
    "patterns": 34,
}


def released(path: Path, version: int) -> dict[tuple[str, str], bytes]:
    """Put a bank of an earlier format in place; return the seals of its rows."""
    path.write_bytes(gzip.decompress((FILES / RELEASED[version]).read_bytes()))
    with closing(sqlite3.connect(path)) as old:
        seals = {
            (str(agent), str(epoch)): bytes(seal)
            for agent, epoch, seal in old.execute("SELECT agent, epoch, sha256 FROM experiences")
        }
        seals |= {
            ("trajectory", str(id_)): bytes(seal)
            for id_, seal in old.execute("SELECT id, sha256 FROM trajectories")
        }
        found = old.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    assert found == (str(version),)
    return seals


def test_there_is_a_bank_of_every_earlier_format() -> None:
    assert set(RELEASED) == set(range(1, FORMAT))


@pytest.mark.parametrize("version", RELEASED)
def test_a_bank_of_an_earlier_format_is_brought_up_to_date(path: Path, version: int) -> None:
    before = released(path, version)
    with closing(SqliteStore(path)) as store:
        assert store.setting("format") == str(FORMAT)
        assert store.view() == WRITTEN["epochs"]
        tries = [one for one in store.in_order_of_time() if isinstance(one, Trajectory)]
        assert sorted(one.id for one in tries) == WRITTEN["tries"]
        after = {(one.agent, str(one.epoch)): bytes.fromhex(one.digest()) for one in store.sealed()}
        after |= {("trajectory", one.id): hashlib.sha256(one.to_bytes()).digest() for one in tries}
        assert after == before
        assert store.verify() == len(before)
        assert len(store.uuid) == 32
    # What is recorded now knows what was: again and again, nothing changes.
    with closing(SqliteStore(path)) as store:
        assert store.record_all((), tries) == 0
        for one in tries:
            filing = Filing(store.setting(SPACE))
            cell = filing.reader.cell(one.context)
            assert one in store.tries((one.domain, one.task_type, one.approach, cell))
        new = trajectory("new", known_at_s=99 * DAY_S)
        assert store.record_all((), [new], [verdict(trajectory="new")]) == 2
        assert store.let_go(6 * DAY_S) == 6
        assert sum(row.trials for row in store.folded_rows()) == 6
        assert store.verify() == len(before) + 2 - 6
    with ReasoningBank.open(path) as bank:
        assert bank.space == GRID


def test_patterns_of_a_bank_of_format_1_are_those_that_its_program_knew(path: Path) -> None:
    released(path, 1)
    with ReasoningBank.open(path) as bank:
        assert len(bank.patterns()) == WRITTEN["patterns"]


def test_processes_that_bring_the_same_bank_up_to_date_at_once_do_it_once(path: Path) -> None:
    released(path, 1)
    processes = [writer(path, name, 1) for name in "wxyz"]
    for process in processes:
        begin(process)
    for process in processes:
        with process:
            assert line(process) == "1"
    with closing(SqliteStore(path)) as store:
        assert store.verify() == 21 + 8
        assert store.setting("format") == str(FORMAT)


def test_what_an_older_program_adds_meanwhile_is_filed_when_the_bank_is_opened(path: Path) -> None:
    filled(path, 3)
    late = trajectory("late")
    with closing(sqlite3.connect(path)) as old, old:
        body = late.to_bytes()
        old.execute(
            "INSERT INTO trajectories (id, agent, known_at_s, domain, task_type, sha256, body)"
            " VALUES ('late', 'me', ?, '', 'fetch', ?, ?)",
            (late.known_at_s, hashlib.sha256(body).digest(), body),
        )
    with closing(SqliteStore(path)) as store:
        assert late in store.tries(("", "fetch", "mirror", (("site", "example.org"),)))
        assert store.verify() == 7
