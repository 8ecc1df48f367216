"""``swarm bank``: the examples of its help run, its JSON is as documented, mistakes end well.

(What the memory itself does is tested in ``tests/unit/memory``.)
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
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.lines import try_to_json
from tests.banks import START_S, make_bank, page_tries, write_lines
from tests.doors.bank_files import make_bad_files, make_files
from tests.doors.calls import COMMANDS, Done, call
from tests.experiences import DAY_S, trajectory

Run = Callable[..., Done]

AFTERNOON = ["-c", "site=example.org", "-c", "when=afternoon"]
#: The pattern of the mirror in the sample bank.
MIRROR = "501a8b17847fe37b"
EXAMPLES = [
    (name, line)
    for name, command in COMMANDS.items()
    for line in re.findall(r"\[bold\](swarm bank .*?)\[/\]", command.epilog.replace("\\[", "["))
]
#: Those that change what a bank holds, or where it is.
CHANGING = {"record", "revoke", "prune", "retain", "import", "vacuum", "restore", "rebuild"}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    make_files(folder)
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the help speaks of, in which commands run."""
    shutil.copytree(prepared, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def run() -> Run:
    """Run ``swarm bank``; without a traceback, whatever comes of it."""

    def invoke(*arguments: str, given: str = "") -> Done:
        done = call("bank", *arguments, given=given.encode())
        if done.error is not None:
            raise done.error
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return invoke


def refused(done: Done, code: int = 2) -> str:
    """Return the one line that says what is wrong."""
    assert done.exit_code == code, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("swarm: ")
    return line


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


# --- recording -------------------------------------------------------------------------------


def one_try(*more: str) -> list[str]:
    needed = ["--task-type", "fetch", "--approach", "mirror", "--agent", "me"]
    return ["record", "bank.db", *needed, "-c", "site=example.org", *more]


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
