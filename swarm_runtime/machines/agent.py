"""The agent's machine: chooses, learns from outcomes, exchanges what it learnt with neighbours.

Its state is a *view* (which experiences have reached it); statistics are folded from those
experiences and can be folded anew at any time, so a checkpoint is the view alone. Content comes
from the log of the process it lives in.

Within a hop it answers from the view at the hop's start; what arrives waits in the inbox until the
hop closes. So the order of arrival changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import MemorySettings
from swarm_runtime.core.knowledge import View, merge_views
from swarm_runtime.core.lessons import LessonLog, Taught
from swarm_runtime.core.messages import (
    AgentEffect,
    AgentEvent,
    BlockTraded,
    HopClosed,
    HopOpened,
    MessageReceived,
    Publish,
    RoundOpened,
    Send,
    Trade,
)
from swarm_runtime.core.randomness import Purpose, draws
from swarm_runtime.core.topology import Delta, Topology
from swarm_runtime.judging import outcome
from swarm_runtime.memory.choice import safla
from swarm_runtime.memory.choice.ranking import (
    EVIDENCE,
    Choice,
    Reason,
    Statistics,
    explore,
    recency_table,
)
from swarm_runtime.memory.records.pattern import ContextSpace

__all__ = ["Agent", "AgentSpec", "Learning"]

#: The domain of every pattern that a trading agent learns.
DOMAIN = "trading"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """Who an agent is.

    Attributes
    ----------
    agent : str
        Its id.
    kind : str
        Its strategy's kind: the task type of what it learns.
    symbols : tuple of str, length S
    candidates : tuple of str, length K
        Approaches it chooses among.
    """

    agent: str
    kind: str
    symbols: tuple[str, ...]
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """What agents with a memory share: settings and the geometry of contexts.

    Attributes
    ----------
    settings : MemorySettings
    space : ContextSpace
        C cells.
    similarity : ndarray of float64, shape (C, C)
        From ``memory.embedding.cell_similarity``.
    recency : ndarray of float64
        From ``memory.ranking.recency_table``.
    """

    settings: MemorySettings
    space: ContextSpace
    similarity: npt.NDArray[np.float64]
    recency: npt.NDArray[np.float64]

    @classmethod
    def of(cls, settings: MemorySettings, space: ContextSpace) -> Learning:
        """Return what these settings and this space imply."""
        from swarm_runtime.memory.vectors.embedding import cell_similarity

        return cls(settings, space, cell_similarity(space), recency_table(settings.half_life_days))


class Agent:
    """One agent.

    Parameters
    ----------
    spec : AgentSpec
    seed : int
    log : LessonLog
        The process's content; it holds at least what this agent's view names.
    topology : Topology
    kinds : dict of str to str
        Every agent's kind: only experiences of its own kind teach an agent.
    learning : Learning or None
        None: the agent has no memory, and explores.
    """

    def __init__(
        self,
        spec: AgentSpec,
        *,
        seed: int,
        log: LessonLog,
        topology: Topology,
        kinds: dict[str, str],
        learning: Learning | None,
    ) -> None:
        self.spec = spec
        self._seed = seed
        self._log = log
        self._topology = topology
        self._learning = learning
        self._teachers = sorted(agent for agent, kind in kinds.items() if kind == spec.kind)
        self._view: View = {}
        self._inbox: list[Delta] = []
        self._statistics: Statistics | None = None
        self._folded: View = {}
        self._draft: safla.Draft | None = None

    @property
    def view(self) -> View:
        """Which experiences have reached this agent (a copy)."""
        return dict(self._view)

    def restore(self, view: View) -> None:
        """Go back to (or on from) a view, forgetting what is under way."""
        self._view = dict(view)
        self._inbox = []
        self._draft = None
        if any(count > view.get(agent, 0) for agent, count in self._folded.items()):
            self._statistics, self._folded = None, {}

    def handle(self, event: AgentEvent, now: int) -> list[AgentEffect]:
        """Return what is to be done.

        Parameters
        ----------
        event : AgentEvent
        now : int
            Market time, in seconds: nothing known later is used.

        Raises
        ------
        ValueError
            If a block's outcome comes for a round that wasn't opened.
        """
        match event:
            case RoundOpened():
                return [self._choose(event, now)]
            case BlockTraded():
                return self._learn_from(event, now)
            case HopOpened():
                messages = self._topology.open_hop(
                    self.spec.agent, event.cycle, event.hop, self._view
                )
                return [Send(message) for message in messages]
            case MessageReceived():
                if isinstance(event.message, Delta):
                    self._inbox.append(event.message)
                answers = self._topology.receive(self.spec.agent, event.message, self._view)
                return [Send(message) for message in answers]
            case HopClosed():
                self._merge_inbox()
                return []

    def _merge_inbox(self) -> None:
        for delta in self._inbox:
            # Ranges start at or below this view's counts, so no gap can come of taking the end.
            ends = {agent: until for agent, _, until in delta.ranges}
            self._view = merge_views(self._view, ends)
        self._inbox = []

    def _choose(self, event: RoundOpened, now: int) -> Trade:
        name = self.spec.agent
        count = len(self.spec.symbols)
        # The first draws are the same with and without a memory, so the two are paired.
        drawn = draws(self._seed, Purpose.CHOOSE, name, (event.cycle, 0), 2 * count)
        if self._learning is None:
            choice = explore(
                event.available, len(self.spec.candidates), drawn[:count], Reason.NO_MEMORY
            )
        else:
            choice = self._recall(event, now, drawn[:count], drawn[count:])
            self._draft = safla.observe(
                agent=name,
                domain=DOMAIN,
                task_type=self.spec.kind,
                approaches=self.spec.candidates,
                subjects=self.spec.symbols,
                context=event.context,
                cells=event.cells,
                choice=choice,
            )
        confidence = choice.evidence[:, EVIDENCE.index("confidence")].astype(np.float64)
        return Trade(choice.chosen, choice.reason, confidence)

    def _recall(
        self,
        event: RoundOpened,
        now: int,
        blind: npt.NDArray[np.float64],
        withhold: npt.NDArray[np.float64],
    ) -> Choice:
        assert self._learning is not None
        settings = self._learning.settings
        statistics = self._known_by(now)
        estimates = safla.adapt(
            statistics,
            event.cells,
            self._learning.similarity,
            self._learning.recency,
            now,
            copies=len(self._teachers) if settings.shadow_teaches else 1,
        )
        return safla.apply(estimates, settings, event.available, blind, withhold)

    def _known_by(self, now: int) -> Statistics:
        """Fold what has reached this agent, is of its kind and was known by ``now``."""
        assert self._learning is not None
        if self._statistics is None:
            self._statistics = Statistics(
                self._learning.space.cell_count, len(self.spec.candidates)
            )
        fresh: list[Taught] = []
        for teacher in self._teachers:
            after, until = self._folded.get(teacher, 0), self._view.get(teacher, 0)
            for taught in self._log.opened(teacher, after, until):
                # What is not yet known stays unfolded; an agent's outcomes become known in the
                # order of its epochs, so what is folded is always a prefix.
                if taught.known_at_s > now:
                    break
                after += 1
                fresh.append(taught)
            self._folded[teacher] = after
        if fresh:
            safla.learn(
                self._statistics,
                fresh,
                as_of_s=now,
                shadow_teaches=self._learning.settings.shadow_teaches,
            )
        return self._statistics

    def _learn_from(self, event: BlockTraded, now: int) -> list[AgentEffect]:
        if self._learning is None:
            return []
        if self._draft is None:
            raise ValueError(f"{self.spec.agent}: an outcome came before its round was opened")
        judgement = outcome.judge(event.net_return, event.benchmark, event.volatility, event.bars)
        epoch = self._view.get(self.spec.agent, 0) + 1
        experience = safla.analyse(
            self._draft,
            epoch=epoch,
            known_at_s=now,
            excess=judgement.excess,
            verdict=judgement.verdict,
            net_return=event.net_return,
        )
        self._draft = None
        self._view[self.spec.agent] = epoch
        return [Publish(experience)]
