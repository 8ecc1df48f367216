"""Runs that never happened: arms with walks, choices and spreading knowledge, drawn by Philox."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.report.compare import compare
from swarm_runtime.report.digest import digest
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.report.summary import arm_report, walk_forward_start

KINDS = {
    "momentum": (
        "momentum(lookback_bars=20, entry_score=1.0, short_size=1.0)",
        "momentum(lookback_bars=60, entry_score=0.5, short_size=1.0)",
        "momentum(lookback_bars=120, entry_score=0.5, short_size=0.0)",
        "momentum(lookback_bars=250, entry_score=0.25, short_size=0.5)",
    ),
    "mean_reversion": (
        "mean_reversion(window_bars=5, entry_z=1.5, exit_z=0.25)",
        "mean_reversion(window_bars=20, entry_z=2.0, exit_z=0.5)",
        "mean_reversion(window_bars=20, entry_z=2.0, exit_z=0.5, short_size=0.0)",
        "mean_reversion(window_bars=50, entry_z=2.0, exit_z=0.5)",
        "mean_reversion(window_bars=10, entry_z=1.5, limit_bps=50, take_profit_bps=400)",
        "mean_reversion(window_bars=20, entry_z=2.0, limit_bps=50, take_profit_bps=600)",
    ),
    "breakout": ("breakout(entry_bars=20, exit_bars=10)", "breakout(entry_bars=55, exit_bars=20)"),
    "pairs": ("pairs(window_bars=20, entry_z=2.0)", "pairs(window_bars=60, entry_z=2.0)"),
    "neural_forecast": (
        "neural_forecast(horizon_bars=5, entry_score=0.1)",
        "neural_forecast(horizon_bars=21, entry_score=0.1)",
        "neural_forecast(horizon_bars=21, entry_score=0.2)",
    ),
}
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
CASH_USD = 100_000.0


def trading_days(count: int) -> np.ndarray:
    """The first ``count`` weekdays from 2000-03-01 on."""
    days = np.arange("2000-03-01", "2060-01-01", dtype="datetime64[D]")
    return days[np.is_busday(days)][:count].astype("datetime64[s]")


def fake_arm(
    name: str,
    *,
    agents: int = 5,
    bars: int = 3_200,
    block_bars: int = 21,
    symbols: tuple[str, ...] = SYMBOLS,
    drift: float = 2e-4,
    seed: int = 7,
) -> ArmSeries:
    """One arm. Arms of one seed share the market's noise, so they are paired as real ones are."""
    rounds = -(-bars // block_bars)
    market = _noise(seed, 0, 0).standard_t(4, bars) * 0.008
    kinds = list(KINDS)
    return ArmSeries(
        name=name,
        times=trading_days(bars),
        block_bars=block_bars,
        agents=tuple(
            _agent(
                name, at, kinds[at % len(kinds)], market, rounds, block_bars, symbols, drift, seed
            )
            for at in range(agents)
        ),
    )


def _noise(seed: int, stream: int, agent: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=[seed, stream * 1_000 + agent]))


def _agent(
    arm: str,
    at: int,
    kind: str,
    market: np.ndarray,
    rounds: int,
    block_bars: int,
    symbols: tuple[str, ...],
    drift: float,
    seed: int,
) -> AgentSeries:
    bars, learns = len(market), arm == "on"
    noise = _noise(seed, 1 + learns, at)
    own = _noise(seed, 9, at).standard_t(4, bars) * 0.005
    returns = drift + 0.4 * market + own + learns * noise.standard_normal(bars) * 0.001
    costs = np.where(noise.random(bars) < (0.05 if learns else 0.08), 18_00, 0).astype(np.int64)
    equity = np.rint(CASH_USD * 100 * np.cumprod(1 + returns)).astype(np.int64) - np.cumsum(costs)
    trades = np.sort(noise.integers(0, bars, bars // 12))
    candidates = ("flat", *KINDS[kind])
    shape = (rounds, len(symbols))
    chosen = noise.integers(0, len(candidates), shape).astype(np.int16)
    reason = np.full(shape, int(Reason.NO_MEMORY), dtype=np.int8)
    known = np.zeros(rounds, dtype=np.int64)
    if learns:
        _learn(noise, chosen, reason, known)
    absent = np.arange(rounds)[:, None] < (np.arange(len(symbols)) % 5 == 1) * rounds // 3
    chosen[absent], reason[absent] = -1, int(Reason.NOT_TRADABLE)
    applied = reason == int(Reason.APPLIED)
    confidence = np.where(applied, 0.5 + 0.4 * noise.random(shape), np.nan)
    return AgentSeries(
        agent=f"agent-{at:02d}",
        kind=kind,
        symbols=symbols,
        candidates=candidates,
        first_bar=252,
        equity_cents=equity,
        cost_cents=costs,
        trade_bar=trades.astype(np.int64),
        trade_pnl_cents=np.rint(noise.standard_normal(len(trades)) * 40_000 + 3_000).astype(
            np.int64
        ),
        chosen=chosen,
        reason=reason,
        known=known,
        confidence=confidence,
        risk_cuts=(f"2008-10-0{1 + at % 9}: drawdown of 31.2 % above max_drawdown = 30 %: flat",)
        * (at % 3),
        fills=int(np.count_nonzero(costs)),
    )


def _learn(
    noise: np.random.Generator, chosen: np.ndarray, reason: np.ndarray, known: np.ndarray
) -> None:
    """Let knowledge arrive, and choices settle as it does."""
    rounds, symbols = chosen.shape
    for number in range(rounds):
        known[number] = min(5 * number, 5 * max(0, number - 1) + int(noise.integers(0, 6)))
        trust = 0.75 * (1 - np.exp(-number / 25))
        draw = noise.random(symbols)
        reason[number] = np.select(
            [draw < trust, draw < trust + 0.05, known[number] > 0],
            [int(Reason.APPLIED), int(Reason.WITHHELD), int(Reason.ABSTAINED)],
            int(Reason.NO_MEMORY),
        )
        favourite = 1 + (number // 30) % (chosen.max())
        chosen[number] = np.where(draw < trust, favourite, chosen[number])


def fake_patterns() -> list[dict[str, Any]]:
    """Five patterns, as ``machines`` explain them."""
    made = []
    for place, (approach, words) in enumerate(
        [
            (KINDS["momentum"][1], {"trend": "rising", "volatility": "low", "drawdown": "shallow"}),
            ("flat", {"trend": "falling", "volatility": "high", "drawdown": "deep"}),
            (KINDS["mean_reversion"][1], {"trend": "sideways", "volatility": "normal"}),
            (KINDS["breakout"][0], {"trend": "rising", "volatility": "high"}),
            (KINDS["neural_forecast"][2], {"trend": "sideways", "volatility": "low"}),
        ]
    ):
        context = ", ".join(f"{name} {word}" for name, word in words.items())
        success = 0.66 - 0.04 * place
        usage, recency, similarity = 0.93 - 0.05 * place, 0.81 - 0.1 * place, 0.9 - 0.07 * place
        made.append(
            {
                "sentence": f"With {context}, {approach} was chosen because it beat the benchmark "
                f"in {100 * success:.0f} % of {143 - 20 * place} outcomes of 5 agents.",
                "approach": approach,
                "context_words": words,
                "applied": 212 - 31 * place,
                "mean_excess": 0.21 - 0.03 * place,
                "lower_bound": 0.12 - 0.02 * place,
                "outcomes": 143 - 20 * place,
                "agents": [f"agent-{at:02d}" for at in range(5)],
                "realised_excess": 0.15 - 0.05 * place,
                "realised_interval": [0.05 - 0.05 * place, 0.25 - 0.05 * place],
                "confidence": {
                    "total": 0.4 * success + 0.3 * usage + 0.2 * recency + 0.1 * similarity,
                    "success": success,
                    "usage": usage,
                    "recency": recency,
                    "similarity": similarity,
                },
            }
        )
    return made


def fake_report(arms: list[ArmSeries], **changes: Any) -> dict[str, Any]:
    """The report.json of these arms."""
    import dataclasses

    reports = {arm.name: arm_report(arm, cash_usd=CASH_USD, learn_fraction=0.5) for arm in arms}
    main = reports.get("on", reports.get("off", {}))
    first, last = arms[0].times[0], arms[0].times[-1]
    by_name = {arm.name: arm for arm in arms}
    comparison = None
    if len(arms) == 2:
        _, bar = walk_forward_start(by_name["on"], 0.5)
        found = compare(on=by_name["on"], off=by_name["off"], first_bar=bar)
        comparison = dataclasses.asdict(found)
    report: dict[str, Any] = {
        "run_id": "20260101-120000-7f3a",
        "config": {
            "seed": 7,
            "shell": "ray",
            "swarm": {"agents": len(arms[0].agents), "topology": "mesh", "kinds": list(KINDS)},
            "data": {"source": "bundled", "paths": [], "start": None, "repair": False},
            "trading": {
                "block_bars": arms[0].block_bars,
                "cash_usd": CASH_USD,
                "learn_fraction": 0.5,
                "costs": {"fee_bps": 1.0, "slippage_bps": 4.0},
            },
            "memory": {"mode": "compare", "withheld_fraction": 0.05},
        },
        "data": {
            "symbols": list(arms[0].agents[0].symbols),
            "bars": len(arms[0].times),
            "from": str(first.astype("datetime64[D]")),
            "to": str(last.astype("datetime64[D]")),
            "source": "bundled",
        },
        "agents": main["agents"],
        "swarm": main["swarm"],
        "memory": {**main["memory"], "patterns": 214, "trajectories": 765},
        "comparison": comparison,
        "patterns": fake_patterns() if "on" in by_name else [],
        "arms": reports,
        "timing": {
            "ray_init_s": 3.214,
            "swarm_ready_s": 4.9021,
            "replay_s": 31.7,
            "bar_decisions_per_s": 5_034.2,
        },
        "faults": {"restarts": 0, "retries": 0},
    }
    report["digest"] = digest({key: report[key] for key in ("config", "data", "agents", "arms")})
    return {**report, **changes}
