"""What the page's charts show, as small JSON: thinned curves, choices as one letter per cell.

Above: ``page``. Whatever the length of a run, the result stays within a fixed budget of points, so
that a report of 50 agents over 8,000 bars can still be sent by mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.report.summary import swarm_cents, walk_forward_start

__all__ = ["AGENTS_SHOWN", "LETTERS", "chart_data", "drawdown", "spread"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Agents drawn one by one; a larger swarm's others are in its totals and in report.json.
AGENTS_SHOWN = 50
#: Points of all curves together, and the bounds for one.
_POINTS, _MOST, _FEWEST = 250_000, 4_000, 500
#: Letter i stands for number i; "-" for nothing.
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: A curve's unit: this many to 100 %.
_SCALE = 10_000


def chart_data(
    arms: Sequence[ArmSeries], *, cash_usd: float, learn_fraction: float
) -> dict[str, Any]:
    """Return all that the page's script draws.

    Parameters
    ----------
    arms : sequence of ArmSeries
        One, or two of the same run.
    cash_usd : float
        Each agent's starting capital.
    learn_fraction : float
        Share of the rounds that is the period learnt on.

    Returns
    -------
    dict
        Made of JSON types. Curves are in basis points of the starting capital, each number the
        change against the one before (small numbers make short texts).
    """
    first = arms[0]
    shown = first.agents[:AGENTS_SHOWN]
    curves = 2 * len(arms) * (len(shown) + 1)
    kept = _kept(len(first.times), min(_MOST, max(_FEWEST, _POINTS // curves)))
    seconds = first.times.astype("datetime64[s]").astype(np.int64)
    _, split_bar = walk_forward_start(first, learn_fraction)
    rounds = np.arange(len(first.agents[0].chosen)) * first.block_bars
    cash_cents = round(cash_usd * 100)
    return {
        "times": _deltas(seconds[kept]),
        "split": int(seconds[min(split_bar, len(seconds) - 1)]),
        "rounds": [int(second) for second in seconds[rounds]],
        "reasons": {str(int(reason)): reason.name.lower() for reason in Reason},
        "agents": [
            {
                "id": agent.agent,
                "kind": agent.kind,
                "symbols": list(agent.symbols),
                "candidates": list(agent.candidates),
            }
            for agent in shown
        ],
        "arms": [_arm(arm, kept, cash_cents) for arm in arms],
    }


def drawdown(equity: Integers, start: int) -> Floats:
    """Return the fall from the highest equity so far, as a fraction <= 0; the start counts."""
    peak = np.maximum(np.maximum.accumulate(equity), start)
    return equity / peak - 1.0


def spread(arm: ArmSeries) -> Floats:
    """Return which share of a round's experiences had reached each agent when the next opened.

    Every agent has one experience a round. What an agent lacks of older rounds counts against the
    newest, so the share is 1 only for an agent that knows all there is. (Of *all* experiences so
    far every agent soon knows nearly all, however slowly news travels.)

    Returns
    -------
    ndarray of float64, shape (R - 1, N)
        Row 0 is the second round; before the first there was nothing to know.
    """
    known = np.stack([agent.known for agent in arm.agents], axis=1)[1:].astype(np.float64)
    count = len(arm.agents)
    older = np.arange(len(known))[:, None] * count
    return np.clip((known - older) / count, 0.0, 1.0)


def _kept(bars: int, points: int) -> Integers:
    """Return the bars that a thinned curve keeps: every k-th, and the last."""
    step = -(-bars // points)
    return np.arange(bars - 1, -1, -step)[::-1].astype(np.int64)


def _arm(arm: ArmSeries, kept: Integers, cash_cents: int) -> dict[str, Any]:
    shown = arm.agents[:AGENTS_SHOWN]
    total, _ = swarm_cents(arm)
    shares = spread(arm)
    knows = bool(len(shares)) and bool(shares.any())
    return {
        "name": arm.name,
        "swarm": _curves(total, kept, cash_cents * len(arm.agents)),
        "agents": [_curves(agent.equity_cents, kept, cash_cents) for agent in shown],
        "choices": [_choices(agent) for agent in shown],
        "spread": {
            "least": _scaled(shares.min(axis=1)),
            "mean": _scaled(shares.mean(axis=1)),
            "most": _scaled(shares.max(axis=1)),
        }
        if knows
        else None,
        "use": _use(arm),
    }


def _curves(equity: Integers, kept: Integers, start: int) -> dict[str, list[int]]:
    """Return equity at the bars kept, and the deepest drawdown since the bar kept before."""
    begins = np.concatenate([[0], kept[:-1] + 1])
    falls = np.minimum.reduceat(drawdown(equity, start), begins)
    return {
        "equity": _deltas(np.rint((equity[kept] / start - 1.0) * _SCALE).astype(np.int64)),
        "drawdown": _deltas(np.rint(falls * _SCALE).astype(np.int64)),
    }


def _choices(agent: AgentSeries) -> dict[str, str]:
    """Return what was chosen, why, and how confidently: symbol by symbol, round by round.

    Without a memory there is nothing to say but what was chosen, and the others are empty.
    """
    surest = len(LETTERS) - 1
    asked = np.any(agent.reason > int(Reason.NO_MEMORY))
    confidence = np.where(np.isnan(agent.confidence), -1, np.rint(agent.confidence * surest))
    return {
        "chosen": _letters(agent.chosen),
        "reason": _letters(agent.reason) if asked else "",
        "confidence": _letters(confidence) if (confidence >= 0).any() else "",
    }


def _letters(numbers: npt.NDArray[Any]) -> str:
    """Write a table (R, S) of numbers column by column; one beyond the last letter is that."""
    codes = np.frombuffer(("-" + LETTERS).encode("ascii"), dtype=np.uint8)
    places = np.clip(numbers.T.ravel().astype(np.int64) + 1, 0, len(LETTERS))
    return codes[places].tobytes().decode("ascii")


def _use(arm: ArmSeries) -> dict[str, list[int]]:
    """Return which part of each round's choices the memory answered how."""
    reasons = np.concatenate([agent.reason for agent in arm.agents], axis=1)
    choices = np.maximum(np.count_nonzero(reasons >= 0, axis=1), 1)
    return {
        reason.name.lower(): _scaled(np.count_nonzero(reasons == int(reason), axis=1) / choices)
        for reason in Reason
        # EXPLORED is for policies that agents of a swarm do not use.
        if Reason.NO_MEMORY < reason < Reason.EXPLORED
    }


def _deltas(values: Integers) -> list[int]:
    return [int(value) for value in np.diff(values, prepend=0)]


def _scaled(shares: Floats) -> list[int]:
    return [int(value) for value in np.rint(shares * _SCALE)]
