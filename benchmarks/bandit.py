"""What a memory learns: contextual bandits made of data sets that scikit-learn and packages ship.

Each round shows one example's features as a context; the arms are the classes, and the reward is 1
if the arm is the example's class, else 0 (an excess of 1 or -1). Examples are drawn with
replacement. A memory looks good on what it has seen, so the figure that counts is the reward of the
*first pass*: rounds whose example was never shown before.

* ``choice``: each policy through a real bank in memory, beside LinUCB of a library (mabwiser) on
  features standardised with means and spreads of the whole set, which the bank doesn't have.
* ``change``: half-way all arms trade places. With and without forgetting.
* ``transfer``: a bank that knows another domain meets a new one. Related: the same classes seen in
  other examples. Unrelated: the arms mean something else there.

Settings were chosen on digits and wine. The others are as they came out.

    python -m benchmarks.bandit [choice|change|transfer ...] [--rounds 10000] [--seeds 5]
        [--sets digits,wine] [--policies blend,ucb] [--processes 2] [--json FILE]
"""

from __future__ import annotations

import argparse
import ast
import functools
import importlib.util
import json
import math
import os
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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

__all__ = ["DATA_SETS", "Examples", "Outcome", "play"]

Floats = npt.NDArray[np.float64]

TUNED_ON = ("digits", "wine")
POLICIES = ("blend", "ucb", "thompson", "linucb", "lower_bound", "confidence")
LIBRARY = ("mabwiser LinUCB 0.1", "mabwiser LinUCB 0.25", "mabwiser LinUCB 0.5")
#: Two-sided 95 % points of Student's t by degrees of freedom.
_T95 = (math.nan, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
#: Rounds of the new domain in ``transfer``, and of the one that is known.
_NEW, _KNOWN = 500, 2_000
#: Rounds at which time is taken are all but the first so many.
_WARM = 100


# --- data ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """A data set for classification.

    Attributes
    ----------
    contexts : list of mapping of str to float or str
        As a user would write them.
    features : ndarray of float64, shape (n, F)
        For the library: the same, standardised, with a constant.
    labels : ndarray of int64, shape (n,)
    """

    contexts: list[Context]
    features: Floats
    labels: npt.NDArray[np.int64]

    @property
    def arms(self) -> list[str]:
        """Names of the classes."""
        return [f"class {number}" for number in range(int(self.labels.max()) + 1)]


def _of_numbers(
    features: npt.NDArray[Any], labels: npt.NDArray[Any], names: Sequence[str] | None = None
) -> Examples:
    numbers = np.asarray(features, dtype=np.float64)
    called = list(names) if names is not None else [f"x{at}" for at in range(numbers.shape[1])]
    contexts: list[Context] = [dict(zip(called, row, strict=True)) for row in numbers.tolist()]
    return Examples(contexts, _standardised(numbers), np.asarray(labels, dtype=np.int64))


def _standardised(numbers: Floats) -> Floats:
    spread = numbers.std(axis=0)
    whole = (numbers - numbers.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    # Length one on average: on this scale mabwiser's own defaults do best.
    whole /= math.sqrt(whole.shape[1])
    return np.hstack([whole, np.full((len(whole), 1), 0.25)])


def _shipped(name: str) -> Callable[[], Examples]:
    def load() -> Examples:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        return _of_numbers(found.data, found.target, found.feature_names)

    return load


def _diabetes() -> Examples:
    """Patients by how far the disease went on: thirds. Much of it is noise."""
    from sklearn import datasets

    found = datasets.load_diabetes(scaled=False)
    thirds = np.digitize(found.target, np.quantile(found.target, [1 / 3, 2 / 3]))
    return _of_numbers(found.data, thirds, found.feature_names)


def _patches() -> Examples:
    """Which of two photographs, and which half of it, a patch is from, by its colours."""
    from sklearn import datasets

    rows, labels = [], []
    for image_at, image in enumerate(datasets.load_sample_images().images):
        height = image.shape[0] // 16 * 16
        width = image.shape[1] // 16 * 16
        blocks = image[:height, :width].reshape(height // 16, 16, width // 16, 16, 3)
        mean, spread = blocks.mean(axis=(1, 3)), blocks.std(axis=(1, 3))
        table = np.concatenate([mean, spread], axis=2)
        lower = np.arange(table.shape[0])[:, None] >= table.shape[0] // 2
        rows.append(table.reshape(-1, 6))
        labels.append(np.broadcast_to(2 * image_at + lower, table.shape[:2]).reshape(-1))
    names = [f"{what} {colour}" for what in ("mean", "spread") for colour in ("r", "g", "b")]
    return _of_numbers(np.concatenate(rows), np.concatenate(labels), names)


def _documentation() -> Examples:
    """Which package a function's documentation is from, by its first paragraph."""
    from sklearn.feature_extraction.text import HashingVectorizer

    texts: list[str] = []
    labels: list[int] = []
    for label, package in enumerate(("numpy", "scipy", "pandas", "sklearn", "ray")):
        found = sorted(set(_paragraphs(package)))
        chosen = np.random.default_rng(0).permutation(len(found))[:400]
        texts += [found[at] for at in chosen]
        labels += [label] * len(chosen)
    hashed = HashingVectorizer(n_features=128, norm="l2").transform(texts).toarray()
    features = np.hstack([hashed, np.full((len(texts), 1), 0.25)])
    return Examples([{"text": text} for text in texts], features, np.array(labels, dtype=np.int64))


def _paragraphs(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return []
    found = []
    for path in sorted(Path(spec.origin).parent.rglob("*.py")):
        if "test" in path.as_posix():
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                text = (ast.get_docstring(node) or "").split("\n\n")[0]
                # A package's own name would give it away.
                words = [word for word in text.split() if package not in word.lower()]
                if len(words) >= 8:
                    found.append(" ".join(words))
    return found


DATA_SETS: dict[str, Callable[[], Examples]] = {
    "digits": _shipped("digits"),
    "wine": _shipped("wine"),
    "iris": _shipped("iris"),
    "breast_cancer": _shipped("breast_cancer"),
    "diabetes": _diabetes,
    "patches": _patches,
    "documentation": _documentation,
}


@functools.cache
def _loaded(name: str) -> Examples:
    return DATA_SETS[name]()


# --- players ---------------------------------------------------------------------------------


class _Bank:
    """A bank, asked and told round by round."""

    def __init__(self, policy: str, **settings: Any) -> None:
        # Withholding measures what recommendations are worth and costs its share of the reward,
        # alike for every policy; here nothing is withheld.
        memory = MemorySettings(policy=policy, withheld_fraction=0.0, **settings)  # type: ignore[arg-type]
        self._bank = ReasoningBank.open(":memory:", settings=memory)
        self._round = 0

    def choose(
        self, examples: Examples, at: int, draws: tuple[float, float], domain: str | None = None
    ) -> int:
        arms = examples.arms
        found = self._bank.recommend(
            "classify",
            examples.contexts[at],
            arms,
            as_of=self._round,
            domain=domain,
            draws=draws,
            explain=False,
        )
        assert found.approach is not None
        return arms.index(found.approach)

    def learn(self, examples: Examples, at: int, arm: int, right: bool, domain: str = "") -> None:
        self._round += 1
        self._bank.record(
            Trajectory(
                id=str(self._round),
                agent="player",
                task_type="classify",
                approach=examples.arms[arm],
                context=examples.contexts[at],
                known_at_s=self._round,
                excess=1.0 if right else -1.0,
                verdict=1 if right else -1,
                domain=domain,
            )
        )

    def close(self) -> None:
        self._bank.close()


class _Library:
    """LinUCB of mabwiser, for comparison."""

    def __init__(self, alpha: float, examples: Examples) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        self._mab = MAB(examples.arms, LearningPolicy.LinUCB(alpha=alpha, l2_lambda=1.0))
        self._begun = False

    def choose(
        self, examples: Examples, at: int, draws: tuple[float, float], domain: str | None = None
    ) -> int:
        if not self._begun:
            return int(draws[0] * len(examples.arms))
        return examples.arms.index(str(self._mab.predict(examples.features[at : at + 1])))

    def learn(self, examples: Examples, at: int, arm: int, right: bool, domain: str = "") -> None:
        known = [examples.arms[arm]], [float(right)], examples.features[at : at + 1]
        (self._mab.partial_fit if self._begun else self._mab.fit)(*known)
        self._begun = True

    def close(self) -> None:
        pass


class _Random:
    """By lot."""

    def choose(
        self, examples: Examples, at: int, draws: tuple[float, float], domain: str | None = None
    ) -> int:
        return int(draws[0] * len(examples.arms))

    def learn(self, examples: Examples, at: int, arm: int, right: bool, domain: str = "") -> None:
        pass

    def close(self) -> None:
        pass


def _player(name: str, examples: Examples) -> _Bank | _Library | _Random:
    if name == "random":
        return _Random()
    if name.startswith("mabwiser"):
        return _Library(float(name.split()[-1]), examples)
    policy, _, option = name.partition(" ")
    return _Bank(policy, forgets=option != "never forgets")


# --- rounds ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of one player on one set with one seed.

    Attributes
    ----------
    what, data, player, seed : str, str, str, int
    mean : float
        Reward a round.
    first_pass : float
        Over rounds whose example was never shown before.
    quarters : list of float
        Of the rounds, the second half's: reward in each quarter of it.
    choose_ms, learn_ms : float
        Medians.
    """

    what: str
    data: str
    player: str
    seed: int
    mean: float
    first_pass: float
    quarters: list[float]
    choose_ms: float
    learn_ms: float


def play(job: tuple[str, str, str, int, int]) -> Outcome:
    """Play one game: (what, data set, player, seed, rounds)."""
    what, data, player_name, seed, rounds = job
    examples = _loaded(data)
    if what == "transfer":
        return _play_transfer(examples, data, player_name, seed)
    count = len(examples.arms)
    shown = np.random.default_rng([seed, 1]).integers(0, len(examples.labels), rounds)
    draws = np.random.default_rng([seed, 2]).random((rounds, 2))
    player = _player(player_name, examples)
    seen = np.zeros(len(examples.labels), dtype=np.bool_)
    right, first = np.zeros(rounds), np.zeros(rounds, dtype=np.bool_)
    times = np.zeros((rounds, 2))
    for turn, at in enumerate(shown.tolist()):
        start = time.perf_counter()
        arm = player.choose(examples, at, (float(draws[turn, 0]), float(draws[turn, 1])))
        chosen = time.perf_counter()
        moved = what == "change" and turn >= rounds // 2
        right[turn] = arm == (int(examples.labels[at]) + moved) % count
        player.learn(examples, at, arm, bool(right[turn]))
        times[turn] = chosen - start, time.perf_counter() - chosen
        first[turn], seen[at] = not seen[at], True
    player.close()
    choose_s, learn_s = np.median(times[min(_WARM, rounds // 2) :], axis=0)
    return Outcome(
        what=what,
        data=data,
        player=player_name,
        seed=seed,
        mean=float(right.mean()),
        first_pass=float(right[first].mean()),
        quarters=[float(part.mean()) for part in np.array_split(right[rounds // 2 :], 4)],
        choose_ms=1e3 * float(choose_s),
        learn_ms=1e3 * float(learn_s),
    )


def _play_transfer(examples: Examples, data: str, player_name: str, seed: int) -> Outcome:
    """Play the new domain after another one: nothing, a related or an unrelated one."""
    policy, _, before = player_name.partition(" after ")
    generator = np.random.default_rng([seed, 3])
    order = generator.permutation(len(examples.labels))
    old, new = order[: len(order) // 2], order[len(order) // 2 :]
    count = len(examples.arms)
    draws = np.random.default_rng([seed, 2]).random((_KNOWN + _NEW, 2))
    shown_old = old[generator.integers(0, len(old), _KNOWN)]
    shown_new = new[generator.integers(0, len(new), _NEW)]
    bank = _Bank(policy)
    if before != "nothing":
        turned = 1 if before == "an unrelated one" else 0
        for turn, at in enumerate(shown_old.tolist()):
            arm = bank.choose(examples, at, (float(draws[turn, 0]), float(draws[turn, 1])), "old")
            right = arm == (int(examples.labels[at]) + turned) % count
            bank.learn(examples, at, arm, right, "old")
    rewards, times = np.zeros(_NEW), np.zeros(_NEW)
    seen: set[int] = set()
    first = np.zeros(_NEW, dtype=np.bool_)
    for turn, at in enumerate(shown_new.tolist()):
        pair = draws[_KNOWN + turn]
        start = time.perf_counter()
        arm = bank.choose(examples, at, (float(pair[0]), float(pair[1])), "new")
        times[turn] = time.perf_counter() - start
        rewards[turn] = arm == int(examples.labels[at])
        bank.learn(examples, at, arm, bool(rewards[turn]), "new")
        first[turn] = at not in seen
        seen.add(at)
    bank.close()
    return Outcome(
        what="transfer",
        data=data,
        player=player_name,
        seed=seed,
        mean=float(rewards.mean()),
        first_pass=float(rewards[first].mean()),
        quarters=[float(part.mean()) for part in np.array_split(rewards, 4)],
        choose_ms=1e3 * float(np.median(times)),
        learn_ms=0.0,
    )


# --- tables ----------------------------------------------------------------------------------


def _interval(values: Sequence[float]) -> str:
    """Return a mean with its 95 % interval over seeds."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.3f}"
    point = _T95[len(values) - 1] if len(values) <= len(_T95) else 1.96
    half = point * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:.3f} ±{half:.3f}"


def _difference(mine: Sequence[Outcome], others: Sequence[Outcome]) -> str:
    """Return the paired difference of first-pass rewards, seed by seed."""
    other = {one.seed: one.first_pass for one in others}
    values = [one.first_pass - other[one.seed] for one in mine if one.seed in other]
    return _interval(values) if values else "-"


def _players(what: str, policies: Sequence[str], library: bool) -> list[str]:
    if what == "choice":
        return [*policies, *(LIBRARY if library else ()), "random"]
    if what == "change":
        forgetting = [name for one in policies for name in (one, f"{one} never forgets")]
        return [*forgetting, *(LIBRARY[1:2] if library else ())]
    befores = ("nothing", "a related one", "an unrelated one")
    return [f"{one} after {before}" for one in policies for before in befores]


def _print(console: Console, what: str, found: Sequence[Outcome], rounds: int) -> None:
    seeds = len({one.seed for one in found})
    length = f"the first {_NEW} rounds" if what == "transfer" else f"{rounds} rounds"
    table = Table(title=f"{what}: {length}, {seeds} seeds, 95 % intervals")
    names = ["set", "player", "mean", "first pass", "against"]
    names += ["quarters"] if what != "choice" else []
    names += ["choose ms", "learn ms"]
    for name in names:
        table.add_column(name, justify="left" if name in ("set", "player") else "right")
    for data in dict.fromkeys(one.data for one in found):
        here = [one for one in found if one.data == data]
        by_player: dict[str, list[Outcome]] = {}
        for one in here:
            by_player.setdefault(one.player, []).append(one)
        against = _against(what, by_player)
        for player, mine in by_player.items():
            rival = against(player)
            row = [
                data + ("" if data not in TUNED_ON else " (tuned)"),
                player,
                _interval([one.mean for one in mine]),
                _interval([one.first_pass for one in mine]),
                _difference(mine, by_player[rival]) if rival and rival != player else "-",
            ]
            if what != "choice":
                quarters = np.mean([one.quarters for one in mine], axis=0)
                row.append(" ".join(f"{part:.2f}" for part in quarters))
            row.append(f"{statistics.median(one.choose_ms for one in mine):.2f}")
            row.append(f"{statistics.median(one.learn_ms for one in mine):.2f}")
            table.add_row(*row)
        table.add_section()
    console.print(table)
    console.print(_LEGENDS[what])


def _against(what: str, found: dict[str, list[Outcome]]) -> Callable[[str], str | None]:
    """Return which player each one is compared with."""
    if what == "choice":
        library = [name for name in found if name.startswith("mabwiser")]
        best = max(
            library,
            key=lambda name: statistics.fmean(one.first_pass for one in found[name]),
            default=None,
        )
        return lambda player: best
    if what == "change":
        return lambda player: f"{player} never forgets" if " " not in player else None
    return lambda player: f"{player.partition(' after ')[0]} after nothing"


_LEGENDS = {
    "choice": "against: first pass less that of the library's best row of this set, seed by seed "
    "(the library is given the best of its three settings in hindsight, the bank is not).",
    "change": "quarters: reward in each quarter after the change; against: without forgetting.",
    "transfer": "quarters: of these rounds; against: first pass less that of a bank that is new.",
}


def main() -> None:
    """Play all games and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="*", default=["choice", "change", "transfer"])
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=",".join(DATA_SETS))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--no-library", action="store_true", help="leave mabwiser out")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path, help="where to write all outcomes")
    given = parser.parse_args()
    policies = given.policies.split(",")
    jobs = [
        (what, data, player, seed, given.rounds)
        for what in given.what
        for data in given.sets.split(",")
        for player in _players(what, policies, not given.no_library)
        for seed in range(given.seeds)
    ]
    console = Console(width=150)
    with ProcessPoolExecutor(given.processes) as pool:
        progress = Console(stderr=True)
        found = []
        for one in track(pool.map(play, jobs), "games", total=len(jobs), console=progress):
            found.append(one)
            progress.print(f"{one.what} {one.data} {one.player} {one.seed}: {one.first_pass:.3f}")
    for what in given.what:
        _print(console, what, [one for one in found if one.what == what], given.rounds)
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
