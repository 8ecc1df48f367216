"""What a bank can say about its own knowledge.

How patterns relate, what they and items are worth, whom to doubt, what is worth knowing of tries.
Nothing here changes an answer by itself, but for what surely harms: see ``Insight.harmful``.
Above: ``bank`` (``bank.insight``). Below: ``derived``, ``links``, ``credit``, ``distil``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.distilling.distil import Distilled, distil
from swarm_runtime.memory.distilling.generalise import recurring_words
from swarm_runtime.memory.distilling.links import (
    PatternColumns,
    Related,
    grouped,
    recorded,
    related,
)
from swarm_runtime.memory.log.protocol import ExperienceStore
from swarm_runtime.memory.records.annotations import Item, Link, Usage
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.state.derived import Derived
from swarm_runtime.memory.state.judgements import Judgement, judgements
from swarm_runtime.memory.state.standing import intervals
from swarm_runtime.memory.trust.agents import Doubt
from swarm_runtime.memory.trust.credit import Uplift, recommendation_uplift, target_uplifts, worth

__all__ = ["Insight"]

#: Tries whose words tell what belongs to no task alone.
_VOCABULARY = 500


class Insight:
    """Reads one bank.

    Parameters
    ----------
    store : ExperienceStore
    derived : Derived
    """

    def __init__(self, store: ExperienceStore, derived: Derived) -> None:
        self._store = store
        self._derived = derived
        self._credit: tuple[tuple[int, int | None], dict[str, Uplift]] | None = None

    # --- how patterns relate -----------------------------------------------------------------

    def links(self, pattern_id: str | None = None, *, as_of_s: int | None = None) -> list[Related]:
        """Return which patterns are similar, contradict each other, or come from another.

        Seen from contexts and outcomes, and as recorded; nothing is merged.

        Parameters
        ----------
        pattern_id : str or None
            None: all links.
        as_of_s : int or None
            Only what was known by then; None: no limit.
        """
        found = self._derived.standings(as_of_s)
        catalogue = self._derived.catalogue
        place = catalogue.patterns.place.rows[found.patterns]
        low, high = intervals(found)
        ids = [catalogue.id_of(row) for row in found.patterns.tolist()]
        columns = PatternColumns(
            ids=ids,
            vectors=catalogue.vectors(place.astype(np.int64)),
            task_type=catalogue.places.task_type.rows[place],
            approach=catalogue.patterns.approach.rows[found.patterns],
            low=low,
            high=high,
        )
        only = None if pattern_id is None else [ids.index(pattern_id)] if pattern_id in ids else []
        said = [
            one
            for one in self._store.annotations("link", until_s=as_of_s)
            if isinstance(one, Link) and not self._derived.is_revoked("agent", one.agent, as_of_s)
        ]
        links = related(columns, only=only) + recorded(said)
        return [one for one in links if pattern_id in (None, one.first, one.second)]

    def duplicates(self, *, as_of_s: int | None = None) -> list[tuple[str, ...]]:
        """Return groups of patterns that say much the same, by their ids; nothing is merged."""
        return grouped(self.links(as_of_s=as_of_s))

    # --- what knowledge is worth -------------------------------------------------------------

    def credit(self, *, as_of_s: int | None = None) -> dict[str, Uplift]:
        """Return what each pattern and item was worth to those who were given it.

        By its id (an item: its statement), from ``Usage`` records: outcomes with it against
        outcomes where it was withheld at random, with an interval.
        """
        self._derived.follow()
        key = (self._derived.serial, as_of_s)
        if self._credit is None or self._credit[0] != key:
            self._credit = (key, self._uplifts(as_of_s))
        return self._credit[1]

    def _uplifts(self, as_of_s: int | None) -> dict[str, Uplift]:
        usages = [
            one
            for one in self._store.annotations("usage", until_s=as_of_s)
            if isinstance(one, Usage) and not self._derived.is_revoked("agent", one.agent, as_of_s)
        ]
        if not usages:
            return {}
        tries = self._store.trajectories(sorted({one.trajectory for one in usages}))
        standing = (self._derived.standing(one, as_of_s) for one in tries)
        excess = {one.id: one.excess for one in standing if one is not None}
        return target_uplifts(usages, excess, as_of_s=as_of_s)

    def harmful(self, as_of_s: int | None) -> frozenset[str]:
        """Return the targets that surely harm: they are given no more, unless to find out."""
        return frozenset(
            target
            for target, found in self.credit(as_of_s=as_of_s).items()
            if worth(found) == "harms"
        )

    def recommendations_worth(self) -> Uplift:
        """Return what it was worth to agents of a swarm to follow what they were recommended."""
        return recommendation_uplift(self._store.experiences())

    # --- what is worth knowing ---------------------------------------------------------------

    def distil(self, trajectories: Sequence[str], *, agent: str, now_s: int) -> Distilled:
        """Distil what is worth knowing from tries at one task, and record it. No model is needed.

        Parameters
        ----------
        trajectories : sequence of str
            Ids; several are set against each other.
        agent : str
            Who distils.
        now_s : int
            Nothing that was known later is used.

        Returns
        -------
        Distilled
            New items and known ones with new sources, all recorded; or why there is nothing.

        Raises
        ------
        ConfigError
            If one of them is not recorded.
        ValueError
            If they are not tries at one task.
        """
        tries = self._store.trajectories(trajectories)
        missing = sorted(set(trajectories) - {one.id for one in tries})
        if missing or not tries:
            raise ConfigError("trajectories", missing, "no such tries are recorded")
        self._derived.follow()
        standing: list[Trajectory] = []
        for one in tries:
            stands = self._derived.standing(one, now_s)
            if stands is not None and stands.known_at_s <= now_s:
                standing.append(stands)
        if not standing:
            return Distilled(why_not="every one of these tries is revoked, or not known yet")
        kind = standing[0].task_type
        known = self._derived.shelf.known(kind, now_s)
        given = {
            usage.target
            for one in standing
            for usage in self._store.annotations("usage", target=one.id, until_s=now_s)
            if isinstance(usage, Usage) and usage.given
        }
        recalled: list[Item] = [item for item in known if item.statement in given]
        others = self._derived.tries_of(kind, _VOCABULARY)
        found = distil(
            standing,
            agent=agent,
            known=known,
            recalled=recalled,
            vocabulary=recurring_words(others),
            reader=self._derived.reader,
        )
        self._store.record_all((), (), (*found.items, *found.support))
        return found

    # --- who said so -------------------------------------------------------------------------

    def doubts(self, *, as_of_s: int | None = None) -> list[Doubt]:
        """Return which agents' reports do not hold up, and why they count for less."""
        return self._derived.doubts(as_of_s)

    def judgements(
        self, *, task_type: str | None = None, as_of_s: int | None = None, most: int = 100
    ) -> list[Judgement]:
        """Return how tries were judged, the newest first: with the outcome, and later.

        Parameters
        ----------
        task_type : str or None
            None: any.
        as_of_s : int or None
            Only what was known by then; None: no limit.
        most : int
            How many are returned.
        """
        return judgements(self._store, task_type, as_of_s, most)
