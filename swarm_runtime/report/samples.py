"""Tables that say in figures what the page's charts show, for those who don't see them.

They are folded up below each chart. Above: ``page``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.report.curves import drawdown, spread
from swarm_runtime.report.markup import Cell, table, text
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.report.summary import swarm_cents
from swarm_runtime.report.words import ARM_WORDS, count, percent, signed_percent

__all__ = ["choice_tables", "equity_table", "knowledge_table", "use_table"]

#: Rows of a table that stands for a chart.
_SAMPLED = 16
_USES = (
    (Reason.APPLIED, "Applied"),
    (Reason.WITHHELD, "Withheld"),
    (Reason.ABSTAINED, "Abstained"),
    (Reason.NO_MEMORY, "No memory"),
)


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
    """Return which share of the last round's experiences the agents knew, at a few rounds."""
    shares = spread(arm)
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = [
        (
            [_date(arm, (at + 1) * arm.block_bars)],
            [(percent(value), None) for value in (row.min(), row.mean(), row.max())],
        )
        for at, row in ((at, shares[at]) for at in _sampled(len(shares)))
    ]
    headings = [("Round opened", ""), ("Least", ""), ("Mean", ""), ("Most", "")]
    return _as_table("Share of the last round’s experiences known by an agent", headings, rows)


def use_table(arm: ArmSeries) -> str:
    """Return how choices were made, at a few rounds."""
    reasons = np.concatenate([agent.reason for agent in arm.agents], axis=1)
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = []
    for at in _sampled(len(reasons)):
        choices = max(int(np.count_nonzero(reasons[at] >= 0)), 1)
        rows.append(
            (
                [_date(arm, at * arm.block_bars)],
                [
                    (percent(float(np.count_nonzero(reasons[at] == int(kind))) / choices), None)
                    for kind, _ in _USES
                ],
            )
        )
    headings = [("Round opened", ""), *((words, "") for _, words in _USES)]
    return _as_table("How choices were made", headings, rows)


def choice_tables(arms: Sequence[ArmSeries], at: int) -> str:
    """Return how often an agent chose each approach, and why, arm by arm."""
    inner = "".join(_choice_table(arm, arm.agents[at]) for arm in arms)
    return f"<details><summary>How often, and why, as tables</summary>{inner}</details>"


def _choice_table(arm: ArmSeries, agent: AgentSeries) -> str:
    rows: list[tuple[Sequence[str], Sequence[Cell]]] = []
    for number, name in enumerate(agent.candidates):
        reasons = agent.reason[agent.chosen == number]
        counts = [int(np.count_nonzero(reasons == int(kind))) for kind, _ in _USES]
        cells: list[Cell] = [(count(value), value) for value in (len(reasons), *counts)]
        rows.append(([name], cells))
    words = ARM_WORDS.get(arm.name, arm.name)
    headings = [("Approach", ""), ("Chosen", ""), *((name, "") for _, name in _USES)]
    return table(f"Choices of {agent.agent}, {words}", headings, rows)


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
