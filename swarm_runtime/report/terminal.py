"""What a run found, for a terminal: tables, patterns and the verdict, in plain words.

Colours carry no meaning of their own, and ``NO_COLOR`` or a pipe turns them off. Tables fit 100
columns; in narrower terminals the least important columns go, never the swarm's return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from swarm_runtime.report.words import (
    ARM_WORDS,
    METRICS,
    Metric,
    agent_words,
    confidence_parts,
    count,
    evidence,
    percent,
    points,
    ratio,
)

__all__ = ["print_report"]

#: Agents listed one by one; a larger swarm's others are in its total and in report.json.
_AGENTS_LISTED = 20
#: Columns of at most this many characters do without the metrics below.
_NARROW_COLUMNS = 96
_LEFT_OUT = ("decisions", "sortino", "costs_usd")
_STYLES = {"helps": "bold green", "hurts": "bold red"}


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what a run found.

    Parameters
    ----------
    report : mapping
        What ``report.json`` holds.
    console : rich.console.Console or None
        Where to print; standard output by default.
    """
    console = console or Console()
    arms = sorted(report["arms"].items(), key=lambda item: (item[0] == "on", item[0]))
    for name, results in arms:
        console.print()
        console.print(_results(ARM_WORDS.get(name, name).capitalize(), results, console.width))
    if report.get("patterns"):
        _print_patterns(report["patterns"], console)
    if "on" in report["arms"]:
        _print_memory(report["memory"], console)
    _print_comparison(report.get("comparison"), console)
    timing, faults = report["timing"], report["faults"]
    console.print()
    console.print(
        Text(
            f"{count(timing['bar_decisions_per_s'])} bar decisions/s, replay "
            f"{timing['replay_s']:.1f} s, {count(faults['restarts'])} restarts, "
            f"{count(faults['retries'])} retries",
            style="dim",
        )
    )
    console.print(Text(f"digest {report['digest']}", style="dim"), soft_wrap=True)


def _results(title: str, results: Mapping[str, Any], width: int) -> Table:
    """Return one arm's table: its agents, then the swarm."""
    metrics = [one for one in METRICS if one.key != "costs_usd"]
    if width < _NARROW_COLUMNS:
        metrics = [one for one in metrics if one.key not in _LEFT_OUT]
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        header_style="dim",
    )
    table.add_column("Agent", no_wrap=True, overflow="ellipsis", max_width=26)
    for metric in metrics:
        table.add_column(metric.short, justify="right", no_wrap=True)
    listed = results["agents"][:_AGENTS_LISTED]
    for agent in listed:
        table.add_row(Text(agent_words(agent["id"], agent["kind"])), *_shown(agent, metrics))
    hidden = len(results["agents"]) - len(listed)
    if hidden:
        table.add_row(Text(f"and {hidden} more"), style="dim")
    table.add_row(Text("swarm"), *_shown(results["swarm"], metrics), style="bold")
    walk_forward = results["swarm"].get("walk_forward")
    if walk_forward:
        table.add_row(Text("swarm, walk-forward"), *_shown(walk_forward, metrics))
    return table


def _shown(results: Mapping[str, Any], metrics: Sequence[Metric]) -> list[str]:
    return [_plain(metric.show(results.get(metric.key))) for metric in metrics]


def _plain(shown: str) -> str:
    """Return a figure with plain spaces: terminals show narrow ones in many ways."""
    return shown.replace("\u202f", " ")


def _print_patterns(patterns: Sequence[Mapping[str, Any]], console: Console) -> None:
    console.print()
    console.print(Text("Patterns that mattered most", style="bold"))
    for place, pattern in enumerate(patterns, start=1):
        parts = ", ".join(f"{name} {ratio(value)}" for name, _, value in confidence_parts(pattern))
        told = f"{evidence(pattern)}\nconfidence {ratio(pattern['confidence']['total'])}: {parts}"
        console.print(Text(f"{place}. {pattern['sentence']}"))
        console.print(Padding(Text(told, style="dim"), (0, 0, 0, 3)))


def _print_memory(memory: Mapping[str, Any], console: Console) -> None:
    """Say how often the memory was asked, and what it answered."""
    console.print()
    console.print(
        Text(
            f"Memory: {count(memory['choices'])} choices, "
            f"{count(memory['recommendations'])} recommendations applied, "
            f"{count(memory['abstentions'])} abstentions, {count(memory['withheld'])} withheld; "
            f"reuse rate {_plain(percent(memory['reuse_rate']))}."
        )
    )


def _print_comparison(found: Mapping[str, Any] | None, console: Console) -> None:
    if found is None:
        return
    console.print()
    console.print(Text("Memory on minus memory off, walk-forward", style="bold"))
    console.print(Text(found["sentence"], style=_STYLES.get(found["verdict"], "bold")))
    rows = (
        ("difference", found["difference"], found["interval"]),
        ("from what was chosen", found["gross_difference"], found["gross_interval"]),
        ("from costs", found["cost_difference"], found["cost_interval"]),
    )
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("Points a year")
    table.add_column("Estimate", justify="right")
    table.add_column(f"{100 * found['level']:.0f} % interval", justify="right")
    for name, value, ends in rows:
        interval = "–" if ends is None else f"{points(ends[0])} to {points(ends[1])}"
        table.add_row(name, points(value), interval)
    table.add_row("difference in Sharpe ratio", ratio(found["sharpe_difference"]), "")
    console.print(table)
