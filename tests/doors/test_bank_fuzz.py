"""``swarm bank`` with arguments nobody meant: no traceback, and nothing changes unless it says so.

Every command and every option is drawn from what the command line itself declares, with values that
fit and values that don't, on files that are banks and files that are none. After each call: the
exit code is 0, 2 or 4; where it isn't 0 one line says why and no file has changed; a command that
only asks has changed no bank; a bank that was changed is sound.
"""

from __future__ import annotations

import json
import random
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.lines import try_to_json
from tests.banks import MIRROR, make_bank, page_tries
from tests.doors.bank_files import make_bad_files, make_files
from tests.doors.calls import COMMANDS, call

CALLS = 300
CALLS_OF_SOAK = 10_000

#: Commands that change no bank, whatever they are given.
ASKING = set(COMMANDS) - {"record", "revoke", "prune", "retain", "import", "restore", "vacuum"}

FILES = (
    "bank.db", "backup.db", "other.db", "empty.db", "foreign.txt", "foreign.db", "truncated.db",
    "flipped.db", "head.db", "folder", "run", "none.db", "nowhere/new.db", "my.key", "tries.jsonl",
    "bad.jsonl", "signed.bundle", "unsigned.bundle", "damaged.bundle", "trusted.keys", "new.file",
    "ünï cödé.db", "-", "--", ":memory:", "", " ", ".", "file:bank.db?mode=memory", "x" * 300,
)  # fmt: skip
NASTY = (
    "", " ", "-", "--", "-1", "--json", "--help", "0", "1", "1e308", "-1e308", "1e309", "nan",
    "NaN", "inf", "-inf", "9" * 30, "-" + "9" * 30, "9" * 5_000, "0x10", "1_000", "١٢", "½", "1.5",
    ".5", "true", "null", "None", "now", "2024-01-31", "2024-02-30", "0001-01-01", "20240131",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "2024-W05", "T14:00", "\x1b[2J", "a\nb",
    "\r", "\u202e", "\ufeff", "\U0001f600", "é" * 2_000, "'", '"', '""', "%s%n", "{}", "[]",
    "'; DROP TABLE trajectories; --", "[[red]]", "{0}", "a,b", ",", "a,,a", "f(a, b)", "f(a", ")",
    "=", "a=", "=b", "a=b", "a=nan", "a=1e999", 'a="1"', "hour=14", "site=example.org", '{"a": 1}',
    '{"a": null}', '{"a": {}}', '{"a": "\\ud800"}', '{"\\u0000array": 1}', '{"a": 1, "a": 2}',
    "[" * 2_000, '{"a": NaN}', "fetch", "mirror", "origin", "web", "me", "run1/1", "scraper-1",
    MIRROR, MIRROR[:4], "0" * 16, "agent", "pattern", "trajectory", "item", "success", "failure",
    "abstain", "../..", "~", "*", "\\", "/",
)  # fmt: skip
#: What fits, by the option's name, so that commands often come to their work.
FITTING: dict[str, tuple[str, ...]] = {
    "bank": ("bank.db", "bank.db", "run"),
    "file": ("tries.jsonl", "-", "signed.bundle", "unsigned.bundle", "new.bundle", "new.key"),
    "copy": ("copy.db", "backup.db", "folder/copy.db"),
    "folder": ("folder", "new-folder"),
    "source": ("backup.db", "other.db"),
    "sign": ("my.key",),
    "trusted": ("trusted.keys",),
    "task_type": ("fetch", "trade"),
    "domain": ("web", ""),
    "approach": ("mirror", "origin"),
    "candidates": ("mirror,origin", "mirror"),
    "pattern": (MIRROR, MIRROR[:3]),
    "pairs": ("site=example.org", "when=afternoon", "hour=14", "trend=rising", "volatility=calm"),
    "text": ("fetch a page",),
    "context_json": ('{"site": "example.org", "when": "afternoon"}',),
    "verdict": ("success", "failure", "0"),
    "agent": ("me",),
    "kind": ("agent", "pattern", "trajectory", "item"),
    "target": ("scraper-1", MIRROR, "run1/1"),
    "reason": ("because",),
    "id_": ("run9/1", "run1/1"),
}
#: Without a file, ``record`` needs these.
ONE_TRY = ("agent", "task_type", "approach", "verdict")
#: By the name of what is read.
BY_METAVAR: dict[str, tuple[str, ...]] = {
    "TIME": ("now", "2023-11-15", "1700000000"),
    "SHARE": ("0", "0.5", "1"),
    "NUMBER": ("1", "3"),
    "DAYS": ("0", "90"),
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    make_files(folder)
    make_bank(folder / "other.db", tries=page_tries(3, prefix="other"))
    make_bad_files(folder)
    return folder


@pytest.fixture
def bench(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    yield Bench(prepared, place)


def drawn(draw: random.Random) -> tuple[list[str], bytes]:
    """Draw a command line, and what comes on standard input."""
    name = draw.choice(list(COMMANDS))
    arguments = [name]
    fit = draw.choice([0.0, 0.6, 0.95, 1.0])
    many = draw.choice([0.0, 0.1, 0.3, 0.6])
    wanted = draw.choice([(), ("file",), ONE_TRY]) if name == "record" else ()
    for parameter in COMMANDS[name].params:
        positional = parameter.param_type_name == "argument"
        needed = parameter.required or parameter.name in wanted
        if parameter.name == "help" or draw.random() >= (0.98 if needed else many):
            continue
        option = [] if positional else [draw.choice(parameter.opts)]
        if not positional and parameter.is_flag:
            arguments += [draw.choice([*parameter.opts, *parameter.secondary_opts])]
            continue
        for _ in range(draw.choice([1, 1, 1, 2]) if parameter.multiple else 1):
            arguments += [*option, value(draw, parameter, fit)]
    if draw.random() < 0.05:
        arguments.insert(draw.randrange(len(arguments) + 1), draw.choice(NASTY))
    return arguments, lines(draw)


def value(draw: random.Random, parameter: Any, fit: float) -> str:
    fitting = FITTING.get(parameter.name) or BY_METAVAR.get(str(parameter.metavar))
    if fitting and draw.random() < fit:
        return draw.choice(fitting)
    if parameter.name in ("bank", "file", "copy", "folder", "source", "sign", "trusted"):
        return draw.choice(FILES)
    return draw.choice(NASTY)


def lines(draw: random.Random) -> bytes:
    """Draw tries as lines of JSON, some of which are none."""
    found: list[bytes] = []
    for one in page_tries(draw.randrange(4), prefix=f"run{draw.randrange(3, 6)}"):
        text = try_to_json(one).encode()
        if draw.random() < 0.05:
            values = json.loads(text)
            wrong = draw.choice([None, [], {}, -1, 1e308, 10**400, True, "", "\ud800", "x"])
            values[draw.choice(list(values))] = wrong
            text = json.dumps(values).encode()
        if draw.random() < 0.05:
            at = draw.randrange(len(text))
            text = text[:at] + draw.randbytes(draw.randrange(4)) + text[at + 1 :]
        found.append(text)
    return b"\n".join(found)


class Bench:
    """A folder in which commands run, and what must hold after each."""

    def __init__(self, prepared: Path, place: Path) -> None:
        self.prepared, self.place = prepared, place
        self.codes: dict[int, int] = {}
        self.seen: dict[Path, tuple[object, str]] = {}
        self.succeeded: set[str] = set()
        self.fresh()

    def fresh(self) -> None:
        """Put everything as it was before the first command."""
        for one in self.place.iterdir():
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        shutil.copytree(self.prepared, self.place, dirs_exist_ok=True)
        self.before = self.files()

    def files(self) -> dict[str, str]:
        """Return a digest of every file; of a bank one of its content."""
        return {
            str(path.relative_to(self.place)): self.digest(path)
            for path in sorted(self.place.rglob("*"))
            # What SQLite keeps beside a file that is open says nothing of its own.
            if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        }

    def digest(self, path: Path) -> str:
        """Return a file's digest; it is made again when the file, or a log beside it, changes."""
        beside = path.with_name(f"{path.name}-wal")
        stamps = [
            (one.stat().st_mtime_ns, one.stat().st_size, one.stat().st_ino)
            for one in (path, beside)
            if one.exists()
        ]
        known = self.seen.get(path)
        if known is None or known[0] != stamps or beside.exists():
            known = self.seen[path] = (stamps, digest(path))
        return known[1]

    def call(self, arguments: list[str], given: bytes) -> None:
        shown = f"swarm bank {shlex.join(arguments)} <<< {given!r}"
        done = call("bank", *arguments, given=given)
        if done.error is not None:
            raise AssertionError(shown) from done.error
        assert done.exit_code in (0, 2, 4), shown
        assert "Traceback" not in done.stdout + done.stderr, shown
        self.codes[done.exit_code] = self.codes.get(done.exit_code, 0) + 1
        after = self.files()
        if done.exit_code:
            assert done.stderr.splitlines()[-1].startswith("swarm: "), shown
            assert len(done.stderr.splitlines()) <= 2, shown
            assert after == self.before, shown
            return
        self.succeeded.add(arguments[0])
        if arguments[0] in ASKING and "--replace" not in arguments:
            # A command that asks may make a file, but changes no bank.
            assert {**after, **self.banks(self.before)} == after, shown
        if after != self.before:
            for name in self.banks(after):
                with closing(SqliteStore(self.place / name)) as store:
                    assert store.verify() >= 0, shown
            self.fresh()

    def banks(self, files: dict[str, str]) -> dict[str, str]:
        return {name: seal for name, seal in files.items() if seal.startswith("bank ")}


def digest(path: Path) -> str:
    """Return a digest of a file, of a sound bank one of its content."""
    data = path.read_bytes()
    if data.startswith(b"SQLite format 3"):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True)) as connection:
                if connection.execute("SELECT count(*) FROM meta").fetchone()[0]:
                    text = "\n".join(connection.iterdump())
                    SqliteStore(path).close()
                    return f"bank {sha256(text.encode()).hexdigest()}"
        except Exception:
            pass
    return sha256(data).hexdigest()


def fuzz(bench: Bench, calls: int, seed: int) -> None:
    for at in range(calls):
        bench.call(*drawn(random.Random(f"{seed}/{at}")))
    assert set(bench.codes) == {0, 2, 4}, bench.codes


def test_no_arguments_end_in_a_traceback_or_change_what_they_should_not(bench: Bench) -> None:
    fuzz(bench, CALLS, seed=0)


@pytest.mark.soak
def test_ten_thousand_command_lines_do_no_harm(bench: Bench) -> None:
    fuzz(bench, CALLS_OF_SOAK, seed=1)
    assert bench.succeeded >= set(COMMANDS)


def test_the_fuzzing_sees_what_it_is_to_see(bench: Bench) -> None:
    """A command that fails after it has written would be found."""
    bench.call(["stats", "bank.db"], b"")
    with closing(sqlite3.connect("bank.db")) as connection:
        connection.execute("DELETE FROM trajectories WHERE id = 'run1/1'")
        connection.commit()
    with pytest.raises(AssertionError, match="swarm bank stats none"):
        bench.call(["stats", "none.db"], b"")
