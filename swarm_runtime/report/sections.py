"""The page's sections that are plain HTML: the verdict, tables, patterns, limits, settings.

They are complete without the script, which only adds the charts. Above: ``page``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from swarm_runtime.memory.ranking import Reason
from swarm_runtime.report.curves import AGENTS_SHOWN, drawdown, spread
from swarm_runtime.report.markup import Cell, Interval, interval_axis, share_bar, table, text
from swarm_runtime.report.series import ArmSeries
from swarm_runtime.report.summary import swarm_cents
from swarm_runtime.report.words import (
    ARM_WORDS,
    METRICS,
    PERIODS,
    context_phrase,
    count,
    percent,
    points,
    ratio,
    signed_percent,
)

__all__ = [
    "choice_table",
    "comparison",
    "configuration",
    "equity_table",
    "header",
    "knowledge_table",
    "metrics",
    "patterns",
    "risk_cuts",
    "use_table",
]

#: Rows of the tables that stand for a chart, and risk cuts listed for one agent.
_SAMPLED, _CUTS_LISTED = 16, 40
#: The four parts of the confidence: key, words, weight.
_PARTS = (
    ("success", "success rate", 0.4),
    ("usage", "usage", 0.3),
    ("recency", "recency", 0.2),
    ("context", "context", 0.1),
)
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
        sentence = found["sentence"]
    data, config, timing = report["data"], report["config"], report["timing"]
    swarm, faults = config.get("swarm", {}), report["faults"]
    agents = swarm.get("agents", len(report["agents"]))
    facts = [
        ("Data", f"{data.get('source', '–')}: {', '.join(data['symbols'])}"),
        ("Period", f"{data['from']} to {data['to']}, {count(data['bars'])} bars"),
        ("Swarm", f"{count(agents)} agents, {swarm.get('topology', '–')}"),
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


def comparison(found: Mapping[str, Any]) -> str:
    """Return the difference that memory made, on an axis and as a table."""
    interval, smallest = _pair(found["interval"]), found["smallest_effect"]
    rows: list[tuple[str, float, tuple[float, float] | None]] = [
        ("Difference, memory on − off", found["difference"], interval),
        ("of it from what was chosen", found["gross_difference"], _pair(found["gross_interval"])),
        ("of it from costs", found["cost_difference"], _pair(found.get("cost_interval"))),
    ]
    styles = ("main", "part", "part")
    drawn: list[Interval] = [(*row, style) for row, style in zip(rows, styles, strict=True)]
    level = f"{100 * found['level']:.0f}{chr(0x202F)}%"
    cells: list[tuple[Sequence[str], Sequence[Cell]]] = [
        (
            [label],
            [
                (points(value), value),
                (points(ends[0]) if ends else "–", ends[0] if ends else None),
                (points(ends[1]) if ends else "–", ends[1] if ends else None),
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
            [("", ""), ("Estimate", ""), (f"{level} from", ""), ("to", "")],
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
        opened = " open" if period == "walk_forward" else ""
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
    confidence = pattern["confidence"]
    parts = "".join(
        f"<div><dt>{words} <small>× {weight}</small></dt>"
        f"<dd>{share_bar(confidence[key])}"
        f'<span data-value="{text(confidence[key])}">{ratio(confidence[key])}</span></dd></div>'
        for key, words, weight in _PARTS
    )
    figures = (
        ("applied", count(pattern["applied"])),
        ("outcomes", count(pattern["outcomes"])),
        ("agents", count(pattern["agents"])),
        ("mean excess", f"{pattern['mean_excess']:+.2f} σ".replace("-", "−")),
        ("lower bound", f"{pattern['lower_bound']:+.2f} σ".replace("-", "−")),
    )
    listed = "".join(f"<li><b>{text(value)}</b> {text(name)}</li>" for name, value in figures)
    total = confidence["total"]
    return (
        f'<li><div class="told"><p class="sentence">{text(pattern["sentence"])}</p>'
        f'<p class="context"><code>{text(pattern["approach"])}</code> '
        f"{text(context_phrase(pattern['context_words']))}</p>"
        f'<ul class="figures">{listed}</ul>'
        f'<p class="note">{text(pattern["evidence"])}</p></div>'
        f'<div class="confidence"><p>Confidence <b data-value="{text(total)}">{ratio(total)}</b></p>'
        f"<dl>{parts}</dl></div></li>"
    )


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
            listed = "".join(f"<li>{text(cut)}</li>" for cut in cuts[:_CUTS_LISTED])
            rest = len(cuts) - _CUTS_LISTED
            listed += f"<li>and {count(rest)} more</li>" if rest > 0 else ""
            parts.append(
                f"<details><summary>{text(agent.agent)}, {text(agent.kind)}: {count(len(cuts))}"
                f"</summary><ul>{listed}</ul></details>"
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


def equity_table(arms: Sequence[ArmSeries], cash_usd: float) -> str:
    """Return the swarm's return and drawdown at a few dates."""
    bars = _sampled(len(arms[0].times))
    start = round(cash_usd * 100) * len(arms[0].agents)
    columns = []
    for arm in arms:
        total, _ = swarm_cents(arm)
        falls = drawdown(total, start)
        columns.append([(total[bar] / start - 1.0, falls[bar]) for bar in bars])
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = [
        (
            [_date(arms[0], bar)],
            [
                cell
                for column in columns
                for cell in (
                    (signed_percent(column[at][0]), None),
                    (percent(column[at][1]), None),
                )
            ],
        )
        for at, bar in enumerate(bars)
    ]
    words = [ARM_WORDS.get(arm.name, arm.name) for arm in arms]
    headings = [(f"{kind}, {word}", "") for word in words for kind in ("Return", "Drawdown")]
    return _as_table("Equity and drawdown of the swarm", [("Date", ""), *headings], rows)


def knowledge_table(arm: ArmSeries) -> str:
    """Return which share of all experiences the agents knew, at a few rounds."""
    shares = spread(arm)
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = [
        (
            [_date(arm, (at + 1) * arm.block_bars)],
            [(percent(value), None) for value in (row.min(), row.mean(), row.max())],
        )
        for at, row in ((at, shares[at]) for at in _sampled(len(shares)))
    ]
    headings = [("Round opened", ""), ("Least", ""), ("Mean", ""), ("Most", "")]
    return _as_table("Share of all experiences known by an agent", headings, rows)


def use_table(arm: ArmSeries) -> str:
    """Return how choices were made, at a few rounds."""
    reasons = np.concatenate([agent.reason for agent in arm.agents], axis=1)
    kinds = (Reason.APPLIED, Reason.WITHHELD, Reason.ABSTAINED, Reason.NO_MEMORY)
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = []
    for at in _sampled(len(reasons)):
        choices = max(int(np.count_nonzero(reasons[at] >= 0)), 1)
        rows.append(
            (
                [_date(arm, at * arm.block_bars)],
                [
                    (percent(float(np.count_nonzero(reasons[at] == int(kind))) / choices), None)
                    for kind in kinds
                ],
            )
        )
    headings = [
        ("Round opened", ""),
        ("Applied", ""),
        ("Withheld", ""),
        ("Abstained", ""),
        ("Nothing known", ""),
    ]
    return _as_table("How choices were made", headings, rows)


def choice_table(arm: ArmSeries, at: int) -> str:
    """Return how often an agent chose each approach, and why."""
    agent = arm.agents[at]
    kinds = (Reason.APPLIED, Reason.WITHHELD, Reason.ABSTAINED, Reason.NO_MEMORY)
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = []
    for number, name in enumerate(agent.candidates):
        reasons = agent.reason[agent.chosen == number]
        counts = [int(np.count_nonzero(reasons == int(kind))) for kind in kinds]
        cells: list[Cell] = [(count(value), value) for value in (len(reasons), *counts)]
        rows.append(([name], cells))
    words = ARM_WORDS.get(arm.name, arm.name)
    headings = [
        ("Approach", ""),
        ("Chosen", ""),
        ("Applied", ""),
        ("Withheld", ""),
        ("Abstained", ""),
        ("Nothing known", ""),
    ]
    return _as_table(f"Choices of {agent.agent}, {words}", headings, rows)


def _as_table(
    caption: str,
    headings: Sequence[tuple[str, str]],
    rows: Sequence[tuple[Sequence[str], Sequence[Cell]]],
) -> str:
    inner = table(caption, headings, rows)
    return f"<details><summary>{text(caption)}, as a table</summary>{inner}</details>"


def _sampled(rows: int) -> list[int]:
    """Return up to ``_SAMPLED`` row numbers, evenly spread, the last one among them."""
    if rows == 0:
        return []
    places = np.linspace(0, rows - 1, min(_SAMPLED, rows))
    return sorted({int(place) for place in np.rint(places)})


def _date(arm: ArmSeries, bar: int) -> str:
    return str(arm.times[min(bar, len(arm.times) - 1)].astype("datetime64[D]"))
