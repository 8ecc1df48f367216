"""The comparison of memory on and off: what it measures, and what it refuses to claim."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from swarm_runtime.report import compare as module
from swarm_runtime.report.compare import MINIMUM_BARS, Comparison, compare
from swarm_runtime.report.series import AgentSeries, ArmSeries
from swarm_runtime.report.years import bars_per_year
from tests.unit.report.fake_runs import trading_days

START = 10_000_000


def arm(name: str, returns: np.ndarray, costs: np.ndarray | None = None) -> ArmSeries:
    """An arm whose agents had these returns before costs, shape (agents, bars)."""
    agents = []
    for at, row in enumerate(np.atleast_2d(returns)):
        paid = np.zeros(len(row), dtype=np.int64) if costs is None else costs
        equity = np.rint(START * np.cumprod(1 + row)).astype(np.int64) - np.cumsum(paid)
        agents.append(
            AgentSeries(
                agent=f"agent-{at}",
                kind="momentum",
                symbols=("A",),
                candidates=("flat", "long"),
                first_bar=0,
                equity_cents=equity,
                cost_cents=paid,
                trade_bar=np.zeros(0, dtype=np.int64),
                trade_pnl_cents=np.zeros(0, dtype=np.int64),
                chosen=np.zeros((1, 1), dtype=np.int16),
                reason=np.zeros((1, 1), dtype=np.int8),
                known=np.zeros(1, dtype=np.int64),
                confidence=np.full((1, 1), np.nan),
                risk_cuts=(),
                fills=0,
            )
        )
    bars = np.atleast_2d(returns).shape[1]
    return ArmSeries(name=name, times=trading_days(bars), block_bars=21, agents=tuple(agents))


def noise(seed: int, bars: int = 800, scale: float = 0.01) -> np.ndarray:
    return np.random.Generator(np.random.Philox(seed)).standard_t(4, bars) * scale


def test_arms_that_did_the_same_show_no_effect_and_an_interval_of_zero() -> None:
    same = noise(1)
    found = compare(on=arm("on", same), off=arm("off", same), first_bar=400)
    assert found.verdict == "no effect shown"
    assert found.interval == found.gross_interval == found.cost_interval == (0.0, 0.0)
    assert found.difference == found.smallest_effect == found.sharpe_difference == 0.0
    assert "did the same in all 400 bars" in found.sentence


def test_a_large_gain_is_shown_as_help_and_its_mirror_as_harm() -> None:
    base = noise(1)
    better = arm("on", base + 0.002 + noise(2, scale=0.001))
    plain = arm("off", base)
    helped = compare(on=better, off=plain, first_bar=1)
    assert helped.verdict == "helps"
    assert helped.interval is not None
    assert helped.interval[0] > 0
    assert helped.difference == pytest.approx(0.002 * 252, rel=0.1)
    assert helped.sentence.startswith("Memory helps: +5")
    hurt = compare(on=plain, off=better, first_bar=1)
    assert hurt.verdict == "hurts"
    assert hurt.interval == (-helped.interval[1], -helped.interval[0])


def test_a_gain_before_the_first_bar_compared_does_not_count() -> None:
    base = noise(1)
    early = np.where(np.arange(800) < 400, base + 0.01, base)
    found = compare(on=arm("on", early), off=arm("off", base), first_bar=400)
    assert found.bars == 400
    assert abs(found.difference) < 1e-4  # whole cents of a larger account, and nothing else


def test_the_swarm_is_the_sum_of_its_agents() -> None:
    rows = np.stack([noise(1), noise(2)])
    lifted = rows + np.array([[0.001], [0.0]])
    found = compare(on=arm("on", lifted), off=arm("off", rows), first_bar=1)
    on, off = (np.cumprod(1 + part, axis=1).sum(axis=0) for part in (lifted, rows))
    expected = np.mean(on[1:] / on[:-1] - off[1:] / off[:-1]) * 252
    assert found.difference == pytest.approx(expected, abs=1e-6)


def test_saved_costs_are_told_apart_from_better_choices() -> None:
    base = noise(3, scale=0.001)
    fees = np.full(800, 1_000, dtype=np.int64)  # one basis point of the start, each bar
    found = compare(on=arm("on", base), off=arm("off", base, fees), first_bar=1)
    assert found.cost_difference == pytest.approx(0.0001 * 252, rel=0.1)
    assert abs(found.gross_difference) < 0.1 * found.cost_difference
    assert found.gross_difference + found.cost_difference == pytest.approx(
        found.difference, abs=2e-10
    )


def test_the_sharpe_difference_is_that_of_the_two_swarms() -> None:
    on, off = noise(1), noise(2)
    found = compare(on=arm("on", on), off=arm("off", off), first_bar=1)
    sharpes = [row[1:].mean() / row[1:].std(ddof=1) * 252**0.5 for row in (on, off)]
    assert found.sharpe_difference == pytest.approx(sharpes[0] - sharpes[1], abs=1e-4)


def test_the_smallest_effect_lies_beyond_the_half_width_of_the_interval() -> None:
    base = noise(1)
    found = compare(on=arm("on", base + noise(2)), off=arm("off", base), first_bar=1)
    assert found.verdict == "no effect shown"
    assert found.interval is not None
    assert found.smallest_effect is not None
    half = (found.interval[1] - found.interval[0]) / 2
    normal = 2.5758 + 0.8416
    assert found.smallest_effect > half
    # With close to normal tails it is (z of the level + z of the power) standard errors.
    error = (found.smallest_effect - half) / 0.8416
    assert found.smallest_effect == pytest.approx(normal * error, rel=0.1)
    assert "80 % power" in found.sentence


def test_the_same_seed_gives_the_same_comparison_and_another_seed_nearly_the_same() -> None:
    on, off = arm("on", noise(1)), arm("off", noise(2))
    first, again = (compare(on=on, off=off, first_bar=1) for _ in range(2))
    other = compare(on=on, off=off, first_bar=1, seed=1)
    assert first == again
    assert first.interval != other.interval
    assert first.interval is not None
    assert other.interval is not None
    assert first.interval[0] == pytest.approx(other.interval[0], rel=0.1)


def test_few_bars_give_no_interval_and_no_claim() -> None:
    on, off = arm("on", noise(1, 40) + 0.05), arm("off", noise(2, 40))
    found = compare(on=on, off=off, first_bar=40 - MINIMUM_BARS + 1)
    assert found.bars == MINIMUM_BARS - 1
    assert found.interval is found.smallest_effect is None
    assert found.verdict == "no effect shown"
    assert "too few" in found.sentence
    assert compare(on=on, off=off, first_bar=40).bars == 0
    assert compare(on=on, off=off, first_bar=40 - MINIMUM_BARS).interval is not None


def test_a_swarm_that_lost_everything_is_compared_all_the_same() -> None:
    ruin = np.where(np.arange(800) == 500, -1.0, noise(1))
    found = compare(on=arm("on", ruin), off=arm("off", noise(1)), first_bar=400)
    assert np.isfinite(found.difference)


def test_a_single_bar_of_difference_is_no_effect() -> None:
    base = noise(1)
    once = base.copy()
    once[600] += 0.05
    found = compare(on=arm("on", once), off=arm("off", base), first_bar=400)
    assert found.verdict == "no effect shown"


def test_every_figure_is_json_and_rounded() -> None:
    found = compare(on=arm("on", noise(1)), off=arm("off", noise(2)), first_bar=1)
    plain = json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))
    for name, value in plain.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float):
                assert number == round(number, 10), name


def test_arms_that_do_not_belong_together_are_refused() -> None:
    on = arm("on", noise(1))
    with pytest.raises(ValueError, match="same bars"):
        compare(on=on, off=arm("off", noise(1, 700)), first_bar=0)
    with pytest.raises(ValueError, match="2 agents"):
        compare(on=on, off=arm("off", np.stack([noise(1), noise(2)])), first_bar=0)
    with pytest.raises(ValueError, match="first_bar = 801"):
        compare(on=on, off=on, first_bar=801)


def test_the_standard_error_is_that_of_newey_and_west() -> None:
    sample = np.random.Generator(np.random.Philox(4)).standard_normal((200, 2)).cumsum(axis=0)
    lags, centred = 7, sample - sample.mean(axis=0)
    variance = (centred * centred).sum(axis=0)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] * centred[:-lag]).sum(axis=0)
    assert module._standard_error(sample.T, lags) == pytest.approx(np.sqrt(variance) / 200)


def test_false_alarms_are_rare() -> None:
    """Autocorrelated, heavy-tailed differences with blocks of exact zeros, without any effect."""
    alarms = 0
    for seed in range(40):
        random = np.random.Generator(np.random.Philox(key=[seed, 99]))
        shocks = random.standard_t(4, 420) * 0.002
        acts = np.repeat(random.random(20) < 0.4, 21)
        base = noise(1000 + seed, 420)
        change = acts * (shocks + 0.3 * np.concatenate([[0.0], shocks[:-1]]))
        found = compare(on=arm("on", base + change), off=arm("off", base), first_bar=1)
        alarms += found.verdict != "no effect shown"
    assert alarms <= 2


def test_a_comparison_cannot_be_changed() -> None:
    found = compare(on=arm("on", noise(1)), off=arm("off", noise(1)), first_bar=1)
    assert isinstance(found, Comparison)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.verdict = "helps"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (trading_days(600), 252.0),
        (np.arange("2020-01-01", "2021-06-01", dtype="M8[D]"), 365.0),
        (np.arange("2015-01-02", "2020-01-01", 7, dtype="M8[D]"), 365.25 / 7),
        (trading_days(1), 252.0),
        (
            (trading_days(50)[:, None] + np.arange(14, 21).astype("m8[h]")[None, :]).ravel(),
            252.0 * 7,
        ),
        (np.arange("2024-01-01T00", "2024-03-01T00", dtype="M8[h]"), 365.0 * 24),
    ],
    ids=["exchange days", "every day", "weeks", "one bar", "seven hours", "every hour"],
)
def test_the_number_of_bars_in_a_year_follows_from_their_times(
    times: np.ndarray, expected: float
) -> None:
    assert bars_per_year(times.astype("datetime64[s]")) == pytest.approx(expected)
