"""Numbers and names as people read them; what the terminal and the page have in common.

A figure that isn't defined (a Sharpe ratio without variance, say) is shown as a dash, never as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from swarm_runtime.memory.choice.ranking import CONFIDENCE_WEIGHTS

__all__ = [
    "ARM_WORDS",
    "METRICS",
    "PERIODS",
    "Metric",
    "agent_words",
    "confidence_parts",
    "count",
    "counted",
    "evidence",
    "money",
    "percent",
    "points",
    "ratio",
    "signed_percent",
]

_NARROW = "\u202f"
_DASH = "–"

#: How the arms are called.
ARM_WORDS = {"on": "with memory", "off": "without memory"}
#: Periods of a run: key in the report ("" is the whole), and words.
PERIODS = (("walk_forward", "Walk-forward"), ("learnt", "Learnt on"), ("", "Whole run"))


def _minus(text: str) -> str:
    """Write a minus as such, and none before a zero."""
    if not any(digit in text for digit in "123456789"):
        text = text.replace("-", "")
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    """Return a fraction as ``12.3 %``."""
    return _DASH if value is None else _minus(f"{100 * value:.1f}{_NARROW}%")


def signed_percent(value: float | None) -> str:
    """Return a fraction as ``+12.3 %``."""
    return _DASH if value is None else _minus(f"{100 * value:+.1f}{_NARROW}%")


def points(value: float | None) -> str:
    """Return a fraction as percentage points, ``+1.25``."""
    return _DASH if value is None else _minus(f"{100 * value:+.2f}")


def ratio(value: float | None) -> str:
    """Return a ratio as ``0.62``."""
    return _DASH if value is None else _minus(f"{value:.2f}")


def count(value: float | None) -> str:
    """Return a whole number as ``1234`` or ``12 345``, with narrow spaces."""
    if value is None:
        return _DASH
    plain = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return _minus(plain.replace(",", _NARROW))


def money(value: float | None) -> str:
    """Return an amount in USD as ``$12 345``."""
    return _DASH if value is None else f"${count(value)}"


@dataclass(frozen=True, slots=True)
class Metric:
    """A column of the tables of results.

    Attributes
    ----------
    key : str
        In the report.
    title, short : str
        Heading on the page, and in the terminal.
    show : callable
        From the value to its text.
    help : str
        The convention it is computed by.
    """

    key: str
    title: str
    short: str
    show: Callable[[float | None], str]
    help: str


#: The columns of every table of results, in order.
METRICS = (
    Metric("decisions", "Decisions", "Decisions", count, "Bars × symbols"),
    Metric("trades", "Trades", "Trades", count, "Closed trades"),
    Metric("total_return", "Total return", "Return", signed_percent, "After costs"),
    Metric("cagr", "CAGR", "CAGR", signed_percent, "Compound growth a year"),
    Metric("sharpe", "Sharpe", "Sharpe", ratio, "Annualised, riskless rate 0, ddof 1"),
    Metric("sortino", "Sortino", "Sortino", ratio, "Annualised, target 0"),
    Metric("max_drawdown", "Max drawdown", "Max DD", percent, "Deepest fall from a peak"),
    Metric("win_rate_per_trade", "Win rate", "Win", percent, "Share of trades with a profit"),
    Metric(
        "profit_factor_per_trade", "Profit factor", "PF", ratio, "Profits over losses, by trade"
    ),
    Metric("costs_usd", "Costs", "Costs", money, "Fees and slippage"),
)


def agent_words(name: str, kind: str) -> str:
    """Return an agent's id, and its kind unless the id tells it."""
    return name if kind in name else f"{name} {kind}"


def confidence_parts(pattern: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return the parts of a pattern's confidence: its name, its weight, its value in [0, 1]."""
    parts = pattern["confidence"]
    similarity = parts["context"] if "context" in parts else parts["similarity"]
    values = (parts["success"], parts["usage"], parts["recency"], similarity)
    names = ("success rate", "usage", "recency", "context")
    return list(zip(names, CONFIDENCE_WEIGHTS, values, strict=True))


def evidence(pattern: Mapping[str, Any]) -> str:
    """Return what spoke for a pattern, and what came of it, in figures."""
    agents = pattern["agents"] if isinstance(pattern["agents"], int) else len(pattern["agents"])
    parts = [
        f"followed {counted(pattern['applied'], 'time')} by {counted(agents, 'agent')}",
        f"known then: mean excess {_signed(pattern['mean_excess'])} σ, lower bound "
        f"{_signed(pattern['lower_bound'])} σ, {counted(round(pattern['outcomes']), 'outcome')}",
    ]
    if pattern.get("realised_excess") is not None:
        ends = pattern.get("realised_interval")
        within = "" if ends is None else f" ({_signed(ends[0])} to {_signed(ends[1])})"
        parts.append(f"came of it: {_signed(pattern['realised_excess'])} σ{within}")
    if pattern.get("evidence"):
        parts.append(str(pattern["evidence"]))
    return " · ".join(parts)


def _signed(value: float) -> str:
    return _minus(f"{value:+.2f}")


def counted(number: int, noun: str) -> str:
    """Return ``1 agent`` or ``5 agents``."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
