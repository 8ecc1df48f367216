"""From series to the report's figures: each period on its own, nothing undefined made up."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from swarm_runtime.memory.choice.ranking import Reason
from swarm_runtime.report.digest import canonical_json
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.report.summary import arm_report, rounded, swarm_cents, walk_forward_start
from tests.unit.report.fake_runs import CASH_USD, fake_arm

CASH_CENTS = round(CASH_USD * 100)


def report_of(arm: ArmSeries, learn_fraction: float = 0.5) -> dict:
    return arm_report(arm, cash_usd=CASH_USD, learn_fraction=learn_fraction)


def with_first_agent(arm: ArmSeries, **changes: object) -> ArmSeries:
    first, *others = arm.agents
    changed: AgentSeries = dataclasses.replace(first, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(arm, agents=(changed, *others))


def test_the_period_learnt_on_is_the_share_of_rounds_rounded_down() -> None:
    arm = fake_arm("on", bars=21 * 11 + 4)  # twelve rounds, the last one short
    assert walk_forward_start(arm, 0.5) == (6, 126)
    assert walk_forward_start(arm, 0.49) == (5, 105)


def test_the_whole_run_is_its_two_periods_put_together() -> None:
    arm = fake_arm("on", bars=900)
    report = report_of(arm)
    for results in (*report["agents"], report["swarm"]):
        learnt, after = results["learnt"], results["walk_forward"]
        for key in ("decisions", "trades", "costs_usd"):
            assert learnt[key] + after[key] == pytest.approx(results[key])
        growth = (1 + learnt["total_return"]) * (1 + after["total_return"])
        assert growth - 1 == pytest.approx(results["total_return"])
        assert results["max_drawdown"] <= min(learnt["max_drawdown"], after["max_drawdown"])


def test_returns_count_from_the_starting_capital() -> None:
    arm = fake_arm("on", bars=900)
    report = report_of(arm)
    for agent, results in zip(arm.agents, report["agents"], strict=True):
        expected = int(agent.equity_cents[-1]) / CASH_CENTS - 1
        assert results["total_return"] == pytest.approx(expected)
        path = np.concatenate([[CASH_CENTS], agent.equity_cents])
        returns = np.diff(path) / path[:-1]
        sharpe = returns.mean() / returns.std(ddof=1) * np.sqrt(252)
        assert results["sharpe"] == pytest.approx(sharpe)


def test_the_swarm_is_the_sum_of_its_agents() -> None:
    arm = fake_arm("on", bars=900)
    report = report_of(arm)
    equity, costs = swarm_cents(arm)
    assert report["swarm"]["total_return"] == pytest.approx(int(equity[-1]) / (5 * CASH_CENTS) - 1)
    assert report["swarm"]["costs_usd"] == pytest.approx(int(costs.sum()) / 100)
    for key in ("decisions", "trades", "fills", "risk_cuts"):
        assert report["swarm"][key] == sum(agent[key] for agent in report["agents"])
    assert report["swarm"]["decisions"] == 900 * 5 * 5


def test_a_trade_belongs_to_the_period_in_which_it_was_closed() -> None:
    arm = fake_arm("on", bars=420)
    split = walk_forward_start(arm, 0.5)[1]
    arm = with_first_agent(
        arm,
        trade_bar=np.array([split - 1, split, split + 1]),
        trade_pnl_cents=np.array([5_00, -2_00, 4_00]),
    )
    first = report_of(arm)["agents"][0]
    assert first["learnt"]["trades"] == 1
    assert first["walk_forward"]["trades"] == 2
    assert first["walk_forward"]["win_rate_per_trade"] == 0.5
    assert first["walk_forward"]["profit_factor_per_trade"] == 2.0


def test_what_is_not_defined_is_none() -> None:
    arm = with_first_agent(
        fake_arm("on", bars=420),
        equity_cents=np.full(420, CASH_CENTS),
        trade_bar=np.zeros(0, dtype=np.int64),
        trade_pnl_cents=np.zeros(0, dtype=np.int64),
    )
    first = report_of(arm)["agents"][0]
    for part in (first, first["learnt"], first["walk_forward"]):
        assert part["total_return"] == part["max_drawdown"] == 0.0
        for key in ("sharpe", "sortino", "win_rate_per_trade", "profit_factor_per_trade"):
            assert part[key] is None, key


def test_a_run_shorter_than_a_block_has_an_empty_period_and_still_a_report() -> None:
    report = report_of(fake_arm("on", bars=15))
    assert report["swarm"]["learnt"]["decisions"] == 0
    assert report["swarm"]["learnt"]["total_return"] is None
    assert report["swarm"]["walk_forward"]["total_return"] == report["swarm"]["total_return"]


def test_the_memorys_answers_are_counted_by_reason() -> None:
    arm = fake_arm("on", agents=2, bars=210)
    reasons = np.full((10, 5), int(Reason.ABSTAINED), dtype=np.int8)
    reasons[0], reasons[1, :3] = int(Reason.NO_MEMORY), int(Reason.WITHHELD)
    reasons[2:6], reasons[:, 4] = int(Reason.APPLIED), int(Reason.NOT_TRADABLE)
    confidence = np.where(reasons == int(Reason.APPLIED), 0.75, np.nan)
    agents = tuple(
        dataclasses.replace(agent, reason=reasons, confidence=confidence) for agent in arm.agents
    )
    memory = report_of(dataclasses.replace(arm, agents=agents))["memory"]
    assert memory == {
        "choices": 80,
        "recommendations": 32,
        "abstentions": 34,
        "withheld": 6,
        "no_memory": 8,
        "explored": 48,
        "reuse_rate": 0.4,
        "mean_confidence": 0.75,
    }


def test_without_memory_nothing_was_recommended() -> None:
    memory = report_of(fake_arm("off"))["memory"]
    assert memory["recommendations"] == memory["abstentions"] == memory["withheld"] == 0
    assert memory["no_memory"] == memory["explored"] == memory["choices"]
    assert memory["reuse_rate"] == 0.0
    assert memory["mean_confidence"] is None


def test_a_report_is_canonical_json_with_ten_digits() -> None:
    report = report_of(fake_arm("on", bars=900))
    canonical_json(report)

    def check(value: object) -> None:
        if isinstance(value, dict):
            for inner in value.values():
                check(inner)
        elif isinstance(value, list):
            for inner in value:
                check(inner)
        elif isinstance(value, float):
            assert value == round(value, 10)

    check(json.loads(json.dumps(report)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1 / 3, 0.3333333333),
        (-1e-12, 0.0),
        (float("nan"), None),
        (float("inf"), None),
        (None, None),
    ],
)
def test_rounding_leaves_nothing_that_json_lacks(
    value: float | None, expected: float | None
) -> None:
    assert rounded(value) == expected
    assert str(rounded(value)) != "-0.0"
