"""Linear models of what the catalogue counts, one for each sort of question, kept in step with it.

A model learns from the same sums that the neighbourhood is read from: for each pattern, how many
outcomes count and the sum of their excess rewards, in the middle of the pattern's context cell. So
trust, later verdicts, revocation, forgetting, folding and the moment are in it without its knowing
of them: whenever a pattern's sums have changed, the difference is learnt. Of very many patterns a
share is enough to fit a few dozen coefficients; it is chosen by the patterns' ids.

Above: ``derived``. Below: ``linear``, ``catalogue``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import REWARD_SCALE
from swarm_runtime.memory.choice.linear import LinearModel
from swarm_runtime.memory.choice.policies.protocol import Belief
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.state.catalogue import Catalogue
from swarm_runtime.memory.state.tables import FULL_TRUST
from swarm_runtime.memory.trust.agents import FULL_LEVEL

__all__ = ["MOST_PATTERNS", "Beliefs", "Kept"]

Integers = npt.NDArray[np.int64]

#: Patterns that one model learns from at most.
MOST_PATTERNS = 8_192
#: Models that are kept: by task type and by the domain that is asked about.
_MOST_MODELS = 32
#: Notes of changes that are kept for a model that isn't asked; after more, all is compared.
_MOST_NOTES = 1_024
#: Columns of a pattern's counters: outcomes, and the sum of their excess rewards.
_LEARNT = [0, 3]


class Kept:
    """One model, and what of each pattern it has learnt.

    Attributes
    ----------
    model : LinearModel
    version : int
        Another one whenever the model has learnt something, or is another model.
    """

    def __init__(self, levels: Integers, share: int) -> None:
        self.model = LinearModel()
        self.version = 0
        self.levels, self.share = levels, share
        self.row_of: dict[int, int] = {}
        self.learnt = np.zeros((64, 2), dtype=np.int64)
        #: Outcomes that were counted or taken out since; None: any.
        self.touched: list[Integers] | None = None

    def sums(self) -> tuple[Integers, npt.NDArray[np.float64]]:
        """Return the patterns that it learnt from: rows, and (outcomes, sum of excess rewards)."""
        rows = np.fromiter(self.row_of, dtype=np.int64, count=len(self.row_of))
        sums = self.learnt[: len(rows)] / (FULL_TRUST * FULL_LEVEL)
        sums[:, 1] /= REWARD_SCALE
        return rows, sums

    def rows_for(self, patterns: Integers) -> Integers:
        """Return where in ``learnt`` some patterns are."""
        row_of = self.row_of
        at = [row_of.setdefault(one, len(row_of)) for one in patterns.tolist()]
        if len(row_of) > len(self.learnt):
            more = np.zeros((2 * len(row_of) - len(self.learnt), 2), dtype=np.int64)
            self.learnt = np.concatenate([self.learnt, more])
        return np.array(at, dtype=np.int64)


class Beliefs:
    """Predictions of the excess reward from all that counts at the catalogue's moment.

    Parameters
    ----------
    catalogue : Catalogue
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._kept: dict[tuple[int, int, bool], Kept] = {}
        self._versions = 0
        #: Patterns by task type, as far as they were counted.
        self._counted, self._patterns = 0, np.zeros(0, dtype=np.int64)
        catalogue.listeners.append(self._changed)

    def predict(
        self,
        context: Context,
        task_type: str,
        candidates: Sequence[str],
        domain: str | None,
        levels: Integers | None = None,
    ) -> Belief | None:
        """Return what the linear model says of candidates; None where there is nothing to go by.

        Parameters
        ----------
        context : mapping of str to float or str
        task_type : str
        candidates : sequence of str
        domain : str or None
            None: what was found in any domain counts.
        levels : ndarray of int64, shape (domains,), or None
            How much of each domain counts, in sixteenths; None: that domain only.
        """
        catalogue = self._catalogue
        kind = catalogue.task_types.find(task_type)
        field = -1 if domain is None else catalogue.domains.find(domain)
        if kind < 0 or (domain is not None and field < 0 and levels is None):
            return None
        if levels is None:
            kept = self.of(kind, field)
        else:
            kept = self._model(kind, field, levels, hearsay=True)
        if kept.model.outcomes < 0.5:
            return None
        return kept.model.predict(context, candidates)

    def of(self, kind: int, domain: int) -> Kept:
        """Return the model of what was found in one domain itself (-1: in any)."""
        levels = np.zeros(len(self._catalogue.domains), dtype=np.int64)
        levels[slice(None) if domain < 0 else domain] = FULL_LEVEL
        return self._model(kind, domain, levels)

    def expected(self, kept: Kept, pattern: int) -> float:
        """Return what a model predicts of a pattern's approach in the pattern's context."""
        catalogue = self._catalogue
        place = int(catalogue.patterns.place.rows[pattern])
        approach = catalogue.approaches.texts[int(catalogue.patterns.approach.rows[pattern])]
        context = catalogue.reader.centre(catalogue.cell(place))
        return float(kept.model.predict(context, [approach]).mean[0])

    def _changed(self, rows: Integers | None) -> None:
        """Note that outcomes were counted or taken out; None: that any may have been."""
        for kept in self._kept.values():
            if rows is None:
                kept.touched = None
            elif kept.touched is not None:
                kept.touched.append(rows)
                if len(kept.touched) > _MOST_NOTES:
                    kept.touched = None

    def _model(self, kind: int, field: int, levels: Integers, *, hearsay: bool = False) -> Kept:
        """Return the model for a task type and a domain, in step with the catalogue."""
        key = (kind, field, hearsay)
        kept = self._kept.pop(key, None)
        share = self._share(kind)
        if kept is not None:
            known = len(kept.levels)
            if kept.share != share or not np.array_equal(levels[:known], kept.levels):
                kept = None
        if kept is None:
            kept = Kept(levels, share)
            if len(self._kept) >= _MOST_MODELS:
                # The one that was asked longest ago.
                del self._kept[next(iter(self._kept))]
        self._kept[key] = kept
        kept.levels = levels
        if kept.touched is None or kept.touched:
            self._learn(kept, kind)
        return kept

    def _share(self, kind: int) -> int:
        """Return which share of a task type's patterns is learnt from: one in 2**this."""
        catalogue = self._catalogue
        fresh = catalogue.patterns.place.rows[self._counted :]
        if len(fresh):
            kinds = catalogue.places.task_type.rows[fresh]
            counts = np.bincount(kinds, minlength=len(catalogue.task_types))
            counts[: len(self._patterns)] += self._patterns
            self._patterns = counts
            self._counted += len(fresh)
        count = int(self._patterns[kind]) if kind < len(self._patterns) else 0
        return max(0, (max(count, 1) - 1) // MOST_PATTERNS).bit_length()

    def _learn(self, kept: Kept, kind: int) -> None:
        catalogue, patterns = self._catalogue, self._catalogue.patterns
        if kept.touched is None:
            rows = np.arange(len(patterns.place), dtype=np.int64)
        else:
            pair = catalogue.outcomes.pair.rows[np.concatenate(kept.touched)]
            rows = np.unique(catalogue.pairs.pattern.rows[pair])
        kept.touched = []
        place = patterns.place.rows[rows]
        mine = catalogue.places.task_type.rows[place] == kind
        if kept.share:
            mine &= (patterns.number.rows[rows] >> np.uint64(64 - kept.share)) == 0
        rows, place = rows[mine], place[mine]
        level = kept.levels[catalogue.places.domain.rows[place]]
        sums = patterns.counters.rows[rows][:, _LEARNT] * level[:, None]
        at = kept.rows_for(rows)
        differs = (sums != kept.learnt[at]).any(axis=1)
        rows, place, sums, at = rows[differs], place[differs], sums[differs], at[differs]
        if not len(rows):
            return
        # In the order of their ids: which came first must not show in the last digits either.
        order = np.argsort(patterns.number.rows[rows], kind="stable")
        rows, place, sums, at = rows[order], place[order], sums[order], at[order]
        self._versions += 1
        kept.version = self._versions
        change = (sums - kept.learnt[at]) / (FULL_TRUST * FULL_LEVEL)
        kept.learnt[at] = sums
        names = catalogue.approaches.texts
        centres = {
            one: catalogue.reader.centre(catalogue.cell(one)) for one in sorted(set(place.tolist()))
        }
        kept.model.learn_sums(
            [centres[one] for one in place.tolist()],
            [names[one] for one in patterns.approach.rows[rows].tolist()],
            change[:, 0],
            change[:, 1] / REWARD_SCALE,
        )
