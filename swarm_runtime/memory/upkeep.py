"""Keeping a bank small, whole and safe: pruning, retention, checks, backups, an audit.

Nothing here runs by itself unless ``memory.upkeep.automatic`` says so; then ``tend`` is called by
whoever records. Above: ``bank`` (``bank.upkeep``). Below: ``log``, ``derived``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from swarm_runtime.config import MemorySettings
from swarm_runtime.errors import StoreError
from swarm_runtime.memory.log.protocol import ExperienceStore, Progress
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.derived import Derived
from swarm_runtime.memory.state.snapshot import freeze

__all__ = ["Audit", "Checked", "Pruned", "Upkeep"]

_DAY_S = 86_400
#: Pruning to the bound goes this far below it, so that it need not be done again at once.
_ROOM = 0.75


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was let go, or would be.

    Attributes
    ----------
    patterns : tuple of str
        Their ids, the least confident first.
    trajectories : int
        How many were deleted; 0 where nothing was done.
    kept : int
        Patterns that are left.
    """

    patterns: tuple[str, ...]
    trajectories: int
    kept: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found to agree.

    Attributes
    ----------
    records : int
        Read from the log, each matching its seal.
    patterns, outcomes, vectors : int
        Derived anew from the log, and equal to what answers are given from.
    """

    records: int
    patterns: int
    outcomes: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Audit:
    """How good a bank's knowledge is.

    Attributes
    ----------
    counts : mapping of str to int
        Rows of the log by kind.
    size_bytes : int
    patterns, places : int
    mean_confidence : float
        NaN for an empty bank.
    doubtful_share : float
        Of patterns with a confidence below 0.5.
    single_share : float
        Of patterns that rest on one outcome.
    outcomes_by_agent : mapping of str to int
    weights : mapping of str to float
        How far each agent is trusted, 0 to 1.
    newest_s : int or None
    findings : tuple of str
        What should be looked at, in words.
    """

    counts: dict[str, int]
    size_bytes: int
    patterns: int
    places: int
    mean_confidence: float
    doubtful_share: float
    single_share: float
    outcomes_by_agent: dict[str, int]
    weights: dict[str, float]
    newest_s: int | None
    findings: tuple[str, ...]


class Upkeep:
    """The upkeep of one bank.

    Parameters
    ----------
    store : ExperienceStore
    derived : Derived
    settings : MemorySettings
    """

    def __init__(self, store: ExperienceStore, derived: Derived, settings: MemorySettings) -> None:
        self._store = store
        self._derived = derived
        self._settings = settings

    # --- small -------------------------------------------------------------------------------

    def prune(
        self,
        now_s: int,
        *,
        below: float | None = None,
        most: int | None = None,
        pretend: bool = False,
    ) -> Pruned:
        """Let go of patterns that are worth least: below a confidence, then down to a bound.

        Only patterns of open contexts; a declared space is bounded by its cells. What was recorded
        of them is deleted, and not taken again; new outcomes are.

        Parameters
        ----------
        now_s : int
            The moment at which recency is read. Only what was known by then is let go.
        below : float or None
            None: ``memory.upkeep.prune_below``.
        most : int or None
            None: ``memory.upkeep.most_patterns``. Where there are more, a quarter of the bound is
            made free.
        pretend : bool
            Say what would be done, and do nothing.
        """
        upkeep = self._settings.upkeep
        least = upkeep.prune_below if below is None else below
        bound = upkeep.most_patterns if most is None else most
        found = self._derived.standings(now_s)
        catalogue = self._derived.catalogue
        confidence = found.confidence(self._settings)
        order = np.lexsort((catalogue.patterns.number.rows[found.patterns], confidence))
        count = int(np.count_nonzero(confidence < least))
        if len(order) - count > bound:
            count = len(order) - int(bound * _ROOM)
        ids = tuple(catalogue.id_of(int(row)) for row in found.patterns[order[:count]])
        gone = 0
        if ids and not pretend:
            gone = self._store.prune(ids, now_s)
        return Pruned(ids, gone, len(order) - count)

    def retain(self, now_s: int, *, days: float | None = None) -> int:
        """Fold trajectories older than an age into their patterns' statistics, and delete them.

        What they taught stays; that they were these is forgotten. Questions about a time before
        then see less than was known.

        Parameters
        ----------
        now_s : int
        days : float or None
            None: ``memory.upkeep.retention_days``.

        Returns
        -------
        int
            How many trajectories were let go.
        """
        age = self._settings.upkeep.retention_days if days is None else days
        return self._store.let_go(now_s - int(age * _DAY_S))

    def tend(self, now_s: int) -> Pruned | None:
        """Prune and retain where ``memory.upkeep.automatic`` says so and there is reason to."""
        upkeep = self._settings.upkeep
        if not upkeep.automatic:
            return None
        self._derived.follow()
        kept_from_s = self._store.kept_from_s()
        edge_s = now_s - int(upkeep.retention_days * _DAY_S)
        # Once a day of the bank's own time is often enough.
        if kept_from_s is None or edge_s - kept_from_s >= _DAY_S:
            self._store.let_go(edge_s)
        if len(self._derived.catalogue.patterns.place) <= upkeep.most_patterns:
            return None
        return self.prune(now_s)

    def vacuum(self) -> int:
        """Give back the room of what was deleted; return how many bytes."""
        return self._store.vacuum()

    # --- whole -------------------------------------------------------------------------------

    def verify(self) -> Checked:
        """Read the whole log, derive everything anew, and compare it with what answers are from.

        Raises
        ------
        StoreError
            Names the first thing that is wrong.
        """
        records = self._store.verify()
        self._derived.follow()
        mine = self._derived.catalogue
        fresh = self._derived.fresh()
        fresh.stand(mine.moment_s)
        difference = _difference(mine, fresh.catalogue)
        if difference:
            raise StoreError(
                str(getattr(self._store, "path", "bank")),
                f"what was derived does not agree with the log: {difference}; `swarm bank rebuild`"
                " derives it anew",
            )
        return Checked(records, len(mine.patterns.place), len(mine.outcomes.pair), len(mine.index))

    def rebuild(self) -> Checked:
        """Throw away what was derived, and derive it anew from the log."""
        self._derived.discard()
        self._derived.follow()
        return self.verify()

    def snapshot(self) -> bool:
        """Keep what was derived for the next start; return whether it is kept.

        It isn't for a bank in memory or with few contexts, nor while another process does so.
        """
        self._derived.follow()
        return self._derived.snapshot()

    # --- safe --------------------------------------------------------------------------------

    def backup(self, path: str | Path, progress: Progress | None = None) -> None:
        """Write a consistent copy while others read and write; see ``log.ExperienceStore``."""
        self._store.backup(path, progress)

    # --- how good is it ----------------------------------------------------------------------

    def audit(self, now_s: int | None = None) -> Audit:
        """Return how good the knowledge of open contexts is; None: as of its newest outcome."""
        found = self._derived.standings(now_s)
        catalogue = self._derived.catalogue
        confidence = found.confidence(self._settings)
        count = len(confidence)
        by_agent: Counter[str] = Counter()
        totals = np.bincount(
            catalogue.pairs.agent.rows,
            weights=catalogue.pairs.counters.rows[:, 0],
            minlength=len(catalogue.agents),
        )
        for name, total in zip(catalogue.agents.texts, totals.astype(int).tolist(), strict=True):
            by_agent[name] = total
        weights = {
            name: level / 16
            for name, level in zip(
                catalogue.agents.texts, catalogue.trust.rows.tolist(), strict=True
            )
        }
        doubtful = float(np.mean(confidence < 0.5)) if count else 0.0
        single = float(np.mean(found.counters[:, 0] <= 1)) if count else 0.0
        newest = int(found.last_known_s.max()) if count else None
        findings: list[str] = []
        upkeep = self._settings.upkeep
        if doubtful > 0.2:
            findings.append(f"{doubtful:.0%} of the patterns have a confidence below 0.5")
        if single > 0.9 and count > 100:
            findings.append(
                f"{single:.0%} of the patterns rest on one outcome: contexts hardly repeat;"
                " declare a space, or leave out of the context what does not matter"
            )
        if count > upkeep.most_patterns:
            findings.append(
                f"{count} patterns, more than memory.upkeep.most_patterns ="
                f" {upkeep.most_patterns}: `swarm bank prune`"
            )
        for name, weight in sorted(weights.items()):
            if weight < 1.0:
                findings.append(f"reports of {name!r} do not hold up; they count {weight:.0%}")
        return Audit(
            counts=self._store.counts(),
            size_bytes=self._store.size_bytes(),
            patterns=count,
            places=len(catalogue.cells),
            mean_confidence=float(confidence.mean()) if count else float("nan"),
            doubtful_share=doubtful,
            single_share=single,
            outcomes_by_agent=dict(sorted(by_agent.items())),
            weights=weights,
            newest_s=newest,
            findings=tuple(findings),
        )


def _difference(mine: Catalogue, fresh: Catalogue) -> str:
    """Return in what two catalogues differ that should be equal, whatever their rows' order."""
    if len(mine.index) != len(mine.cells):
        return f"{len(mine.index)} vectors for {len(mine.cells)} contexts"
    states = [freeze(one) for one in (mine, fresh)]
    for name in ("places", "patterns", "pairs", "outcomes"):
        sizes = [len(next(iter(state["columns"][name].values()))) for state in states]
        if sizes[0] != sizes[1]:
            return f"{sizes[0]} {name} where the log has {sizes[1]}"
    orders = [np.argsort(one.patterns.number.rows, kind="stable") for one in (mine, fresh)]
    for column in ("number", "counters", "newest_s"):
        ours, theirs = (
            getattr(one.patterns, column).rows[order]
            for one, order in zip((mine, fresh), orders, strict=True)
        )
        if not np.array_equal(ours, theirs):
            wrong = int(np.flatnonzero((ours != theirs).reshape(len(ours), -1).any(axis=1))[0])
            return f"pattern {mine.id_of(int(orders[0][wrong]))}: its {column}"
    orders = [np.argsort(one.places.key.rows, kind="stable") for one in (mine, fresh)]
    for start in range(0, len(mine.cells), 4_096):
        ours, theirs = (
            one.index.vectors(order[start : start + 4_096])
            for one, order in zip((mine, fresh), orders, strict=True)
        )
        if not np.array_equal(ours, theirs):
            wrong = start + int(np.flatnonzero((ours != theirs).any(axis=1))[0])
            return f"the vector of context {mine.cells[int(orders[0][wrong])]}"
    return ""
