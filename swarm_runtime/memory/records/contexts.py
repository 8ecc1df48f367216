"""Contexts of any kind, cut into cells: what makes two tries tries in "the same" context. Pure.

A number of a declared ``ContextSpace`` is cut by the edges declared there. Any other number is
cut without knowing its scale: by quarters of a factor of two, with a sign (``number_place``).
Texts are normalised. A cell is the sorted tuple of (name, bin or text), whoever computes it and
in whatever order, so patterns that different agents found independently have the same id.

Above: ``embedding`` (near cells, near vectors), ``ledger``, ``patterns``. Below: ``pattern``.
"""

from __future__ import annotations

import math
import unicodedata

import numpy as np

from swarm_runtime.memory.records.pattern import ContextSpace, FeatureBins
from swarm_runtime.memory.records.trajectory import Context

__all__ = ["Cell", "ContextReader", "normal_text", "number_place", "number_value"]

#: (name, bin or text) of every feature, in the order of names.
Cell = tuple[tuple[str, int | str], ...]

#: Below this a number is as good as zero. Features that live on a smaller scale need a unit of
#: their own (milliseconds, basis points) or a declared space.
_SMALLEST = 1e-3
_BIN_WIDTH = math.log(2.0) / 4.0
#: From here on asinh is a logarithm to the last bit, and dividing by _SMALLEST might overflow.
_LARGE = 1e100


def normal_text(text: str) -> str:
    """Return a text without differences of case, width and white space."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def number_place(value: float) -> float:
    """Return asinh(value / 0.001): a logarithm that passes smoothly through zero."""
    if abs(value) < _LARGE:
        return math.asinh(value / _SMALLEST)
    return math.copysign(math.log(abs(value)) + math.log(2.0 / _SMALLEST), value)


def number_value(place: float) -> float:
    """Return the number at a place, the inverse of ``number_place``."""
    if abs(place) < number_place(_LARGE):
        return math.sinh(place) * _SMALLEST
    return math.copysign(math.exp(min(abs(place) - math.log(2.0 / _SMALLEST), 709.78)), place)


class ContextReader:
    """Cuts contexts into cells.

    Parameters
    ----------
    space : ContextSpace or None
        Features with declared bins; None: none is declared.
    """

    def __init__(self, space: ContextSpace | None = None) -> None:
        self.space = space
        self._declared: dict[str, FeatureBins] = (
            {feature.name: feature for feature in space.features} if space else {}
        )

    def bin(self, name: str, value: float) -> int | None:
        """Return the declared bin of a number, None where its feature isn't declared."""
        feature = self._declared.get(name)
        if feature is None:
            return None
        return sum(value >= edge for edge in feature.edges)

    def position(self, name: str, value: float) -> float | None:
        """Return the rank of a number's declared bin, scaled to [0, 1]; None as in ``bin``."""
        place = self.bin(name, value)
        if place is None:
            return None
        return place / max(1, len(self._declared[name].edges))

    def cell(self, context: Context) -> Cell:
        """Return the cell in which a context lies.

        Raises
        ------
        ValueError
            If a value is neither a text nor a finite number.
        """
        found: list[tuple[str, int | str]] = []
        for name in sorted(context):
            value = context[name]
            if isinstance(value, str):
                found.append((name, normal_text(value)))
                continue
            if not math.isfinite(value):
                raise ValueError(f"context[{name!r}] = {value!r}: a text or a finite number")
            place = self.bin(name, value)
            if place is None:
                place = round(number_place(value) / _BIN_WIDTH)
            found.append((name, place))
        return tuple(found)

    def centre(self, cell: Cell) -> dict[str, float | str]:
        """Return a context in the middle of a cell, the same for all contexts in it."""
        context: dict[str, float | str] = {}
        for name, place in cell:
            feature = self._declared.get(name)
            if isinstance(place, str):
                context[name] = place
            elif feature is None:
                context[name] = number_value(place * _BIN_WIDTH)
            elif not feature.edges:
                context[name] = 0.0
            elif place > 0:
                context[name] = feature.edges[place - 1]
            else:
                context[name] = math.nextafter(feature.edges[0], -math.inf)
        return context

    def words(self, cell: Cell) -> dict[str, str]:
        """Return how each feature of a cell is called in a sentence."""
        words: dict[str, str] = {}
        for name, place in cell:
            feature = self._declared.get(name)
            if isinstance(place, str):
                words[name] = place
            elif feature is None:
                words[name] = f"about {number_value(place * _BIN_WIDTH):.2g}"
            else:
                words[name] = feature.words[place]
        return words

    def number(self, context: Context) -> int | None:
        """Return the number of a context's cell in the declared space.

        None if no space is declared, or if the context's features are not exactly the space's.
        """
        if self.space is None or context.keys() != self._declared.keys():
            return None
        values = [context[feature.name] for feature in self.space.features]
        if any(isinstance(value, str) for value in values):
            return None
        return int(self.space.cells(np.array(values, dtype=np.float64)))

    def numbered(self, number: int) -> Cell:
        """Return the cell that has this number in the declared space.

        Raises
        ------
        ValueError
            If no space is declared.
        """
        if self.space is None:
            raise ValueError("no space is declared")
        places = self.space.bins(number)
        names = [feature.name for feature in self.space.features]
        return tuple(sorted(zip(names, places, strict=True)))
