"""What the charts are drawn from: small, and still true."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from swarm_runtime.report.curves import LETTERS, chart_data, drawdown, spread
from swarm_runtime.report.series import ArmSeries
from tests.unit.report.fake_runs import CASH_USD, fake_arm


def data_of(*arms: ArmSeries) -> dict:
    return chart_data(arms, cash_usd=CASH_USD, learn_fraction=0.5)


def test_a_short_run_is_drawn_bar_by_bar() -> None:
    arm = fake_arm("on", bars=700)
    data = data_of(arm)
    assert np.array_equal(np.cumsum(data["times"]), arm.times.astype(np.int64))
    for at, agent in enumerate(arm.agents):
        drawn = np.cumsum(data["arms"][0]["agents"][at]["equity"]) / 10_000
        assert drawn == pytest.approx(agent.equity_cents / (CASH_USD * 100) - 1, abs=5.1e-5)
    total = sum(agent.equity_cents for agent in arm.agents) / (5 * CASH_USD * 100) - 1
    assert np.cumsum(data["arms"][0]["swarm"]["equity"]) / 10_000 == pytest.approx(
        total, abs=5.1e-5
    )


def test_a_long_run_is_thinned_and_keeps_its_end_and_its_deepest_drawdown() -> None:
    arm = fake_arm("on", agents=1, bars=9_002)
    data = data_of(arm)
    drawn = data["arms"][0]["agents"][0]
    assert len(data["times"]) == len(drawn["equity"]) <= 4_000
    equity = arm.agents[0].equity_cents
    assert np.cumsum(data["times"])[-1] == arm.times[-1].astype(np.int64)
    assert np.cumsum(drawn["equity"])[-1] / 10_000 == pytest.approx(
        equity[-1] / (CASH_USD * 100) - 1, abs=5.1e-5
    )
    deepest = drawdown(equity, round(CASH_USD * 100)).min()
    assert np.cumsum(drawn["drawdown"]).min() / 10_000 == pytest.approx(deepest, abs=5.1e-5)


def test_fifty_agents_over_eight_thousand_bars_stay_small() -> None:
    arms = [fake_arm(name, agents=50, bars=8_000) for name in ("on", "off")]
    assert len(json.dumps(data_of(*arms), separators=(",", ":"))) < 2_000_000


def test_more_agents_than_are_shown_still_count_in_the_swarm() -> None:
    arm = fake_arm("on", agents=53, bars=300)
    data = data_of(arm)
    assert len(data["agents"]) == len(data["arms"][0]["choices"]) == 50
    end = np.sum(data["arms"][0]["swarm"]["equity"]) / 10_000
    total = sum(int(agent.equity_cents[-1]) for agent in arm.agents) / (53 * CASH_USD * 100) - 1
    assert end == pytest.approx(total, abs=5.1e-5)


def test_the_letters_of_a_cell_are_its_choice_its_reason_and_its_confidence() -> None:
    arm = fake_arm("on", bars=700)
    agent = arm.agents[0]
    letters = data_of(arm)["arms"][0]["choices"][0]
    rounds = len(agent.chosen)
    for symbol in range(len(agent.symbols)):
        for number in range(rounds):
            at = symbol * rounds + number
            assert LETTERS.find(letters["chosen"][at]) == agent.chosen[number, symbol]
            assert LETTERS.find(letters["reason"][at]) == agent.reason[number, symbol]
            sure = agent.confidence[number, symbol]
            found = LETTERS.find(letters["confidence"][at])
            assert found == (-1 if np.isnan(sure) else round(sure * 61))


def test_an_agent_that_knows_all_has_a_share_of_one() -> None:
    arm = fake_arm("on", agents=4, bars=210)
    rounds = np.arange(10)
    all_known = tuple(
        dataclasses.replace(agent, known=rounds * (4 if at else 1))
        for at, agent in enumerate(arm.agents)
    )
    shares = spread(dataclasses.replace(arm, agents=all_known))
    assert shares.shape == (9, 4)
    assert np.array_equal(shares[:, 1:], np.ones((9, 3)))
    # A quarter of the first round; after that it lacks more than a whole round.
    assert np.array_equal(shares[:, 0], [0.25, *np.zeros(8)])


def test_the_parts_of_a_rounds_choices_add_up() -> None:
    arm = fake_arm("on", agents=2)
    use = data_of(arm)["arms"][0]["use"]
    assert set(use) == {"applied", "abstained", "withheld"}
    reasons = np.concatenate([agent.reason for agent in arm.agents], axis=1)
    asked = (reasons > 0).sum(axis=1) / (reasons >= 0).sum(axis=1)
    assert np.sum(list(use.values()), axis=0) / 10_000 == pytest.approx(asked, abs=2e-4)


def test_without_memory_nothing_spreads() -> None:
    arm = data_of(fake_arm("off"))["arms"][0]
    assert arm["spread"] is None
    assert arm["choices"][0]["reason"] == arm["choices"][0]["confidence"] == ""
    assert set(arm["choices"][0]["chosen"]) == set("-01234")


def test_drawdown_counts_from_the_starting_capital() -> None:
    assert drawdown(np.array([90, 120, 60]), 100) == pytest.approx([-0.1, 0.0, -0.5])


def test_a_run_of_one_round_can_be_drawn() -> None:
    data = data_of(fake_arm("on", bars=15))
    assert len(data["rounds"]) == 1
    assert data["arms"][0]["spread"] is None
