"""What README shows works as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swarm_runtime.cli import app

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(word: str) -> str:
    (found,) = [one for one in BLOCKS if word in one]
    return found


def test_the_strategy_in_readme_is_checked_and_trades(tmp_path: Path) -> None:
    file = tmp_path / "crossover.py"
    file.write_text(block("class Crossover"))
    checked = CliRunner().invoke(app, ["check-strategy", str(file)])
    assert checked.exit_code == 0, checked.output
    arguments = ["run", "--shell", "local", "--agents", "2", "--from", "2009-01-01", "--json"]
    arguments += ["--kinds", f"momentum,{file}:Crossover", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert [agent["kind"] for agent in report["agents"]] == ["momentum", "crossover"]
    assert all(agent["trades"] > 0 for agent in report["agents"])
    again = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--json"])
    assert json.loads(again.stdout) == report


@pytest.mark.parametrize("word", ["ReasoningBank.open", "Settings(seed=7"])
def test_the_programs_in_readme_run(tmp_path: Path, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block(word)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_every_option_that_readme_names_exists() -> None:
    help_text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "200"}).output
    for line in re.findall(r"^    swarm run (.*)$", README, re.MULTILINE):
        for option in re.findall(r"--[a-z]+", line.split("#")[0]):
            assert option in help_text


def test_the_commands_of_the_memory_alone_run_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = README.partition("## The memory alone")[2].partition("\n## ")[0]
    commands = re.findall(r"^    (swarm bank .*)$", section, re.MULTILINE)
    lines = [line.partition("#")[0] for line in commands]
    assert len(lines) == 6
    example = Path(__file__).parents[2] / "examples" / "endpoints.py"
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, example, "endpoints.db"], check=True, capture_output=True)
    (tries,) = re.findall(r"where a line is `(\{.*?\})`", section, re.DOTALL)
    (tmp_path / "tries.jsonl").write_text(" ".join(tries.split()))
    for one in lines:
        done = CliRunner().invoke(app, shlex.split(one)[1:])
        assert done.exit_code == 0, done.output
        assert done.stdout.strip()
