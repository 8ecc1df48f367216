"""A linear model of the excess reward over the raw context, one for each approach. Pure.

Where nothing near a context is known yet, what the whole task type taught still says something:
that long tasks fail more often with one approach, say. The model is ridge regression,

    θ = (λI + Σ w·φφ')⁻¹ Σ w·excess·φ ,    width² = φ'(λI + Σ w·φφ')⁻¹φ   (Li et al., WWW 2010, 3.1)

on features φ: a constant, numbers brought to mean zero and spread one, and words of texts hashed
with a sign into a few dozen coordinates. How many features there are does not change their sum of
squares, so λ means the same everywhere.

The truth here are sums over raw features, so outcomes may be learnt in any order, and learning one
with the opposite weight takes it back: the result is the same to rounding. Means and spreads are
read off the same sums and rounded to half octaves; only when one of them moves on is the inverse
computed anew, else it follows by rank-one updates (Sherman & Morrison, 1950).

Above: ``beliefs`` feeds it with what counts at a moment, ``policies`` read its predictions.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from swarm_runtime.memory.choice.policies.protocol import Belief
from swarm_runtime.memory.records.contexts import normal_text
from swarm_runtime.memory.records.trajectory import Context

__all__ = ["MOST_APPROACHES", "MOST_NUMBERS", "TEXT_WIDTH", "LinearModel"]

Floats = npt.NDArray[np.float64]

#: Names of numbers that are features at most, and approaches that are modelled at most. Of more,
#: those with the smallest hashes stay, so that it doesn't matter which came first.
MOST_NUMBERS = 96
MOST_APPROACHES = 64
#: Coordinates into which the words of all texts are hashed.
TEXT_WIDTH = 64
#: λ: outcomes' worth of belief that nothing differs.
_RIDGE = 0.5
#: Length of the constant feature beside the others' one: small, because what sets approaches apart
#: everywhere is soon learnt anyway.
_CONSTANT = 0.25
#: From here on squares might overflow.
_LARGEST = 1e60
#: Spreads from the mean at which a number that is asked about is cut: nobody knows whether what was
#: learnt goes on like that.
_FARTHEST = 6.0
#: A spread below this share of the largest value is the rounding of sums.
_ROUNDING = 1e-7
#: Rank-one updates after which the inverse is computed anew, and how many may wait at once.
_MOST_UPDATES = 4_096
_MOST_PENDING = 32


def _hash(kind: str, text: str) -> int:
    """Return 32 well-mixed bits that depend on nothing else."""
    mixed = zlib.crc32(f"{kind} {text}".encode()) * 0x9E3779B1 & 0xFFFFFFFF
    mixed = (mixed ^ (mixed >> 15)) * 0x85EBCA6B & 0xFFFFFFFF
    return mixed ^ (mixed >> 13)


class _Slots:
    """Rows for names: of more than fit, those with the smallest hashes stay."""

    def __init__(self, kind: str, most: int) -> None:
        self._kind, self._most = kind, most
        self.rows: dict[str, int] = {}
        self._hashes: dict[str, int] = {}

    def take(self, name: str) -> tuple[int | None, bool]:
        """Return the row of a name, and whether it is a row that another one had before."""
        row = self.rows.get(name)
        if row is not None:
            return row, False
        hashed = _hash(self._kind, name)
        if len(self.rows) < self._most:
            self.rows[name], self._hashes[name] = len(self.rows), hashed
            return self.rows[name], False
        last = max(self._hashes, key=lambda one: (self._hashes[one], one))
        if (hashed, name) > (self._hashes[last], last):
            return None, False
        self._hashes[name] = hashed
        del self._hashes[last]
        self.rows[name] = self.rows.pop(last)
        return self.rows[name], True


class LinearModel:
    """Ridge regression of the excess reward, for each approach, over contexts of one task type.

    Parameters
    ----------
    ridge : float (> 0)
        λ.
    """

    def __init__(self, ridge: float = _RIDGE) -> None:
        self._ridge = ridge
        self._names = _Slots("number", MOST_NUMBERS)
        self._approaches = _Slots("approach", MOST_APPROACHES)
        self._texts: dict[str, float] = {}
        #: Raw features are (1, texts if there were any, numbers less their pivots); the numbers
        #: grow at the end.
        self._width, self._start = 1, 1
        #: Any number near a feature's values: sums of what lies around zero lose fewer digits.
        self._pivots = np.zeros(0)
        #: Of numbers, over all approaches: how often there, sum and sum of squares.
        self._present = np.zeros(0)
        self._sum, self._square = np.zeros(0), np.zeros(0)
        self._total = 0.0
        self._gram = np.zeros((0, self._width, self._width))
        self._moment = np.zeros((0, self._width))
        self._solved = _Solution(self._ridge)

    @property
    def outcomes(self) -> float:
        """Sum of the weights of what was learnt."""
        return self._total

    def learn(self, context: Context, approach: str, excess: float, weight: float = 1.0) -> None:
        """Take one outcome; with a weight below zero, take it back.

        Parameters
        ----------
        context : mapping of str to float or str
        approach : str
        excess : float
            In standard deviations of an outcome.
        weight : float
            How many outcomes it counts for.
        """
        self.learn_sums([context], [approach], np.array([weight]), np.array([weight * excess]))

    def learn_sums(
        self,
        contexts: Sequence[Context],
        approaches: Sequence[str],
        outcomes: Floats,
        excess: Floats,
    ) -> None:
        """Take sums over outcomes, each sum of one approach in one context.

        Parameters
        ----------
        contexts : sequence of mapping, length m
        approaches : sequence of str, length m
        outcomes : ndarray of float64, shape (m,)
            How many; below zero, that many are taken back.
        excess : ndarray of float64, shape (m,)
            Sums of their excess rewards, in standard deviations of an outcome.
        """
        self._total += float(outcomes.sum())
        for context, weight in zip(contexts, outcomes.tolist(), strict=True):
            self._make_room(context, weight)
        found = [self._approach(approach) for approach in approaches]
        raw = np.zeros((len(contexts), self._width))
        present = np.zeros((len(contexts), len(self._pivots)))
        for at, context in enumerate(contexts):
            present[at, self._fill(raw[at], context)] = 1.0
        values = raw[:, self._start :]
        self._present += outcomes @ present
        self._sum += outcomes @ (present * values)
        self._square += outcomes @ (present * values * values)
        rows = np.array(found)
        for row in sorted({row for row in found if row >= 0}):
            mine = np.flatnonzero(rows == row)
            weighted = raw[mine] * outcomes[mine, None]
            self._gram[row] += weighted.T @ raw[mine]
            self._moment[row] += excess[mine] @ raw[mine]
            self._solved.pend(row, raw[mine], outcomes[mine])

    def predict(self, context: Context, candidates: Sequence[str]) -> Belief:
        """Return what the model says of some approaches in one context.

        Of an approach that it knows nothing of it says zero, as wide as one can be here.

        Parameters
        ----------
        context : mapping of str to float or str
        candidates : sequence of str, length K
        """
        if self._solved.stale:
            self._solve()
        raw = np.zeros(self._width)
        self._fill(raw, context)
        found = [self._approaches.rows.get(one, -1) for one in candidates]
        return self._solved.belief(raw, np.array(found))

    def _fill(self, raw: Floats, context: Context) -> list[int]:
        """Write raw features; return which numbers are there."""
        raw[0] = 1.0
        numbers: list[int] = []
        values: list[float] = []
        for name, value in context.items():
            if isinstance(value, str):
                if self._start > 1:
                    raw[1 : self._start] += _hashed_words(name, value)
                continue
            row = self._names.rows.get(name)
            if row is not None:
                numbers.append(row)
                values.append(_clipped(value))
        if numbers:
            rows = np.array(numbers)
            raw[self._start + rows] = np.array(values) - self._pivots[rows]
        return numbers

    def _make_room(self, context: Context, weight: float) -> None:
        """Let every feature of a context have its coordinates."""
        for name, value in context.items():
            if isinstance(value, str):
                self._make_room_for_texts()
                self._texts[name] = self._texts.get(name, 0.0) + weight
            elif name not in self._names.rows:
                self._number(name, _clipped(value))

    def _approach(self, name: str) -> int:
        """Return the row of an approach, -1 if there are too many."""
        row, reused = self._approaches.take(name)
        if row is None:
            return -1
        if row == len(self._gram):
            self._gram = np.concatenate([self._gram, np.zeros((1, self._width, self._width))])
            self._moment = np.concatenate([self._moment, np.zeros((1, self._width))])
        elif reused:
            self._gram[row], self._moment[row] = 0.0, 0.0
            self._solved.forget()
        return row

    def _number(self, name: str, value: float) -> None:
        row, reused = self._names.take(name)
        if row is None:
            return
        if reused:
            at = self._start + row
            self._gram[:, at, :] = self._gram[:, :, at] = self._moment[:, at] = 0.0
            self._present[row] = self._sum[row] = self._square[row] = 0.0
            self._pivots[row] = value
        else:
            self._pivots = np.append(self._pivots, value)
            self._present, self._sum, self._square = (
                np.append(sums, 0.0) for sums in (self._present, self._sum, self._square)
            )
            self._width += 1
            self._gram = np.pad(self._gram, ((0, 0), (0, 1), (0, 1)))
            self._moment = np.pad(self._moment, ((0, 0), (0, 1)))
        self._solved.forget()

    def _make_room_for_texts(self) -> None:
        if self._start > 1:
            return
        self._width, self._start = self._width + TEXT_WIDTH, 1 + TEXT_WIDTH
        for axis in (1, 2):
            self._gram = np.insert(self._gram, [1] * TEXT_WIDTH, 0.0, axis=axis)
        self._moment = np.insert(self._moment, [1] * TEXT_WIDTH, 0.0, axis=1)
        self._solved.forget()

    def _solve(self) -> None:
        """Bring the solution up to date."""
        texts = sum(count > 0.5 for count in self._texts.values())
        here = self._present > 0.5
        count = max(1, texts + int(here.sum()))
        some = np.where(here, self._present, 1.0)
        mean = self._sum / some
        square = self._square / some
        variance = square - mean * mean
        # One value only: its own size, so that twice as much is far and one in a thousand near.
        flat = variance <= _ROUNDING * _ROUNDING * (square + self._pivots**2)
        size = np.abs(mean + self._pivots)
        spread = np.where(flat, size, np.sqrt(np.maximum(variance, 0.0)))
        spread = np.where(spread > 1.0 / _LARGEST, spread, 1.0)
        spread = np.exp2(np.round(2.0 * np.log2(spread)) / 2.0)
        centre = spread * np.round((mean + self._pivots) / spread) - self._pivots
        scale = np.where(here, 1.0 / (spread * math.sqrt(count)), 0.0)
        # Scales of the features, and what is taken off before: (constant, texts, numbers).
        words = 1.0 / math.sqrt(count) if texts else 0.0
        scales = np.concatenate([[_CONSTANT], np.full(self._start - 1, words), scale])
        offsets = np.concatenate([np.zeros(self._start), centre])
        farthest = max(1.0, _FARTHEST / math.sqrt(count))
        self._solved.update(self._gram, self._moment, offsets, scales, farthest)


class _Solution:
    """Inverses and coefficients in standardised features, for sums at some moment."""

    def __init__(self, ridge: float) -> None:
        self._ridge = ridge
        #: Features are (raw - offsets) · scales.
        self._offsets, self._scales = np.zeros(1), np.full(1, _CONSTANT)
        #: Where features are cut when a prediction is asked for.
        self._farthest = 1.0
        self._inverse: Floats = np.zeros((0, 1, 1))
        self._theta = np.zeros((0, 1))
        self._pending: list[tuple[int, Floats, Floats]] = []
        self._updates = 0
        #: Whether the inverse lacks nothing but what is pending.
        self._whole = False
        self.stale = True

    def forget(self) -> None:
        """Compute everything anew next time."""
        self._whole = False
        self.stale = True
        self._pending.clear()

    def pend(self, row: int, raw: Floats, weights: Floats) -> None:
        """Note that outcomes were added to the sums of an approach."""
        self.stale = True
        if self._whole:
            self._pending.append((row, raw, weights))
            waiting = sum(len(more) for _, _, more in self._pending)
            self._whole = waiting <= _MOST_PENDING

    def belief(self, raw: Floats, rows: npt.NDArray[np.intp]) -> Belief:
        """Return predictions for approaches by row; -1 for one that isn't known."""
        features = (raw - self._offsets) * self._scales
        # Words and the constant are shorter than that anyway.
        np.clip(features, -self._farthest, self._farthest, out=features)
        widest = float(features @ features) / self._ridge
        missing = rows < 0
        if missing.all():
            return Belief(np.zeros(len(rows)), np.full(len(rows), math.sqrt(widest)))
        columns = (self._inverse @ features)[rows]
        mean, square = self._theta[rows] @ features, columns @ features
        if missing.any():
            mean, square = np.where(missing, 0.0, mean), np.where(missing, widest, square)
        return Belief(mean, np.sqrt(np.clip(square, 1e-12, widest)))

    def update(
        self, gram: Floats, moment: Floats, offsets: Floats, scales: Floats, farthest: float
    ) -> None:
        """Follow the sums: by rank-one updates while the features mean the same."""
        self._farthest = farthest
        same = (
            self._whole
            and np.array_equal(offsets, self._offsets)
            and np.array_equal(scales, self._scales)
            and len(self._theta) == len(gram)
            and self._updates <= _MOST_UPDATES
        )
        self._offsets, self._scales = offsets, scales
        if same and self._follow():
            rows = sorted({row for row, _, _ in self._pending})
        else:
            self._anew(gram)
            rows = list(range(len(gram)))
        for row in rows:
            target = (moment[row] - offsets * moment[row, 0]) * scales
            self._theta[row] = self._inverse[row] @ target
        self._pending.clear()
        self._whole, self.stale = True, False

    def _follow(self) -> bool:
        """Take up what is pending; return False if that would lose digits."""
        for row, raw, weights in self._pending:
            for features, weight in zip(
                (raw - self._offsets) * self._scales, weights.tolist(), strict=True
            ):
                column = self._inverse[row] @ features
                bottom = 1.0 + weight * float(column @ features)
                # What is taken back may leave almost nothing.
                if bottom < 0.1:
                    return False
                self._inverse[row] -= (weight / bottom * column)[:, None] * column
            self._updates += len(weights)
        return True

    def _anew(self, gram: Floats) -> None:
        # The first raw feature is 1, so subtracting offsets is a shear along it.
        shifted = gram - self._offsets[:, None] * gram[:, :1, :]
        shifted -= shifted[:, :, :1] * self._offsets
        whole = shifted * (self._scales[:, None] * self._scales)
        size = len(self._scales)
        whole = 0.5 * (whole + whole.transpose(0, 2, 1))
        whole[:, np.arange(size), np.arange(size)] += self._ridge
        self._inverse = np.linalg.inv(whole)
        self._theta = np.zeros((len(gram), size))
        self._updates = 0


def _clipped(value: float) -> float:
    return min(max(float(value), -_LARGEST), _LARGEST)


def _hashed_words(name: str, text: str) -> Floats:
    """Return a text's words as signed counts of length one."""
    counts = np.zeros(TEXT_WIDTH)
    for word in normal_text(text).split() or [""]:
        hashed = _hash(f"text {name}", word)
        counts[hashed % TEXT_WIDTH] += 1.0 if hashed & 0x10000 else -1.0
    length = math.sqrt(float(counts @ counts))
    return counts / length if length else counts
