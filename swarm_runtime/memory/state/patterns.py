"""Patterns as people read them: what was found out, by whom, how sure it is. Pure.

``PatternFold`` takes the outcomes of the log in its canonical order of time, (known_at_s, epoch,
agent), within an experience row by row. It keeps the counts of every pattern, actual and shadow
apart, and the report's confidence as a moving average: an outcome that teaches moves the success
and the usage part by old·(1-η) + new·η, where new is (successes + 1) / (verdicts + 2) and
n / (n + 3) after it; the first outcome sets them. The recency part changes without an outcome, so
it is read off when asked: 2^(-age of the newest outcome / half-life). The similarity part is 1,
for a pattern's own context. (The confidence is linear in its parts, so averaging the parts is
averaging the confidence.)

Above: ``bank``. Below: ``contexts``, ``ranking``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import REWARD_SCALE, Experience
from swarm_runtime.memory.choice.ranking import NEVER, recency_table
from swarm_runtime.memory.choice.recommendation import Confidence, in_words
from swarm_runtime.memory.records.contexts import Cell, ContextReader
from swarm_runtime.memory.records.pattern import pattern_id
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "Counts",
    "Explanation",
    "Outcome",
    "Pattern",
    "PatternFold",
    "PatternKey",
    "outcomes_of",
]

#: Domain, task type, approach, context cell.
PatternKey = tuple[str, str, str, Cell]

_DAY_S = 86_400
#: Standard errors on each side of the mean in a 95 % interval.
_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes of one sort.

    Attributes
    ----------
    trials, successes, failures : int
        Trials without a verdict are in neither of the last two.
    """

    trials: int
    successes: int
    failures: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """An approach to a type of task in a kind of context, and what is known of it.

    Attributes
    ----------
    id : str
        From what it is alone; the same wherever it is found.
    domain, task_type, approach : str
    context : mapping of str to str
        The context cell, in words.
    actual : Counts
        Outcomes of tries that were carried out.
    shadow : Counts
        Outcomes computed after the fact, for candidates that were not chosen.
    outcomes : int
        How many of them taught: all, or only the actual ones (a setting).
    mean_excess : float
        Mean excess reward of those, in standard deviations of an outcome.
    interval : tuple of two float
        95 % interval of it, with one pseudo-outcome of unit variance.
    confidence : Confidence
    agents : tuple of str
        Who found out.
    first_known_s, last_known_s : int
    """

    id: str
    domain: str
    task_type: str
    approach: str
    context: Mapping[str, str]
    actual: Counts
    shadow: Counts
    outcomes: int
    mean_excess: float
    interval: tuple[float, float]
    confidence: Confidence
    agents: tuple[str, ...]
    first_known_s: int
    last_known_s: int

    def sentence(self) -> str:
        """Return what it says, in words."""
        where = f" where {in_words(self.context)}" if self.context else ""
        successes = self.actual.successes + self.shadow.successes
        failures = self.actual.failures + self.shadow.failures
        agents = "1 agent" if len(self.agents) == 1 else f"{len(self.agents)} agents"
        return (
            f"{self.approach!r} at {self.task_type}{where}: {self.mean_excess:+.2f} σ a try above"
            f" the benchmark (95 % between {self.interval[0]:+.2f} and {self.interval[1]:+.2f}),"
            f" from outcomes of {agents}, {self.actual.trials} carried out and"
            f" {self.shadow.trials} computed after the fact, of which {successes} with success and"
            f" {failures} with failure;"
            f" confidence {self.confidence}."
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One outcome that a pattern rests on.

    Attributes
    ----------
    source : str
        The agent's epoch, or the trajectory's id.
    agent, subject : str
    known_at_s : int
    excess : float
        In standard deviations.
    verdict : int
    actual : bool
        Carried out, not computed after the fact.
    """

    source: str
    agent: str
    subject: str
    known_at_s: int
    excess: float
    verdict: int
    actual: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a pattern says what it says.

    Attributes
    ----------
    pattern : Pattern
    sentence : str
    outcomes : tuple of Outcome
        The newest first; those carried out before those computed after the fact.
    """

    pattern: Pattern
    sentence: str
    outcomes: tuple[Outcome, ...]


class _Tally:
    """A pattern while it is being folded."""

    __slots__ = (
        "actual",
        "agents",
        "approach",
        "cell",
        "domain",
        "failures",
        "first_s",
        "last_s",
        "outcomes",
        "reward",
        "shadow",
        "square",
        "success_part",
        "successes",
        "task_type",
        "usage_part",
    )

    def __init__(self, domain: str, task_type: str, approach: str, cell: Cell) -> None:
        self.domain, self.task_type, self.approach, self.cell = domain, task_type, approach, cell
        self.actual, self.shadow = [0, 0, 0], [0, 0, 0]
        self.outcomes = self.successes = self.failures = self.reward = self.square = 0
        self.success_part = self.usage_part = 0.0
        self.agents: set[str] = set()
        self.first_s = self.last_s = NEVER

    def learn(self, agent: str, known_at_s: int, excess: int, verdict: int, rate: float) -> None:
        """Take an outcome that teaches."""
        self.outcomes += 1
        self.successes += verdict > 0
        self.failures += verdict < 0
        self.reward += excess
        self.square += excess * excess
        self.agents.add(agent)
        self.last_s = known_at_s
        success = (self.successes + 1.0) / (self.successes + self.failures + 2.0)
        usage = self.outcomes / (self.outcomes + 3.0)
        if self.outcomes == 1:
            self.first_s = known_at_s
            self.success_part, self.usage_part = success, usage
        else:
            self.success_part = self.success_part * (1.0 - rate) + success * rate
            self.usage_part = self.usage_part * (1.0 - rate) + usage * rate

    def interval(self) -> tuple[float, float, float]:
        """Return mean excess and the ends of its 95 % interval; see ``ranking.estimate``."""
        mean = self.reward / self.outcomes
        spread = max(self.square / self.outcomes - mean * mean, 0.0) / REWARD_SCALE**2
        variance = (self.outcomes * spread + 1.0) / (self.outcomes + 1.0)
        width = _Z95 * math.sqrt(variance / self.outcomes)
        mean /= REWARD_SCALE
        return mean, mean - width, mean + width


class PatternFold:
    """Folds the log into patterns.

    Parameters
    ----------
    reader : ContextReader
        Of the bank's space.
    settings : MemorySettings
        Learning rate, half-life, and whether shadow outcomes teach.
    """

    def __init__(self, reader: ContextReader, settings: MemorySettings) -> None:
        self._reader = reader
        self._settings = settings
        self._tallies: dict[PatternKey, _Tally] = {}
        self._rows: dict[tuple[str, str, tuple[str, ...], int], list[_Tally]] = {}
        self._newest_s = NEVER
        self._left_out: frozenset[str] = frozenset()

    def leave_out(self, ids: frozenset[str]) -> None:
        """Say nothing of the patterns of some ids."""
        self._left_out = ids

    def add(self, record: Experience | Trajectory) -> None:
        """Take the next record of the log, in its order of time."""
        self._newest_s = record.known_at_s
        if isinstance(record, Trajectory):
            cell = self._reader.cell(record.context)
            tally = self._tally(record.domain, record.task_type, record.approach, cell)
            self._count(tally, record, record.excess_units, record.verdict, actual=True)
            return
        group = (record.domain, record.task_type, record.approaches)
        for place, chosen, excesses, verdicts in zip(
            record.cells.tolist(),
            record.chosen.tolist(),
            record.excess.tolist(),
            record.verdict.tolist(),
            strict=True,
        ):
            if chosen < 0:
                continue
            row = self._rows.get((*group, place))
            if row is None:
                cell = self._reader.numbered(place)
                row = [self._tally(*group[:2], approach, cell) for approach in record.approaches]
                self._rows[*group, place] = row
            for column, (tally, excess, verdict) in enumerate(
                zip(row, excesses, verdicts, strict=True)
            ):
                self._count(tally, record, excess, verdict, actual=column == chosen)

    def _tally(self, domain: str, task_type: str, approach: str, cell: Cell) -> _Tally:
        key = (domain, task_type, approach, cell)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally(*key)
        return tally

    def _count(
        self,
        tally: _Tally,
        record: Experience | Trajectory,
        excess: int,
        verdict: int,
        *,
        actual: bool,
    ) -> None:
        counts = tally.actual if actual else tally.shadow
        counts[0] += 1
        counts[1] += verdict > 0
        counts[2] += verdict < 0
        if actual or self._settings.shadow_teaches:
            rate = self._settings.learning_rate
            tally.learn(record.agent, record.known_at_s, excess, verdict, rate)

    def key(self, id_: str) -> PatternKey | None:
        """Return what the pattern of an id is; None if nothing is known of it."""
        for key, tally in self._tallies.items():
            if tally.outcomes and pattern_id(*key) == id_:
                return key
        return None

    @staticmethod
    def _key_of(tally: _Tally) -> PatternKey:
        return tally.domain, tally.task_type, tally.approach, tally.cell

    def patterns(self, as_of_s: int | None = None) -> list[Pattern]:
        """Return every pattern of which an outcome taught, by domain, task type, approach and id.

        Parameters
        ----------
        as_of_s : int or None
            The moment at which recency is read; None: that of the newest outcome.
        """
        now = self._newest_s if as_of_s is None else as_of_s
        recency = recency_table(self._settings.half_life_days)
        found: list[Pattern] = []
        for tally in self._tallies.values():
            if not tally.outcomes:
                continue
            if self._left_out and pattern_id(*self._key_of(tally)) in self._left_out:
                continue
            mean, low, high = tally.interval()
            age_days = min(max(0, (now - tally.last_s) // _DAY_S), len(recency) - 1)
            found.append(
                Pattern(
                    id=pattern_id(tally.domain, tally.task_type, tally.approach, tally.cell),
                    domain=tally.domain,
                    task_type=tally.task_type,
                    approach=tally.approach,
                    context=self._reader.words(tally.cell),
                    actual=Counts(*tally.actual),
                    shadow=Counts(*tally.shadow),
                    outcomes=tally.outcomes,
                    mean_excess=mean,
                    interval=(low, high),
                    confidence=Confidence(
                        success=tally.success_part,
                        usage=tally.usage_part,
                        recency=float(recency[age_days]),
                        similarity=1.0,
                    ),
                    agents=tuple(sorted(tally.agents)),
                    first_known_s=tally.first_s,
                    last_known_s=tally.last_s,
                )
            )
        return sorted(found, key=lambda one: (one.domain, one.task_type, one.approach, one.id))


def outcomes_of(
    record: Experience | Trajectory, key: PatternKey, reader: ContextReader
) -> list[Outcome]:
    """Return the outcomes in a record that a pattern rests on."""
    domain, task_type, approach, cell = key
    if (record.domain, record.task_type) != (domain, task_type):
        return []
    if isinstance(record, Trajectory):
        if record.approach != approach or reader.cell(record.context) != cell:
            return []
        excess = record.excess_units / REWARD_SCALE
        source, known = f"trajectory {record.id}", record.known_at_s
        return [Outcome(source, record.agent, record.id, known, excess, record.verdict, True)]
    number = reader.number(reader.centre(cell))
    if approach not in record.approaches or number is None:
        return []
    column = record.approaches.index(approach)
    return [
        Outcome(
            source=f"epoch {record.epoch} of {record.agent}",
            agent=record.agent,
            subject=subject,
            known_at_s=record.known_at_s,
            excess=int(record.excess[row, column]) / REWARD_SCALE,
            verdict=int(record.verdict[row, column]),
            actual=int(record.chosen[row]) == column,
        )
        for row, subject in enumerate(record.subjects)
        if int(record.cells[row]) == number and int(record.chosen[row]) >= 0
    ]
