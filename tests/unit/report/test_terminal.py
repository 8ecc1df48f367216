"""The last thing a run prints: all of it readable, in any terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from swarm_runtime.report.terminal import print_report
from swarm_runtime.report.words import evidence
from tests.unit.report.fake_runs import fake_arm, fake_report


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return fake_report([fake_arm("off", bars=700), fake_arm("on", bars=700)])


def printed(report: dict[str, Any], width: int = 100, **settings: Any) -> str:
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width, **settings))
    return stream.getvalue()


@pytest.mark.parametrize("width", [100, 80])
def test_no_line_of_a_table_is_wider_than_the_terminal(report: dict[str, Any], width: int) -> None:
    lines = printed(report, width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for name in ("agent-01 mean_reversion ", "agent-04 neural_forecast ", "swarm "):
        assert sum(line.startswith(name) for line in lines) >= 2, name
    assert "…" not in "".join(lines)
    assert any(line.rstrip().endswith(" PF") for line in lines)
    assert any("Decisions" in line for line in lines) == (width == 100)


def test_every_agent_and_the_swarm_show_their_figures_for_both_arms(report: dict[str, Any]) -> None:
    out = printed(report)
    assert "Without memory" in out
    assert "With memory" in out
    for heading in ("Trades", "Return", "CAGR", "Sharpe", "Sortino", "Max DD", "Win", "PF"):
        assert out.count(heading) >= 2
    for arm in report["arms"].values():
        for results in (*arm["agents"], arm["swarm"]):
            assert f"{results['sharpe']:.2f}".replace("-", "−") in out
            assert f"{100 * results['total_return']:+.1f} %".replace("-", "−") in out


def test_patterns_and_the_verdict_are_told_in_words(report: dict[str, Any]) -> None:
    out = " ".join(printed(report).split())
    for pattern in report["patterns"]:
        assert pattern["sentence"] in out
        assert evidence(pattern) in out
    assert report["comparison"]["sentence"] in out
    assert report["digest"] in out


def test_a_run_of_one_arm_shows_no_comparison() -> None:
    out = printed(fake_report([fake_arm("off", bars=300)]))
    assert "Without memory" in out
    assert "With memory" not in out
    assert "Memory" not in out


def test_figures_that_are_not_defined_are_dashes(report: dict[str, Any]) -> None:
    arms = {
        name: {**arm, "swarm": {**arm["swarm"], "sharpe": None}}
        for name, arm in report["arms"].items()
    }
    row = next(line for line in printed({**report, "arms": arms}).splitlines() if "swarm " in line)
    assert "–" in row


def test_markup_in_names_is_not_interpreted(report: dict[str, Any]) -> None:
    pattern = {**report["patterns"][0], "sentence": "[bold]x[/bold] [/] chosen"}
    out = printed({**report, "patterns": [pattern], "run_id": "[red]"})
    assert "[bold]x[/bold] [/] chosen" in out


def test_no_color_is_respected(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed(report, force_terminal=True)
    assert "\x1b[32m" not in plain
    assert "\x1b[1;32m" not in plain
    monkeypatch.delenv("NO_COLOR")
    helps = {**report, "comparison": {**report["comparison"], "verdict": "helps"}}
    assert "\x1b[1;32m" in printed(helps, force_terminal=True, color_system="standard")


def test_a_large_swarm_is_cut_short_and_says_so() -> None:
    out = printed(fake_report([fake_arm("on", agents=23, bars=300)]))
    assert "agent-19" in out
    assert "agent-20" not in out
    assert "and 3 more" in out
