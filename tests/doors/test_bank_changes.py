"""``swarm bank``: what changes a bank, its file, or another bank, and what does not.

(Asking and printing are in ``test_bank_cli``.)
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.lines import try_to_json
from tests.banks import MIRROR, START_S, page_tries
from tests.doors.bank_files import make_bad_files
from tests.doors.calls import COMMANDS, EXAMPLES, Run, one_try, refused
from tests.experiences import DAY_S, trajectory

#: Those that change what a bank holds, or where it is.
CHANGING = {"record", "revoke", "prune", "retain", "import", "vacuum", "restore", "rebuild"}


# --- recording -------------------------------------------------------------------------------


def test_recording_the_same_try_again_changes_nothing(here: Path, run: Run) -> None:
    given = one_try("--id", "t1", "--verdict", "failure", "--known-at", "2024-01-31T14:00")
    assert json.loads(run(*given, "--json").stdout) == {
        "given": 1, "new": 1, "passed_over": 0, "ids": ["t1"],
    }  # fmt: skip
    assert json.loads(run(*given, "--json").stdout)["new"] == 0
    with ReasoningBank.open("bank.db") as bank:
        (found,) = [one for one in bank.insight.judgements() if one.trajectory == "t1"]
    assert (found.verdict, found.known_at_s) == (-1, 1_706_709_600)


def test_a_try_without_an_id_gets_one_and_its_time_is_now(here: Path, run: Run) -> None:
    before = int(time.time())
    ids = [json.loads(run(*one_try("--verdict", "1"), "--json").stdout)["ids"][0] for _ in range(2)]
    assert ids[0] != ids[1]
    with ReasoningBank.open("bank.db") as bank:
        found = [one for one in bank.insight.judgements() if one.trajectory in ids]
    assert len(found) == 2
    assert all(before <= one.known_at_s <= time.time() for one in found)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (one_try(), "--verdict is missing; one try needs --task-type, --approach"),
        (one_try("--verdict", "sucess"), "--verdict = 'sucess'.*Did you mean 'success'"),
        (one_try("--verdict", "1", "--excess", "inf"), "--excess': 'inf': a finite number"),
        (one_try("--verdict", "1", "--known-at", "soon"), "--known-at"),
        (one_try("--verdict", "1", "--id", ""), "id = '': a text is needed"),
        (one_try("--verdict", "1", "--id", "run1/1"), "id = 'run1/1': stands for another try"),
        (["record", "bank.db"], "--task-type is missing"),
        (
            ["record", "bank.db", "tries.jsonl", "--agent", "me"],
            "FILE = 'tries.jsonl': give either",
        ),
        (["record", "bank.db", "none.jsonl"], "none.jsonl: can't be used: No such file"),
        (["record", "bank.db", "here"], "No such file"),
        (["record", "bank.db", "bank.db"], "bank.db, line 1: is not text in UTF-8"),
    ],
)
def test_what_is_no_try_is_not_recorded(
    here: Path, run: Run, arguments: list[str], says: str
) -> None:
    line = refused(run(*arguments))
    assert re.search(says, line), line


def test_tries_come_from_a_file_or_from_standard_input(here: Path, run: Run) -> None:
    told = run("record", "bank.db", "tries.jsonl")
    assert told.stdout == "6 tries: 6 new\n"
    assert "6 here already" in run("record", "bank.db", "tries.jsonl").stdout
    more = "".join(f"{try_to_json(one)}\n" for one in page_tries(2, prefix="run3"))
    said = json.loads(run("record", "bank.db", "-", "--json", given=more).stdout)
    assert said == {"given": 4, "new": 4, "passed_over": 0, "ids": None}
    assert json.loads(run("record", "bank.db", "-", "--json", given="").stdout)["given"] == 0


def test_all_lines_are_recorded_or_none(here: Path, run: Run) -> None:
    lines = (here / "tries.jsonl").read_text().splitlines()
    other = page_tries(1)[1]
    known = try_to_json(other).replace('"verdict": -1', '"verdict": 1')
    for bad, says in (
        (lines[2][:-5], "line 3: is no JSON"),
        (lines[0].replace('"verdict": 1', '"verdict": -1'), "line 3: .* another try on line 1"),
        (known, "line 3: id = 'run1/1': stands for another try in the bank; nothing was recorded"),
    ):
        (here / "mixed.jsonl").write_text("\n".join([*lines[:2], bad, *lines[3:]]))
        assert re.search(says, refused(run("record", "bank.db", "mixed.jsonl")))
    assert json.loads(run("stats", "bank.db", "--json").stdout)["counts"]["trajectories"] == 16


def test_a_missing_bank_is_made_by_what_is_recorded_and_by_nothing_else(
    here: Path, run: Run
) -> None:
    (here / "bad.jsonl").write_text("{")
    assert "line 1" in refused(run("record", "new.db", "bad.jsonl"))
    for name in sorted(set(COMMANDS) - {"record", "import", "restore", "keygen"}):
        more = {
            "explain": ["x"],
            "recommend": ["--task-type", "x"],
            "items": ["--task-type", "x"],
            "revoke": ["agent", "x", "--reason", "y"],
            "backup": ["copy.db"],
            "export": ["x.bundle"],
        }.get(name, [])
        assert "new.db: no such file" in refused(run(name, "new.db", *more))
    assert not (here / "new.db").exists()
    assert run("record", "new.db", "tries.jsonl").exit_code == 0
    assert json.loads(run("stats", "new.db", "--json").stdout)["counts"]["trajectories"] == 6


# --- changing --------------------------------------------------------------------------------


def test_pruning_is_a_dry_run_unless_told_otherwise(here: Path, run: Run) -> None:
    asked = ["prune", "bank.db", "--below", "0.5", "--json"]
    told = json.loads(run(*asked).stdout)
    assert told == {"done": False, "patterns": ["23c3524124bf891a"], "trajectories": 0, "kept": 1}
    assert "would let go of 1 pattern, keep 1; add --yes" in run(*asked[:-1]).stdout
    done = json.loads(run(*asked, "--yes").stdout)
    assert done == {**told, "done": True, "trajectories": 8}
    found = json.loads(run("search", "bank.db", "--json").stdout)
    assert [one["pattern"]["id"] for one in found] == [MIRROR]


def test_retention_folds_old_tries_and_is_a_dry_run_unless_told_otherwise(
    here: Path, run: Run
) -> None:
    asked = ["retain", "bank.db", "--days", "0", "--as-of", str(START_S + DAY_S), "--json"]
    told = json.loads(run(*asked).stdout)
    assert told == {"done": False, "trajectories": 16, "until_s": START_S + DAY_S}
    assert json.loads(run("stats", "bank.db", "--json").stdout)["counts"]["folded"] == 0
    assert json.loads(run(*asked, "--yes").stdout)["trajectories"] == 16
    counts = json.loads(run("stats", "bank.db", "--json").stdout)["counts"]
    assert (counts["trajectories"], counts["folded"]) == (0, 16)


@pytest.mark.parametrize(
    ("kind", "target", "left"),
    [("agent", "scraper-2", [4, 4]), ("pattern", "23c3", [8]), ("trajectory", "run1/0", [8, 7])],
)
def test_what_is_revoked_is_used_no_more_and_stays_in_the_log(
    here: Path, run: Run, kind: str, target: str, left: list[int]
) -> None:
    done = run("revoke", "bank.db", kind, target, "--reason", "a liar", "--by", "me", "--json")
    assert json.loads(done.stdout)["agent"] == "me"
    found = json.loads(run("search", "bank.db", "--json").stdout)
    assert sorted(one["pattern"]["outcomes"] for one in found) == sorted(left)
    assert json.loads(run("stats", "bank.db", "--json").stdout)["counts"]["trajectories"] == 16


def test_what_is_not_here_yet_can_be_revoked_on_request(here: Path, run: Run) -> None:
    asked = ["revoke", "bank.db", "agent", "liar", "--reason", "known elsewhere"]
    assert "--unseen" in refused(run(*asked))
    assert run(*asked, "--unseen").exit_code == 0


def test_an_item_is_revoked_by_its_statement(here: Path, run: Run) -> None:
    listed = ["items", "bank.db", "--task-type", "fetch", "--json"]
    (found,) = json.loads(run(*listed).stdout)
    statement = found["item"]["statement"]
    assert run("revoke", "bank.db", "item", statement, "--reason", "wrong").exit_code == 0
    assert json.loads(run(*listed).stdout) == []


# --- files -----------------------------------------------------------------------------------


def test_a_backup_is_put_back_and_what_was_there_is_kept_aside(here: Path, run: Run) -> None:
    assert run("record", "bank.db", "tries.jsonl").exit_code == 0
    told = json.loads(
        run("restore", "bank.db", "--from", "backup.db", "--replace", "--json").stdout
    )
    assert json.loads(run("stats", "bank.db", "--json").stdout)["counts"]["trajectories"] == 16
    aside = json.loads(run("stats", told["put_aside"], "--json").stdout)
    assert aside["counts"]["trajectories"] == 22


def test_backups_in_a_folder_are_numbered_and_the_oldest_go(here: Path, run: Run) -> None:
    for _ in range(3):
        assert run("backup", "bank.db", "--folder", "backups", "--keep", "2").exit_code == 0
    assert [one.name for one in sorted((here / "backups").iterdir())] == [
        "bank.db.backup-000002",
        "bank.db.backup-000003",
    ]


@pytest.mark.parametrize(
    "name", ["truncated.db", "flipped.db", "head.db", "foreign.txt", "foreign.db"]
)
def test_a_damaged_bank_is_said_to_be_so_with_what_to_do(here: Path, run: Run, name: str) -> None:
    make_bad_files(here)
    before = (here / name).read_bytes()
    done = run("verify", name, "--json")
    assert done.exit_code == 4
    said = json.loads(done.stdout)
    assert (said["ok"], said["records"]) == (False, None)
    assert re.search("restore it from a backup|name another file", said["problem"])
    assert done.stderr == f"swarm: {said['problem']}\n"
    for command in (["stats"], ["search"], ["audit"], ["record"]):
        more = ["tries.jsonl"] if command == ["record"] else []
        assert re.search("restore|name another", refused(run(*command, name, *more), 4))
    assert (here / name).read_bytes() == before


def test_who_finds_damage_is_told_of_the_newest_backup(here: Path, run: Run) -> None:
    make_bad_files(here)
    shutil.copy("backup.db", "truncated.db.backup-000007")
    done = run("verify", "truncated.db")
    assert done.exit_code == 4
    assert "the newest backup beside it is truncated.db.backup-000007" in done.stderr
    arguments = ["--from", "truncated.db.backup-000007", "--replace"]
    assert run("restore", "truncated.db", *arguments).exit_code == 0
    assert json.loads(run("verify", "truncated.db", "--json").stdout)["ok"] is True


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("empty.db", "is empty: no bank"),
        ("folder", "holds no bank.sqlite"),
        ("none.db", "no such file"),
        ("", "holds no bank.sqlite"),
        (":memory:", "is no file's name here"),
        ("x" * 5_000, "File name too long"),
        ("no\nsuch\x1b[31m.db", r"no such\x1b[31m.db: no such file"),
    ],
)
def test_what_is_no_bank_is_left_as_it_is(here: Path, run: Run, name: str, says: str) -> None:
    make_bad_files(here)
    assert says in refused(run("stats", name))
    assert (here / "empty.db").stat().st_size == 0


# --- knowledge that travels ------------------------------------------------------------------


def test_what_is_exported_is_imported_once(here: Path, run: Run) -> None:
    asked = ["import", "other.db", "signed.bundle", "--trusted", "trusted.keys", "--json"]
    told = json.loads(run(*asked).stdout)
    assert (told["new"], told["known"], told["trusted"]) == (18, 0, "me")
    assert json.loads(run(*asked).stdout)["known"] == 18
    mine = json.loads(run("search", "bank.db", "--json").stdout)
    assert json.loads(run("search", "other.db", "--json").stdout) == mine


def test_strangers_keep_their_names_apart(here: Path, run: Run) -> None:
    asked = ["import", "bank.db", "unsigned.bundle", "--unsigned", "--origin", "them"]
    assert run(*asked).stdout.startswith("18 new records")
    agents = json.loads(run("audit", "bank.db", "--json").stdout)["outcomes_by_agent"]
    assert set(agents) == {"scraper-1", "scraper-2", "them/scraper-1", "them/scraper-2"}


def test_what_is_anonymised_names_nobody(here: Path, run: Run) -> None:
    done = run("export", "bank.db", "a.bundle", "--anonymise", "--keep-text", "site", "--json")
    told = json.loads(done.stdout)
    assert told["left_out"] == {"item": 1}
    assert b"scraper" not in (here / "a.bundle").read_bytes()
    assert run("import", "other.db", "a.bundle", "--unsigned").exit_code == 0
    found = json.loads(run("search", "other.db", "-c", "site=example.org", "--json").stdout)
    assert {one["pattern"]["approach"] for one in found} == {"mirror", "origin"}


def test_a_bundle_that_is_refused_leaves_everything_as_it_was(here: Path, run: Run) -> None:
    make_bad_files(here)
    asked = ["import", "new.db", "unsigned.bundle", "--unsigned", "--origin", "a/b"]
    assert "origin = 'a/b'" in refused(run(*asked))
    assert "damaged.bundle" in refused(run("import", "new.db", "damaged.bundle", "--unsigned"), 4)
    assert not (here / "new.db").exists()
    with ReasoningBank.open("other.db") as bank:
        bank.record(trajectory("run1/1"))
    line = refused(run("import", "other.db", "unsigned.bundle", "--unsigned"))
    assert "'run1/1' is here already, with another content; nothing was recorded" in line
    assert json.loads(run("stats", "other.db", "--json").stdout)["counts"]["trajectories"] == 1


# --- in company ------------------------------------------------------------------------------


def test_a_bank_that_others_have_open_is_asked_and_changed(here: Path, run: Run) -> None:
    with ReasoningBank.open("bank.db") as open_elsewhere:
        before = len(open_elsewhere.search(None))
        assert run("record", "bank.db", "tries.jsonl").exit_code == 0
        assert run(*one_try("--verdict", "1")).exit_code == 0
        assert len(open_elsewhere.search(None)) == before + 1
        assert run("revoke", "bank.db", "agent", "scraper-2", "--reason", "x").exit_code == 0
        assert all("scraper-2" not in one.pattern.agents for one in open_elsewhere.search(None))
        for command in (["verify"], ["vacuum"], ["backup", "copy.db"], ["prune", "--yes"]):
            name, *more = command
            assert run(name, "bank.db", *more).exit_code == 0
        assert "in use" in refused(run("restore", "bank.db", "--from", "backup.db", "--replace"), 4)


def test_a_busy_writer_keeps_nobody_from_asking(here: Path, run: Run) -> None:
    with closing(sqlite3.connect("bank.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        asking = sorted(set(COMMANDS) - CHANGING - {"keygen"})
        for name in asking:
            line = next(line for command, line in EXAMPLES if command == name)
            assert run(*shlex.split(line)[2:]).exit_code == 0, name


def test_who_writes_waits_for_a_busy_writer_and_says_so(here: Path) -> None:
    program = [
        sys.executable,
        "-m",
        "swarm_runtime.cli",
        "bank",
        "record",
        "bank.db",
        "tries.jsonl",
    ]
    with closing(sqlite3.connect("bank.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        pipe = subprocess.PIPE
        with subprocess.Popen(program, stdout=pipe, stderr=pipe, text=True) as waiting:
            assert waiting.stderr is not None and waiting.stdout is not None
            assert "another process is writing; waiting" in waiting.stderr.readline()
            writer.execute("COMMIT")
            assert "6 new" in waiting.stdout.read()
            assert waiting.wait() == 0
