"""Items by the task they were learnt at: what is worth knowing for a task like this one. Pure.

As the paper has it (ReasoningBank, arXiv 2509.25140), what is compared is the task, not the item,
and the nearest experiences bring all their items: one experience by default, since more was worse
(49.7 % with one, 44.4 % with four). Items that say the same from other tasks support each other.

Above: ``derived``. Below: ``records``, ``tables``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from swarm_runtime.memory.records.annotations import ALWAYS, Item
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.state.columns import Growing, Names
from swarm_runtime.memory.state.tables import NOT_REVOKED, Embeds, Vectors

__all__ = ["FoundItem", "Shelf"]

#: Rows fetched at once; an experience has three at most.
_STEP = 16


@dataclass(frozen=True, slots=True)
class FoundItem:
    """An item that was found for a task.

    Attributes
    ----------
    item : Item
    similarity : float
        Cosine of the task it was learnt at to the one that is asked about.
    support : int
        From how many trajectories the same was learnt, known by the moment that is asked about.
    given : bool
        False: withheld at random, to find out what it is worth; do without it, and record a
        ``Usage`` that says so.
    propensity : float
        Probability with which it was given, or withheld.
    """

    item: Item
    similarity: float
    support: int
    given: bool = True
    propensity: float = 1.0

    def sentence(self) -> str:
        """Return it as a person or a model reads it."""
        parts = [f"{self.item.title}: {self.item.content}"]
        if self.item.when:
            parts.append(f"When: {self.item.when}")
        if self.item.when_not:
            parts.append(f"Not when: {self.item.when_not}")
        source = "trajectory" if self.support == 1 else "trajectories"
        parts.append(f"(from {self.support} {source}, {self.item.learnt_from})")
        return " ".join(parts)


class Shelf:
    """Items, found by the context of their task.

    Parameters
    ----------
    embedder : Embeds
    index : Vectors
        Empty.
    """

    def __init__(self, embedder: Embeds, index: Vectors) -> None:
        self._embedder = embedder
        self._index = index
        self.items: list[Item] = []
        self._known_s = Growing(np.int64)
        self._revoked_s = Growing(np.int64)
        self._kinds, self._domains = Names(), Names()
        self._kind, self._domain = Growing(np.int32), Growing(np.int32)
        self._statements: dict[str, list[int]] = {}
        self._here: set[str] = set()
        self._revoked: dict[tuple[str, str], int] = {}

    def add(self, items: Sequence[Item]) -> None:
        """Take items; one that is here changes nothing."""
        fresh = [one for one in items if one.id not in self._here]
        fresh = list({one.id: one for one in fresh}.values())
        if not fresh:
            return
        self._index.add(self._embedder.embed_many([one.context for one in fresh]))
        for one in fresh:
            self._here.add(one.id)
            self.items.append(one)
            row = self._known_s.append(one.known_at_s)
            self._kind.append(self._kinds.number(one.task_type))
            self._domain.append(self._domains.number(one.domain))
            names = [("item", one.statement), ("item", one.id), ("agent", one.agent)]
            self._revoked_s.append(min(self._revoked.get(name, NOT_REVOKED) for name in names))
            self._statements.setdefault(one.statement, []).append(row)

    def revoke(self, target_kind: str, target: str, from_s: int = ALWAYS) -> None:
        """Find an item, or what an agent distilled, no more."""
        key = (target_kind, target)
        self._revoked[key] = min(self._revoked.get(key, NOT_REVOKED), from_s)
        rows = [
            row
            for row, one in enumerate(self.items)
            if (target_kind == "item" and target in (one.statement, one.id))
            or (target_kind == "agent" and target == one.agent)
        ]
        self._revoked_s.rows[rows] = np.minimum(self._revoked_s.rows[rows], from_s)

    def find(
        self,
        context: Context,
        task_type: str,
        *,
        domain: str | None,
        as_of_s: int,
        experiences: int = 1,
        minimum_similarity: float = 0.0,
        keep: Callable[[Item], bool] | None = None,
    ) -> list[FoundItem]:
        """Return what the experiences nearest to a task teach.

        Parameters
        ----------
        context : mapping
            Of the task.
        task_type : str
        domain : str or None
            None: any.
        as_of_s : int
            Nothing that was known later is found.
        experiences : int
            How many bring their items.
        minimum_similarity : float
            Below it an experience has nothing to say: none is better than a bad one.
        keep : callable or None
            Whether an item may be found.
        """
        mask = self._mask(task_type, domain, as_of_s)
        if keep is not None:
            for row in np.flatnonzero(mask).tolist():
                mask[row] = keep(self.items[row])
        if not mask.any():
            return []
        query = self._embedder.embed_many([context])[0]
        wanted, total = _STEP * experiences, int(mask.sum())
        while True:
            rows, cosines = self._index.search(query, min(wanted, total), mask, exact=True)
            near = rows[cosines >= minimum_similarity]
            groups = list(dict.fromkeys(self.items[row].sources for row in near.tolist()))
            # One more experience than wanted: then all of the last one's items are here too.
            if len(groups) > experiences or len(rows) >= total or len(near) < len(rows):
                break
            wanted *= 4
        best = dict(zip(rows.tolist(), cosines.tolist(), strict=True))
        taken: dict[str, FoundItem] = {}
        for sources in groups[:experiences]:
            mine = sorted(
                (row for row in near.tolist() if self.items[row].sources == sources),
                key=lambda row: (-best[row], self.items[row].id),
            )
            for row in mine:
                item = self.items[row]
                support = self.support(item.statement, as_of_s)
                taken.setdefault(item.statement, FoundItem(item, best[row], support))
        return list(taken.values())

    def known(self, task_type: str, as_of_s: int, domain: str | None = None) -> list[Item]:
        """Return the items of a type of task that were known by a moment and are not revoked."""
        mask = self._mask(task_type, domain, as_of_s)
        return [self.items[row] for row in np.flatnonzero(mask).tolist()]

    def support(self, statement: str, as_of_s: int) -> int:
        """Return from how many trajectories a statement was learnt by a moment."""
        rows = [row for row in self._statements.get(statement, ()) if self._stands(row, as_of_s)]
        return len({source for row in rows for source in self.items[row].sources})

    def _stands(self, row: int, as_of_s: int) -> bool:
        return bool(self._known_s.rows[row] <= as_of_s < self._revoked_s.rows[row])

    def _mask(
        self, task_type: str, domain: str | None, as_of_s: int
    ) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        mask = (self._known_s.rows <= as_of_s) & (as_of_s < self._revoked_s.rows)
        mask &= self._kind.rows == self._kinds.find(task_type)
        if domain is not None:
            mask &= self._domain.rows == self._domains.find(domain)
        return np.asarray(mask)
