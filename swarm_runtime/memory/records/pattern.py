"""What a pattern is: an approach to a kind of task, in a kind of context.

A pattern is (domain, task type, approach, quantised context cell); its id is the hash of that, so
two agents that never met give the same pattern the same id. A ``ContextSpace`` names the features
of a context and cuts each into bins with words. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["ContextSpace", "FeatureBins", "pattern_id", "space_from_json", "space_to_json"]


@dataclass(frozen=True, slots=True)
class FeatureBins:
    """One feature of a context, and how it is cut.

    Attributes
    ----------
    name : str
    edges : tuple of float, increasing
        A value below the first edge is in bin 0; one equal to an edge is above it.
    words : tuple of str, one more than edges
        How each bin is called in a sentence.
    """

    name: str
    edges: tuple[float, ...]
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.words) != len(self.edges) + 1:
            raise ValueError(f"{self.name}: {len(self.edges)} edges, {len(self.words)} words")
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"{self.name}: edges {self.edges} do not increase")


@dataclass(frozen=True, slots=True)
class ContextSpace:
    """The grid of context cells that F features span.

    A cell's number is the mixed-radix number of its bins, first feature most significant.

    Attributes
    ----------
    features : tuple of FeatureBins, length F
    """

    features: tuple[FeatureBins, ...]

    @property
    def cell_count(self) -> int:
        """Number of cells C."""
        return int(np.prod([len(feature.words) for feature in self.features], dtype=np.int64))

    def cells(self, context: npt.NDArray[np.floating]) -> npt.NDArray[np.int32]:
        """Return the cell of each context.

        Parameters
        ----------
        context : ndarray of float, shape (..., F)

        Returns
        -------
        ndarray of int32, shape (...)
        """
        codes = np.zeros(context.shape[:-1], dtype=np.int32)
        for at, feature in enumerate(self.features):
            codes *= len(feature.words)
            for edge in feature.edges:
                codes += context[..., at] >= edge
        return codes

    def bins(self, cell: int) -> tuple[int, ...]:
        """Return the bin of each feature in a cell."""
        found: list[int] = []
        for feature in reversed(self.features):
            cell, place = divmod(cell, len(feature.words))
            found.append(place)
        return tuple(reversed(found))

    def words(self, cell: int) -> dict[str, str]:
        """Return each feature's word in a cell, e.g. ``{"trend": "rising", ...}``."""
        return {
            feature.name: feature.words[place]
            for feature, place in zip(self.features, self.bins(cell), strict=True)
        }


def pattern_id(
    domain: str, task_type: str, approach: str, context: Sequence[tuple[str, int | str]]
) -> str:
    """Return a pattern's id: 16 hex digits that depend on what it is, and on nothing else.

    Parameters
    ----------
    domain, task_type, approach : str
    context : sequence of (feature, bin or word)
        In any order.
    """
    text = json.dumps([domain, task_type, approach, sorted(context)], separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def space_to_json(space: ContextSpace) -> str:
    """Return a space as text; equal spaces give equal texts."""
    parts = [[one.name, list(one.edges), list(one.words)] for one in space.features]
    return json.dumps(parts, ensure_ascii=False)


def space_from_json(text: str) -> ContextSpace:
    """Return the space that ``space_to_json`` gave."""
    return ContextSpace(
        tuple(
            FeatureBins(name, tuple(edges), tuple(words)) for name, edges, words in json.loads(text)
        )
    )
