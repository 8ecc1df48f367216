"""What a new user gets wrong ends in one clear line, exit code 2, and no half-written run."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swarm_runtime.cli import app

Run = Callable[..., tuple[int, str]]

STRATEGY = """
import numpy as np
from swarm_runtime.trading.strategies import Strategy

class Mine(Strategy):
    parameters = ({"bars": 5},)

    def target_position(self, bars, parameters):
        {body}
"""

GOOD = "Date,Open,High,Low,Close,Volume\n2020-01-02,1,2,0.5,1.5,10\n2020-01-03,1,2,0.5,1.5,10\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        assert "Traceback" not in result.output
        assert not (tmp_path / "runs").exists(), "a run folder was made"
        return result.exit_code, result.output

    return invoke


def strategy_file(folder: Path, body: str) -> str:
    (folder / "mine.py").write_text(STRATEGY.replace("{body}", body))
    return "mine.py:Mine"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--topology", "mash"], r"swarm\.topology = 'mash': .*Did you mean 'mesh'\?"),
        (["--agents", "0"], r"swarm\.agents = 0: .*greater than or equal to 1"),
        (["--kinds", "momentun"], r"momentun.*Did you mean 'momentum'\?"),
        (["--symbols", "APPL"], r"'APPL'.*Did you mean 'AAPL'\?"),
        (["--data", "missing.csv"], r"missing\.csv"),
        (["--from", "2030-01-01"], r"2030-01-01.*2013-03-01"),
        (["--from", "2005-01-01", "--to", "2004-01-01"], r"2005-01-01"),
        (["--from", "2013-01-02"], r"trading\.block_bars = 21: .*Take more data"),
        (["--from", "soon"], r"data\.start = 'soon'"),
        (["--preset", "prod"], r"preset = 'prod': .*Did you mean 'production'\?"),
        (["--memory", "of"], r"memory\.mode = 'of'"),
        (["--shell", "rey"], r"shell = 'rey': .*Did you mean 'ray'\?"),
        (["--set", "memory.bound=1"], r"memory\.bound = 1: .*Did you mean 'bound_z'\?"),
        (["--set", "memory"], r"--set = 'memory': write NAME=VALUE"),
        (["--config", "none.toml"], r"none\.toml.*No such file"),
        (["--seed", "-1"], r"seed = -1"),
        (["--data", "file.txt"], r"file\.txt"),
    ],
)
def test_a_wrong_choice_is_named_with_what_is_allowed(
    run: Run, arguments: list[str], says: str
) -> None:
    code, output = run("run", "--shell", "local", *arguments)
    assert code == 2, output
    assert len(output.strip().splitlines()) == 1, output
    assert re.search(says, output), output


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise KeyError('price')", "KeyError"),
        ("return np.full(bars.close.shape, np.nan)", r"NaN|not finite|nan"),
        ("return np.zeros(3)", "shape"),
        ("return np.full(bars.close.shape, 2.0)", r"2\.0|\[-1, 1\]"),
        ("return np.sign(np.roll(bars.close, -1, axis=0) - bars.close)", "looks ahead"),
        ("return np.sign(np.random.rand(*bars.close.shape) - 0.5)", "repeat itself"),
    ],
)
def test_a_strategy_that_cannot_be_trusted_is_refused_before_anything_is_written(
    run: Run, tmp_path: Path, body: str, says: str
) -> None:
    name = strategy_file(tmp_path, body)
    code, output = run("run", "--shell", "local", "--kinds", name)
    assert code == 2, output
    assert re.search(says, output), output
    assert "strategy mine" in output


def test_a_folder_that_cannot_be_written_is_said_to_be_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, output = run("run", "--shell", "local", "--out", "file/run")
    assert code == 2
    assert "file/run: can't be written" in output


def test_a_run_is_never_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    code, output = run("run", "--shell", "local", "--out", "mine")
    assert code == 2
    assert "swarm resume" in output
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


@pytest.mark.parametrize("command", ["resume", "report"])
def test_a_folder_that_is_no_run_is_said_to_be_none(run: Run, tmp_path: Path, command: str) -> None:
    code, output = run(command, str(tmp_path))
    assert code == 2
    assert "is it a run folder" in output


def test_bad_rows_of_a_file_are_named_by_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "XYZ.csv").write_text(GOOD + "2020-01-06,1,2,0.5,-3,10\n")
    code, output = run("run", "--shell", "local", "--data", "XYZ.csv")
    assert code == 2
    assert "XYZ.csv, line 4" in output


def test_check_strategy_says_what_it_found_and_exits_with_its_own_code(
    run: Run, tmp_path: Path
) -> None:
    name = strategy_file(tmp_path, "return np.sign(np.roll(bars.close, -1, axis=0) - bars.close)")
    code, output = run("check-strategy", name)
    assert code == 5
    assert "looks ahead" in output
    code, output = run("check-strategy", "momentum")
    assert code == 0
    assert "does not look ahead" in output
