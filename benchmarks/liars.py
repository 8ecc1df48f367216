"""What liars do to the others' reward, with trust and without, and who is suspected wrongly.

Ten agents in turn share one bank. Each meets a situation (eight numbers, around eighteen centres;
six approaches, of which one is right for each centre), asks the bank, acts and reports; one outcome
in ten is luck. Reward is 1 where the approach is right. The first of them lies:

* it follows the memory and says that all went well (or badly, or the opposite, or anything);
* it tries what it likes and says that all went well: at random, or always the same approach;
* it lies about one approach alone, or only in the second half, or three of them do it together.

"fall" is what the honest agents' reward loses against the same seeds without a liar, in points of
100. "found after" counts the liar's own reports until it counts for less than a quarter. Honest
oddities come last: an agent that explores blindly, one with the easiest situations and one with the
hardest, agents that each have situations of their own, one that comes late. They must keep their
weight: "suspected" is the share of times at which an honest agent counted for less.

    python -m benchmarks.liars [--rounds 4000] [--seeds 5] [--cases "praises what it tries,..."]
        [--processes 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from swarm_runtime.config import MemorySettings
from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.trajectory import Context, Trajectory
from swarm_runtime.memory.trust.agents import FULL_LEVEL

__all__ = ["CASES", "Case", "Outcome", "play"]

AGENTS = 10
APPROACHES = tuple(f"approach {letter}" for letter in "ABCDEF")
#: How often the weights are read.
_LOOKS = 80
#: Share of outcomes that are bad or good luck.
_LUCK = 0.1
_FEATURES, _CENTRES = 8, 18
_T95 = (math.nan, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: From what was right, the approach, how far the run is, and a draw, to what is reported.
Says = Callable[[bool, int, float, float], bool]


@dataclass(frozen=True)
class Case:
    """How some agents behave.

    Attributes
    ----------
    liars : tuple of int
    says : callable or None
        What liars report; None: the truth.
    tries : str
        What the odd agents try: ``memory`` (what the bank says), ``anything`` or ``one``.
    odd : tuple of int
        Honest agents of which one might think ill.
    situations : str
        Who meets which: ``all alike``, ``easy and hard`` (the first two), ``own`` or ``late`` (the
        first one comes half-way).
    """

    liars: tuple[int, ...] = ()
    says: Says | None = None
    tries: str = "memory"
    odd: tuple[int, ...] = ()
    situations: str = "all alike"


def _well(right: bool, approach: int, progress: float, draw: float) -> bool:
    return True


CASES: dict[str, Case] = {
    "nobody lies": Case(),
    "says success": Case((0,), _well),
    "says failure": Case((0,), lambda right, approach, progress, draw: False),
    "says the opposite": Case((0,), lambda right, approach, progress, draw: not right),
    "makes it up": Case((0,), lambda right, approach, progress, draw: draw < 0.5),
    "praises what it tries": Case((0,), _well, "anything"),
    "praises one approach": Case((0,), _well, "one"),
    "lies about one approach": Case(
        (0,), lambda right, approach, progress, draw: right or approach == 3, "anything"
    ),
    "praises in the second half": Case(
        (0,), lambda right, approach, progress, draw: right or progress > 0.5, "anything"
    ),
    "three praise one approach": Case((0, 1, 2), _well, "one"),
    "honest: explores blindly": Case(tries="anything", odd=(0,)),
    "honest: easy and hard": Case(odd=(0, 1), situations="easy and hard"),
    "honest: own situations": Case(odd=tuple(range(AGENTS)), situations="own"),
    "honest: comes late": Case(odd=(0,), situations="late"),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes
    ----------
    case, trust, seed : str, bool, int
    reward : float
        Of honest agents that do what the bank says, over all rounds.
    found_after : int or None
        Reports of the first liar until all liars counted for less than a quarter.
    last_levels : list of int
        Sixteenths by agent, at the end.
    liar_level : float
        Mean over the second half.
    suspected : float
        Share of looks at which an honest agent counted for less than all.
    why : list of str
        The bank's sentences at the end.
    """

    case: str
    trust: bool
    seed: int
    reward: float
    found_after: int | None
    last_levels: list[int]
    liar_level: float
    suspected: float
    why: list[str] = field(default_factory=list)


def _situations(rounds: int, seed: int, how: str) -> tuple[list[Context], Integers]:
    """Return who meets what in which round (agents in turn), and what is right there."""
    draw = np.random.default_rng([seed, 1])
    centres = draw.normal(size=(_CENTRES, _FEATURES))
    right = draw.permutation(np.arange(_CENTRES) % len(APPROACHES))
    which = draw.integers(0, _CENTRES, rounds)
    places = centres[which] + 0.4 * draw.normal(size=(rounds, _FEATURES))
    share = rounds // AGENTS
    if how == "easy and hard":
        order = np.argsort(np.square(places - centres[which]).sum(axis=1), kind="stable")
        groups = [order[:share], order[-share:]]
        groups += np.array_split(draw.permutation(order[share:-share]), AGENTS - 2)
    elif how == "own":
        groups = np.array_split(np.argsort(which, kind="stable"), AGENTS)
    else:
        groups = np.array_split(np.arange(rounds), AGENTS)
    turns = np.stack([draw.permutation(one)[:share] for one in groups], axis=1).reshape(-1)
    # Numbers on a scale of their own: the bank knows nothing of centres or standard deviations.
    shown = 10.0 ** (0.35 * places[turns])
    names = [f"feature {at:02}" for at in range(_FEATURES)]
    return [dict(zip(names, row, strict=True)) for row in shown.tolist()], right[which[turns]]


def play(job: tuple[str, bool, int, int]) -> Outcome:
    """Play one case: (its name, whether there is trust, seed, rounds)."""
    name, trust, seed, rounds = job
    case = CASES[name]
    contexts, right = _situations(rounds, seed, case.situations)
    rounds = len(contexts)
    draws = np.random.default_rng([seed, 2]).random((rounds, 5))
    settings = MemorySettings(trust=trust, withheld_fraction=0.0)
    odd = {*case.liars, *case.odd}
    levels: list[list[int]] = []
    told: list[int] = []
    rewards: list[bool] = []
    with ReasoningBank.open(":memory:", settings=settings) as bank:
        for turn in range(rounds):
            agent = turn % AGENTS
            if case.situations == "late" and agent == 0 and turn < rounds // 2:
                continue
            approach = _approach(bank, case, agent in odd, contexts[turn], turn, draws[turn])
            is_right = approach == right[turn]
            well = bool(is_right) != bool(draws[turn, 3] < _LUCK)
            if agent in case.liars:
                assert case.says is not None
                well = case.says(well, approach, turn / rounds, float(draws[turn, 4]))
            elif not (agent in odd and case.tries == "anything"):
                rewards.append(bool(is_right))
            bank.record(
                Trajectory(
                    id=f"{turn:06}",
                    agent=f"agent-{agent}",
                    task_type="act",
                    approach=APPROACHES[approach],
                    context=contexts[turn],
                    known_at_s=turn,
                    excess=1.0 if well else -1.0,
                    verdict=1 if well else -1,
                )
            )
            if trust and (turn + 1) % max(rounds // _LOOKS, 1) == 0:
                levels.append(_levels(bank, turn))
                told.append(turn // AGENTS + 1)
        why = [one.sentence() for one in bank.insight.doubts(as_of_s=rounds)] if trust else []
    return _outcome(name, trust, seed, float(np.mean(rewards)), case, levels, told, why)


def _approach(
    bank: ReasoningBank, case: Case, is_odd: bool, context: Context, turn: int, draws: Floats
) -> int:
    if is_odd and case.tries == "anything":
        return int(draws[2] * len(APPROACHES))
    if is_odd and case.tries == "one":
        return 3
    found = bank.recommend(
        "act",
        context,
        APPROACHES,
        as_of=turn,
        draws=(float(draws[0]), float(draws[1])),
        explain=False,
    )
    assert found.approach is not None
    return APPROACHES.index(found.approach)


def _levels(bank: ReasoningBank, turn: int) -> list[int]:
    doubts = {one.agent: one.level for one in bank.insight.doubts(as_of_s=turn)}
    return [doubts.get(f"agent-{agent}", FULL_LEVEL) for agent in range(AGENTS)]


def _outcome(
    name: str,
    trust: bool,
    seed: int,
    reward: float,
    case: Case,
    levels: Sequence[Sequence[int]],
    told: Sequence[int],
    why: list[str],
) -> Outcome:
    liars = list(case.liars)
    honest = [agent for agent in range(AGENTS) if agent not in case.liars]
    table = np.array(levels) if levels else np.full((1, AGENTS), FULL_LEVEL)
    below = [
        reports
        for reports, row in zip(told, table, strict=False)
        if liars and (row[liars] < FULL_LEVEL // 4).all()
    ]
    second = table[len(table) // 2 :]
    return Outcome(
        case=name,
        trust=trust,
        seed=seed,
        reward=reward,
        found_after=below[0] if below else None,
        last_levels=table[-1].tolist(),
        liar_level=float(second[:, liars].mean()) if liars else math.nan,
        suspected=float((table[:, honest] < FULL_LEVEL).mean()),
        why=why,
    )


def _interval(values: Sequence[float]) -> str:
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.1f}"
    point = _T95[len(values) - 1] if len(values) <= len(_T95) else 1.96
    return f"{mean:.1f} ±{point * statistics.stdev(values) / math.sqrt(len(values)):.1f}"


def _row(name: str, found: Sequence[Outcome]) -> list[str]:
    def rewards(case: str, trust: bool) -> dict[int, float]:
        return {
            one.seed: 100 * one.reward for one in found if (one.case, one.trust) == (case, trust)
        }

    cells = [name]
    for trust in (False, True):
        mine = rewards(name, trust)
        # An agent that explores or has situations of its own changes the game: no fall is due.
        base = rewards("nobody lies", trust) if CASES[name].liars else {}
        falls = [base[seed] - reward for seed, reward in sorted(mine.items()) if seed in base]
        cells += [
            _interval([mine[seed] for seed in sorted(mine)]),
            _interval(falls) if falls else "",
        ]
    with_trust = [one for one in found if one.case == name and one.trust]
    if CASES[name].liars:
        after = sorted(
            math.inf if one.found_after is None else one.found_after for one in with_trust
        )
        middle = after[len(after) // 2]
        cells.append("not found" if math.isinf(middle) else f"{middle:.0f}")
        cells.append(f"{statistics.fmean(one.liar_level for one in with_trust):.1f}")
    else:
        cells += ["", ""]
    cells.append(f"{statistics.fmean(one.suspected for one in with_trust):.2%}")
    return cells


def main() -> None:
    """Play all cases and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cases", default=",".join(CASES), help="names, with commas between them")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="where to write all outcomes")
    given = parser.parse_args()
    chosen = [name.strip() for name in given.cases.split(",")]
    unknown = [name for name in chosen if name not in CASES]
    if unknown:
        parser.error(f"no case is called {unknown[0]!r}; there are: {', '.join(CASES)}")
    names = list(dict.fromkeys(["nobody lies", *chosen]))
    jobs = [
        (name, trust, seed, given.rounds)
        for seed in range(given.seeds)
        for name in names
        for trust in (False, True)
    ]
    with ProcessPoolExecutor(given.processes) as pool:
        results = pool.map(play, jobs)
        found = list(track(results, "cases", total=len(jobs), console=Console(stderr=True)))
    table = Table(title=f"Ten agents, {given.rounds} rounds, {given.seeds} seeds, 95 % intervals")
    for column in (
        "case", "reward, no trust", "fall", "with trust", "fall", "found after", "weight /16",
        "suspected",
    ):  # fmt: skip
        is_name = column == "case"
        table.add_column(column, justify="left" if is_name else "right", no_wrap=is_name)
    for name in names:
        table.add_row(*_row(name, found))
    console = Console(width=max(Console().width, 120))
    console.print(table)
    example = next((one.why[0] for one in found if one.why), None)
    if example:
        console.print(f"For example: {example}")
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
