"""``swarm bank``: the examples of its help run, its JSON is as documented, mistakes end well.

(What the memory itself does is tested in ``tests/unit/memory``.)
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm_runtime.memory.bank import ReasoningBank
from tests.banks import MIRROR, START_S, make_bank, write_lines
from tests.doors.calls import COMMANDS, EXAMPLES, Run, one_try, refused
from tests.experiences import trajectory

AFTERNOON = ["-c", "site=example.org", "-c", "when=afternoon"]


# --- help ------------------------------------------------------------------------------------


def test_every_command_has_examples_and_says_what_json_it_prints() -> None:
    assert {name for name, _ in EXAMPLES} == set(COMMANDS)
    for command in COMMANDS.values():
        assert "--json prints" in command.epilog
        assert command.help


@pytest.mark.parametrize("line", [line for _, line in EXAMPLES])
def test_the_examples_of_the_help_run(here: Path, run: Run, line: str) -> None:
    done = run(*shlex.split(line)[2:])
    assert done.exit_code == 0, done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("name", list(COMMANDS))
def test_json_has_the_keys_that_the_help_names(here: Path, run: Run, name: str) -> None:
    line = next(line for command, line in EXAMPLES if command == name)
    arguments = [one for one in shlex.split(line)[2:] if one != "--json"]
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert len(done.stdout.splitlines()) == 1
    told = re.search(
        r"prints (a list of objects|an object) with the keys (.*)\.", COMMANDS[name].epilog
    )
    assert told is not None
    many, keys = told[1] == "a list of objects", told[2].split(", ")
    assert isinstance(found, list) == many
    for one in found if many else [found]:
        assert set(one) == set(keys)
    assert found


def test_the_help_is_there_at_once_since_nothing_heavy_is_imported_for_it() -> None:
    program = (
        "import sys; from swarm_runtime.cli import app\n"
        "try: app(['bank', 'search', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'faiss', 'pandas', 'ray', 'sqlite3', 'swarm_runtime.config'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


# --- asking ----------------------------------------------------------------------------------


def test_what_worked_is_recommended_in_words_and_as_json(here: Path, run: Run) -> None:
    asked = ["recommend", "bank.db", "--task-type", "fetch", *AFTERNOON]
    told = run(*asked, "--candidates", "origin,mirror", "--explain")
    assert told.stdout.splitlines()[0] == "mirror"
    assert "'mirror' earned +1.00 σ a try" in told.stdout
    assert MIRROR in told.stdout
    said = json.loads(run(*asked, "--json").stdout)
    assert (said["approach"], said["reason"]) == ("mirror", "applied")
    assert [one["approach"] for one in said["candidates"]] == ["mirror", "origin"]


def test_nothing_that_was_known_later_is_used(here: Path, run: Run) -> None:
    asked = ["recommend", "bank.db", "--task-type", "fetch", *AFTERNOON]
    for moment in ("2023-11-14T22:13", "2023-11-14T23:13+01:00", str(START_S - 1), "+1699999999"):
        assert json.loads(run(*asked, "--as-of", moment, "--json").stdout)["approach"] is None
    found = json.loads(run("search", "bank.db", "--as-of", str(START_S), "--json").stdout)
    assert [one["pattern"]["outcomes"] for one in found] == [1, 1]


def test_a_cold_start_abstains_and_says_which_names_it_never_heard(here: Path, run: Run) -> None:
    done = run("recommend", "bank.db", "--task-type", "fetc", "--candidates", "a,b", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["reason"] == "abstained"
    assert "Did you mean 'fetch'?" in done.stderr
    done = run("recommend", "bank.db", "--task-type", "fetch", "--candidates", "miror,mirror")
    assert "'miror'" in done.stderr and "Did you mean 'mirror'?" in done.stderr


def test_search_obeys_its_filters(here: Path, run: Run) -> None:
    def ids(*more: str) -> list[str]:
        done = run("search", "bank.db", *more, "--json")
        assert done.exit_code == 0, done.stdout + done.stderr
        return [one["pattern"]["id"] for one in json.loads(done.stdout)]

    assert ids() == [MIRROR, "23c3524124bf891a"]
    assert ids("--count", "1") == ids("--approach", "mirror") == [MIRROR]
    assert ids("--min-confidence", "0.7") == [MIRROR]
    assert ids("--min-usage", "9") == []
    assert ids("--known-until", "2023-11-15") == []
    assert len(ids("--known-from", "2023-11-15T05:00", "--domain", "web")) == 2
    assert len(ids("--text", "example.org", "--diversity", "0.5")) == 2


def test_contexts_are_given_in_pairs_in_words_or_as_json(tmp_path: Path, run: Run) -> None:
    path = str(tmp_path / "bank.db")
    make_bank(Path(path), tries=[trajectory("t", context={"site": "example.org", "hour": 14})])

    def similarity(*context: str) -> float:
        done = run("search", path, *context, "--json")
        assert done.exit_code == 0, done.stdout + done.stderr
        return float(json.loads(done.stdout)[0]["similarity"])

    exact = similarity("-c", "site=example.org", "--context", "hour=14")
    assert exact == similarity("--context-json", '{"hour": 14, "site": "example.org"}') > 0.99
    # In quotes it is a text, which is no hour.
    assert similarity("-c", "site=example.org", "-c", 'hour="14"') < exact
    assert similarity("--text", "example.org") < exact


def test_what_looks_like_a_number_is_a_text_in_quotes(tmp_path: Path, run: Run) -> None:
    path = str(tmp_path / "bank.db")
    needed = ["--task-type", "post", "--approach", "mail", "--agent", "me", "--verdict", "1"]
    context = ["-c", 'zip="90210"', "-c", "name='x'", "-c", "grams=20"]
    assert run("record", path, *needed, *context).exit_code == 0
    (found,) = json.loads(run("search", path, "--json").stdout)
    context_in_words = found["pattern"]["context"]
    assert (context_in_words["zip"], context_in_words["name"]) == ("90210", "x")
    assert context_in_words["grams"].startswith("about ")


@pytest.fixture
def far_west(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A computer whose clock on the wall is behind UTC."""
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_west")
def test_times_are_in_utc_wherever_the_computer_stands(here: Path, run: Run) -> None:
    given = one_try("--id", "t1", "--verdict", "1", "--known-at", "2024-01-31T14:00")
    assert run(*given).exit_code == 0
    found = json.loads(run("judgements", "bank.db", "--count", "1", "--json").stdout)
    assert found[0]["known_at_s"] == 1_706_709_600
    assert "2024-01-31 14:00" in run("judgements", "bank.db").stdout


@pytest.mark.parametrize(
    ("context", "says"),
    [
        (["-c", "hour"], "--context = 'hour': write NAME=VALUE"),
        (["-c", "=14"], "--context = '=14': write NAME=VALUE"),
        (["-c", "hour=nan"], "--context = 'hour=nan': is no finite number; put it in quotes"),
        (["-c", "hour=1e999"], "is no finite number"),
        (["-c", "hour=1", "-c", "hour=2"], "--context = 'hour': is there twice"),
        (["-c", "query=x", "--text", "y"], "--text = 'query': is there twice"),
        (["--context-json", "[1]"], r"--context-json = '\[1\]': is no object"),
        (["--context-json", '{"a": null}'], r"context\['a'\] = None: a text or a finite number"),
        (["--context-json", '{"a": 1, "a": 2}'], "'a': is there twice"),
    ],
)
def test_a_context_that_cannot_be_meant_is_refused(
    here: Path, run: Run, context: list[str], says: str
) -> None:
    assert re.search(says, refused(run("search", "bank.db", *context)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["search", "--as-of", "soon"], "--as-of': 'soon': an ISO date or time"),
        (["search", "--as-of", "20240131"], "may be a date or seconds: write 2024-01-31"),
        (["search", "--as-of", "2024-02-30"], "2024-02-30"),
        (["search", "--as-of", "9" * 16], "whole seconds since 1970"),
        (["search", "--count", "0"], "--count"),
        (["search", "--count", "ten"], "--count.*'ten': a whole number from 1 to 100000"),
        (["search", "--min-confidence", "1.5"], "--min-confidence': '1.5': from 0 to 1"),
        (["search", "--diversity", "nan"], "--diversity': 'nan': a finite number"),
        (["search", "--task-type", "fetc"], "--task-type = 'fetc'.*Did you mean 'fetch'"),
        (["search", "--domain", "wep"], "--domain = 'wep'.*Did you mean 'web'"),
        (["search", "--approach", "miror"], "--approach = 'miror'.*Did you mean 'mirror'"),
        (["search", "--aproach", "x"], "--aproach"),
        (["recommend", "--task-type", "fetc"], "--task-type = 'fetc'.*Did you mean 'fetch'"),
        (["recommend", "--task-type", "fetch", "--candidates", ","], "--candidates = ','"),
        (["recommend", "--task-type", "fetch", "--candidates", "a,b,a"], "--candidates = 'a,b,a'"),
        (["recommend"], "--task-type"),
        (["judgements", "--task-type", "fetc"], "Did you mean 'fetch'"),
        (["items", "--task-type", "fetc"], "Did you mean 'fetch'"),
        (["explain", "zz"], "PATTERN = 'zz': nothing is known"),
        (["explain", "501a8b17847fe37c"], "Did you mean '501a8b17847fe37b'"),
        (["explain", ""], "PATTERN = ''"),
        (["revoke", "agents", "x", "--reason", "y"], "KIND = 'agents'.*Did you mean 'agent'"),
        (["revoke", "agent", "scraper-9", "--reason", "y"], "Did you mean 'scraper-"),
        (["revoke", "agent", "scraper-1"], "--reason"),
        (["revoke", "agent", "scraper-1", "--reason", " "], "--reason = ' ': say why"),
        (["prune", "--below", "2"], "--below': '2': from 0 to 1"),
        (["retain", "--days", "-1"], "--days"),
        (["backup"], "COPY"),
        (["backup", "bank.db"], "COPY = 'bank.db': is there already; --replace"),
        (["backup", "backup.db"], "COPY = 'backup.db': is there already; --replace"),
        (["backup", "bank.db", "--replace"], "is the bank itself"),
        (["backup", "tries.jsonl", "--replace"], "is there already, and no bank"),
        (["backup", "nowhere/copy.db"], "no such folder"),
        (["restore", "--from", "backup.db"], "is there already; --replace puts it aside"),
        (["restore", "--from", "none.db", "--replace"], "none.db: no such file"),
        (["restore", "--from", "bank.db", "--replace"], "is the backup itself"),
        (["export", "signed.bundle"], "is there already"),
        (["export", "bank.db", "--replace"], "is there already, and no bundle"),
        (["export", "my.key", "--replace"], "is there already, and no bundle"),
        (["export", "x.bundle", "--keep-text", "site"], "--keep-text: only what is anonymised"),
        (["export", "x.bundle", "--sign", "trusted.keys"], "trusted.keys"),
        (["import", "unsigned.bundle"], "is not signed"),
        (["import", "signed.bundle"], "not among the trusted keys"),
        (["import", "none.bundle", "--unsigned"], "none.bundle"),
        (["import", "unsigned.bundle", "--unsigned", "--origin", "a/b"], "origin = 'a/b'"),
    ],
)
def test_a_mistake_is_named_in_one_line_with_what_is_allowed(
    here: Path, run: Run, arguments: list[str], says: str
) -> None:
    command, *rest = arguments
    line = refused(run(command, "bank.db", *rest))
    assert re.search(says, line), line


def test_a_pattern_is_named_by_as_much_of_its_id_as_only_one_has(here: Path, run: Run) -> None:
    for given in (MIRROR, MIRROR[:3], "501A"):
        assert (
            json.loads(run("explain", "bank.db", given, "--json").stdout)["pattern"]["id"] == MIRROR
        )
    with ReasoningBank.open("bank.db") as bank:
        bank.record_many(trajectory(f"x{at}", approach=f"x{at}") for at in range(40))
        first = [one.id[0] for one in bank.patterns()]
    shared = next(one for one in first if first.count(one) > 1)
    assert f"{first.count(shared)} patterns begin with it, e.g. {shared}" in refused(
        run("explain", "bank.db", shared)
    )


def test_near_duplicates_are_grouped_and_contradictions_named_and_nothing_is_merged(
    tmp_path: Path, run: Run
) -> None:
    path = str(tmp_path / "bank.db")
    shop = "of the large shop example.org every day"
    tasks = {
        "a": (f"scrape the product tables and prices {shop}", 1),
        "b": (f"scrape the product tables and price {shop}", 1),
        "c": (f"scrape the product table and prices {shop}", -1),
    }
    with ReasoningBank.open(path) as bank:
        bank.record_many(
            trajectory(f"{name}{at}", context={"task": task}, excess=sign, verdict=sign)
            for name, (task, sign) in tasks.items()
            for at in range(12)
        )
    found = json.loads(run("dedupe", path, "--json").stdout)
    (group,) = found["groups"]
    assert len(group) == 2
    (contradiction,) = found["contradictions"]
    assert {contradiction["first"], contradiction["second"]} & set(group)
    told = run("dedupe", path).stdout
    assert "group 1, 2 alike:" in told
    assert "1 group of near duplicates, 1 contradiction; nothing was merged" in told
    links = [run("explain", path, one).stdout for one in group]
    assert all("is like" in one for one in links)
    assert sum("contradicts" in one for one in links) == 1
    assert len(json.loads(run("search", path, "--json").stdout)) == 3


# --- the bank of a run -----------------------------------------------------------------------


def test_a_runs_folder_stands_for_its_bank_with_the_words_of_its_space(
    here: Path, run: Run
) -> None:
    folder = here / "run"
    assert json.loads(run("stats", str(folder), "--json").stdout)["space"] == [
        "trend",
        "volatility",
    ]
    found = json.loads(run("search", str(folder), "-c", "trend=rising", "--json").stdout)
    assert {one["pattern"]["approach"] for one in found} == {"p0", "p1"}
    asked = ["recommend", str(folder), "--task-type", "trade", "--json", "-c", "trend=rising"]
    assert json.loads(run(*asked, "-c", "volatility=0.1").stdout)["approach"] == "p0"
    assert json.loads(run(*asked, "-c", "volatility=calm").stdout)["approach"] == "p0"
    assert "also has volatility" in refused(run(*asked))
    assert "Did you mean 'trend'" in refused(run("search", str(folder), "-c", "trnd=rising"))
    assert "Did you mean 'rising'" in refused(run("search", str(folder), "-c", "trend=risin"))


def test_names_with_brackets_are_candidates_too(tmp_path: Path, run: Run) -> None:
    path = str(tmp_path / "bank.db")
    with ReasoningBank.open(path) as bank:
        bank.record_many(trajectory(f"t{at}", approach="f(a=1, b=2)") for at in range(8))
    done = run(
        "recommend", path, "--task-type", "fetch", "-c", "site=example.org",
        "--candidates", "g(x, [1, 2]), f(a=1, b=2)", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert [one["approach"] for one in found["candidates"]] == ["g(x, [1, 2])", "f(a=1, b=2)"]
    assert found["approach"] == "f(a=1, b=2)"


def test_settings_come_from_the_environment(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["recommend", "bank.db", "--task-type", "fetch", *AFTERNOON]
    monkeypatch.setenv("SWARM_MEMORY__CONFIDENCE_THRESHOLD", "0.99")
    assert "a confidence of 0.99 is needed" in run(*asked).stdout
    monkeypatch.setenv("SWARM_MEMORY__CONFIDENCE_THRESHOLD", "2")
    assert "memory.confidence_threshold = 2" in refused(run(*asked))


# --- what is printed -------------------------------------------------------------------------


def test_nothing_from_a_bank_moves_the_cursor(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "bank.db"
    evil = "up\x1b[2A\rdown\u202e"
    make_bank(path, tries=[trajectory("t", approach=evil, agent=evil, context={evil: evil})])
    for arguments in (["search"], ["judgements"], ["audit"], ["recommend", "--task-type", "fetch"]):
        command, *more = arguments
        done = run(command, str(path), *more)
        assert done.exit_code == 0
        assert not re.search("[\x1b\r\u202e]", done.stdout), repr(done.stdout)
    assert json.loads(run("search", str(path), "--json").stdout)[0]["pattern"]["approach"] == evil


def test_output_is_plain_where_it_is_no_terminal_and_lines_are_not_broken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bank.db"
    long = "x" * 300
    make_bank(path, tries=[trajectory("t", approach=long)])
    environment = {"PATH": "", "PYTHONPATH": str(Path(__file__).parents[2])}
    for more in ({}, {"PYTHONIOENCODING": "ascii"}):
        done = subprocess.run(
            [sys.executable, "-m", "swarm_runtime.cli", "bank", "search", str(path)],
            capture_output=True,
            check=False,
            env={**environment, **more},
        )
        assert done.returncode == 0, done.stderr
        assert b"\x1b" not in done.stdout
        assert len(done.stdout.splitlines()) == 2
        assert long.encode() in done.stdout


def test_on_a_narrow_terminal_the_last_columns_go_below(
    here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = run("search", "bank.db").stdout.splitlines()
    assert len(wide) == 3
    # What says to rich that there is a terminal, and how wide it is.
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "70")
    narrow = [
        re.sub("\x1b\\[.*?m", "", line) for line in run("search", "bank.db").stdout.splitlines()
    ]
    assert len(narrow) == 6
    assert all(len(line) <= 70 for line in narrow)
    assert narrow[3].startswith("    ") and "afternoon" in narrow[3]
    words = " ".join(wide).split()
    assert sorted(" ".join(narrow).split()) == sorted(words)


def test_arguments_that_are_no_text_are_refused(here: Path) -> None:
    program = [sys.executable.encode(), b"-m", b"swarm_runtime.cli", b"bank", b"search", b"\xff.db"]
    done = subprocess.run(program, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"swarm: argument '\\udcff.db': is not text in UTF-8\n"


def test_a_large_file_of_tries_is_recorded_in_one_commit(here: Path, run: Run) -> None:
    write_lines(here / "many.jsonl", [trajectory(f"m{at}") for at in range(2_000)])
    assert run("record", "bank.db", "many.jsonl").stdout == "2000 tries: 2000 new\n"
