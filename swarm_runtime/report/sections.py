"""The page's sections that are plain HTML: the verdict, tables, patterns, limits, settings.

They are complete without the script, which only adds the charts. Above: ``page``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from swarm_runtime.report.curves import AGENTS_SHOWN
from swarm_runtime.report.markup import Cell, Interval, interval_axis, share_bar, table, text
from swarm_runtime.report.series import ArmSeries
from swarm_runtime.report.words import (
    ARM_WORDS,
    METRICS,
    PERIODS,
    agent_words,
    confidence_parts,
    count,
    counted,
    evidence,
    percent,
    points,
    ratio,
)

__all__ = [
    "comparison",
    "configuration",
    "header",
    "memory",
    "metrics",
    "patterns",
    "risk_cuts",
]

#: Risk cuts listed for one agent.
_CUTS_LISTED = 40
#: A longer table of agents is folded up at first.
_ROWS_OPEN = 24
#: Symbols named in the header.
_NAMES_LISTED = 12
_VERDICTS = {
    "helps": ("Memory helps", "good"),
    "hurts": ("Memory hurts", "bad"),
    "no effect shown": ("No effect of memory shown", "neutral"),
}


def header(report: Mapping[str, Any]) -> str:
    """Return the verdict, its sentence, and the facts of the run."""
    found = report.get("comparison")
    if found is None:
        arm = next(iter(report["arms"]), "on")
        title, style = f"A swarm {ARM_WORDS.get(arm, arm)}", "neutral"
        sentence = "One arm only: there is nothing to compare it with."
    else:
        title, style = _VERDICTS.get(found["verdict"], (str(found["verdict"]), "neutral"))
        sentence = _without_head(found["sentence"])
    data, config, timing = report["data"], report["config"], report["timing"]
    swarm, faults = config.get("swarm", {}), report["faults"]
    agents = swarm.get("agents", len(report["agents"]))
    facts = [
        ("Data", f"{data.get('source', '–')}: {_some(data['symbols'])}"),
        ("Period", f"{data['from']} to {data['to']}, {count(data['bars'])} bars"),
        ("Swarm", f"{counted(agents, 'agent')}, {swarm.get('topology', '–')}"),
        ("Seed", config.get("seed", "–")),
        (
            "Speed",
            f"{count(timing['bar_decisions_per_s'])} bar decisions a second; "
            f"replay {timing['replay_s']:.1f} s",
        ),
        ("Faults", f"{count(faults['restarts'])} restarts, {count(faults['retries'])} retries"),
        ("Run", report["run_id"]),
    ]
    listed = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts
    )
    return (
        f'<p class="over">Swarm run report</p>'
        f'<h1 class="{style}">{text(title)}</h1>'
        f'<p class="verdict">{text(sentence)}</p>'
        f'<dl class="facts">{listed}<div class="wide"><dt>Digest</dt>'
        f"<dd><code>{text(report['digest'])}</code></dd></div></dl>"
    )


def _some(names: Sequence[str]) -> str:
    """Return the first names, and how many there are beyond."""
    rest = len(names) - _NAMES_LISTED
    return ", ".join(names[:_NAMES_LISTED]) + (f" and {count(rest)} more" if rest > 0 else "")


def _without_head(sentence: str) -> str:
    """Return what follows the verdict in a sentence, as the heading says the verdict already."""
    head, colon, rest = sentence.partition(": ")
    return rest[:1].upper() + rest[1:] if colon else head


def comparison(found: Mapping[str, Any]) -> str:
    """Return the difference that memory made, on an axis and as a table."""
    interval, smallest = _pair(found["interval"]), found["smallest_effect"]
    rows: list[tuple[str, float, tuple[float, float] | None]] = [
        ("Difference, memory on − off", found["difference"], interval),
        ("From what was chosen", found["gross_difference"], _pair(found["gross_interval"])),
        ("From costs", found["cost_difference"], _pair(found.get("cost_interval"))),
    ]
    styles = ("main", "part", "part")
    drawn: list[Interval] = [(*row, style) for row, style in zip(rows, styles, strict=True)]
    level = f"{100 * found['level']:.0f}{chr(0x202F)}%"
    cells: list[tuple[Sequence[str], Sequence[Cell]]] = [
        (
            [label],
            [
                (points(value), value),
                (f"{points(ends[0])} to {points(ends[1])}", f"{ends[0]} {ends[1]}")
                if ends
                else ("–", None),
            ],
        )
        for label, value, ends in rows
    ]
    shown = (
        ""
        if smallest is None
        else "The grey band is where an effect would have stayed unseen: the smallest effect that "
        f"this run could have shown (80{chr(0x202F)}% power) is {100 * smallest:.2f} points a year."
    )
    sharpe = found["sharpe_difference"]
    return (
        f"{interval_axis(drawn, smallest, found['sentence'])}"
        f'<p class="note">Percentage points of return a year, on the walk-forward remainder '
        f"({count(found['bars'])} bars), paired bar by bar; bars show {level} intervals of a "
        f"stationary bootstrap. {text(shown)} The Sharpe ratio differs by "
        f'<span data-value="{text(sharpe)}">{ratio(sharpe)}</span>.</p>'
        + table(
            "Memory on minus memory off, points a year",
            [("", ""), ("Estimate", ""), (f"{level} interval", "")],
            cells,
        )
    )


def _pair(ends: Any) -> tuple[float, float] | None:
    return None if ends is None else (float(ends[0]), float(ends[1]))


def metrics(report: Mapping[str, Any]) -> str:
    """Return the tables of results: the swarm's, then the agents' for each period."""
    headings = [(metric.title, metric.help) for metric in METRICS]
    arms = _ordered(report["arms"])
    swarm_rows = [
        ([words, ARM_WORDS.get(arm, arm)], _cells(results["swarm"], period))
        for period, words in PERIODS
        for arm, results in arms
    ]
    parts = [
        table(
            "The swarm: sum of its agents",
            [("Period", ""), ("Arm", ""), *headings],
            swarm_rows,
            labels=2,
        )
    ]
    for period, words in PERIODS:
        rows = [
            ([agent["id"], agent["kind"], ARM_WORDS.get(arm, arm)], _cells(agent, period))
            for group in zip(
                *(results["agents"][:AGENTS_SHOWN] for _, results in arms), strict=True
            )
            for (arm, _), agent in zip(arms, group, strict=True)
        ]
        inner = table(
            f"Agents, {words.lower()}",
            [("Agent", ""), ("Kind", ""), ("Arm", ""), *headings],
            rows,
            labels=3,
            hidden_caption=True,
        )
        opened = " open" if period == "walk_forward" and len(rows) <= _ROWS_OPEN else ""
        parts.append(
            f"<details{opened}><summary>Agents, {text(words.lower())}</summary>{inner}</details>"
        )
    return "".join(parts) + _more(len(report["agents"]))


def _ordered(arms: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the arms, the one with memory first."""
    return sorted(arms.items(), key=lambda item: (item[0] != "on", item[0]))


def _cells(results: Mapping[str, Any], period: str) -> list[Cell]:
    values = results.get(period, {}) if period else results
    return [(metric.show(values.get(metric.key)), values.get(metric.key)) for metric in METRICS]


def _more(agents: int) -> str:
    if agents <= AGENTS_SHOWN:
        return ""
    return (
        f'<p class="note">The first {AGENTS_SHOWN} of {count(agents)} agents are shown one by one; '
        "all are in the totals, and in report.json.</p>"
    )


def patterns(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the patterns that mattered most, each with its evidence and confidence."""
    if not found:
        return '<p class="note">No pattern was applied.</p>'
    return f'<ol class="patterns">{"".join(map(_pattern, found))}</ol>'


def _pattern(pattern: Mapping[str, Any]) -> str:
    parts = "".join(
        f"<div><dt>{name} <small>× {weight}</small></dt><dd>{share_bar(value)}"
        f'<span data-value="{text(value)}">{ratio(value)}</span></dd></div>'
        for name, weight, value in confidence_parts(pattern)
    )
    total = pattern["confidence"]["total"]
    return (
        f'<li><div class="told"><p class="approach"><code>{text(pattern["approach"])}</code></p>'
        f"<p>{text(pattern['sentence'])}</p>"
        f'<p class="note">{text(evidence(pattern))}</p></div>'
        f'<div class="confidence"><p>Confidence <b data-value="{text(total)}">{ratio(total)}'
        f"</b></p><dl>{parts}</dl></div></li>"
    )


def memory(figures: Mapping[str, Any]) -> str:
    """Return how often the memory was asked, what it answered, and what it holds."""
    facts = [
        ("Choices", count(figures["choices"]), figures["choices"]),
        ("Applied", count(figures["recommendations"]), figures["recommendations"]),
        ("Abstained", count(figures["abstentions"]), figures["abstentions"]),
        ("Withheld", count(figures["withheld"]), figures["withheld"]),
        ("Reuse rate", percent(figures["reuse_rate"]), figures["reuse_rate"]),
        ("Mean confidence", ratio(figures["mean_confidence"]), figures["mean_confidence"]),
    ]
    facts += [
        (name.capitalize(), count(figures[name]), figures[name])
        for name in ("patterns", "trajectories")
        if figures.get(name) is not None
    ]
    listed = "".join(
        f'<div><dt>{text(name)}</dt><dd data-value="{text(value)}">{text(shown)}</dd></div>'
        for name, shown, value in facts
    )
    return f'<dl class="facts small">{listed}</dl>'


def risk_cuts(arms: Iterable[ArmSeries]) -> str:
    """Return what the risk limits cut, agent by agent."""
    parts = []
    for arm in arms:
        total = sum(len(agent.risk_cuts) for agent in arm.agents)
        words = ARM_WORDS.get(arm.name, arm.name)
        parts.append(f"<h3>{text(words.capitalize())}: {count(total)}</h3>")
        for agent in arm.agents[:AGENTS_SHOWN]:
            cuts = agent.risk_cuts
            if not cuts:
                continue
            name = text(agent_words(agent.agent, agent.kind))
            listed = "".join(f"<li>{text(cut)}</li>" for cut in cuts[:_CUTS_LISTED])
            rest = len(cuts) - _CUTS_LISTED
            listed += f"<li>and {count(rest)} more</li>" if rest > 0 else ""
            parts.append(
                f"<details><summary>{name}: {count(len(cuts))}</summary><ul>{listed}</ul></details>"
            )
    return "".join(parts)


def configuration(config: Mapping[str, Any]) -> str:
    """Return every setting under its dotted name."""
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = [
        ([name], [(_setting(value), None)]) for name, value in _flat(config, "")
    ]
    inner = table("All settings", [("Setting", ""), ("Value", "")], rows, hidden_caption=True)
    return f'<details class="settings"><summary>All settings</summary>{inner}</details>'


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _setting(value: Any) -> str:
    if value is None or value in ([], (), {}, ""):
        return "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
