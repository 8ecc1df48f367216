"""Does a strategy look ahead? It is run without a future, and with another one.

What a function says about row t may rest on rows <= t alone. So it is given the bars up to a cut
and nothing else (the truncation test), and bars whose prices after the cut are other ones (which
also finds what looks ahead only while the array is as long as before). In both cases every row up
to the cut must be, bit for bit, what it is with all bars. Cuts are spread over the data, some of
them on consecutive bars (for what looks ahead within a week), and some lie where a strategy
changes its mind, since that is where a peek pays.

Pure. Below: ``features``, ``strategies``. Above: ``swarm check-strategy`` and the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import DataError, StrategyError
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.features import FEATURES, context_features
from swarm_runtime.trading.strategies import Strategy, approach_name, checked_targets
from swarm_runtime.trading.strategies.base import raw_targets

__all__ = [
    "SMALLEST_COUNT",
    "LookaheadReport",
    "Offence",
    "check_features",
    "check_strategy",
    "default_cuts",
]

Floats = npt.NDArray[np.float64]
#: Gives one array of shape (T, S) for each name that is checked.
_Function = Callable[[Bars], Sequence[Floats]]

#: Bars below which a check would say nothing.
SMALLEST_COUNT = 60

#: Bars left at least by the cuts made here; a history of two bars is no fair question.
_SHORTEST = 30
_SPREAD_CUTS, _CONSECUTIVE_CUTS, _CHANGE_CUTS = 12, 6, 12


@dataclass(frozen=True, slots=True)
class Offence:
    """The first value of one candidate (or feature) that isn't a function of the past.

    Attributes
    ----------
    name : str
        The candidate, or the feature.
    test : str
        ``truncated`` (later bars taken away), ``changed`` (later prices changed) or ``repeated``
        (the same bars twice).
    cut : datetime64[s]
        Time of the last bar that was left as it was.
    row : int
    time : datetime64[s]
        Time of that row.
    symbol : str
    with_future, without_future : float
        The value with all bars, and with the bars of the test.
    """

    name: str
    test: Literal["truncated", "changed", "repeated"]
    cut: np.datetime64
    row: int
    time: np.datetime64
    symbol: str
    with_future: float
    without_future: float

    def __str__(self) -> str:
        where = f"{self.name}: the value for {self.symbol} on {_date(self.time)} (row {self.row})"
        first, second = f"{self.with_future:.10g}", f"{self.without_future:.10g}"
        if first == second:
            first, second = repr(self.with_future), repr(self.without_future)
        if self.test == "repeated":
            return f"{where} is {first} in one call and {second} in the next, with the same bars"
        if self.test == "truncated":
            return (
                f"{where} is {second} if the bars end on {_date(self.cut)}, {first} if they go on"
            )
        return f"{where} is {first}, but {second} if prices after {_date(self.cut)} are other ones"


@dataclass(frozen=True, slots=True)
class LookaheadReport:
    """What a check found.

    Attributes
    ----------
    subject : str
        What was checked: a strategy's kind, or ``features``.
    names : tuple of str
        Its candidates, or the features.
    cuts : tuple of int
        How many of the first bars were left as they were, for each cut.
    offences : tuple of Offence
        The first of each candidate that has one.
    """

    subject: str
    names: tuple[str, ...]
    cuts: tuple[int, ...]
    offences: tuple[Offence, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.offences

    def __str__(self) -> str:
        if self.ok:
            return (
                f"{self.subject} does not look ahead: nothing changed without the future, or with "
                f"another one, at {len(self.cuts)} cuts (checked: {', '.join(self.names)})"
            )
        blind = all(offence.test == "repeated" for offence in self.offences)
        verdict = "does not repeat itself" if blind else "looks ahead"
        return "\n".join([f"{self.subject} {verdict}:", *(f"  {one}" for one in self.offences)])


def default_cuts(count: int) -> tuple[int, ...]:
    """Return where ``count`` bars are cut: a dozen places all over, and six consecutive ones.

    Distances differ, so that no weekday or month's end is hit each time.
    """
    room = count - _SHORTEST
    spread = (
        _SHORTEST + (place + 1) * room // (_SPREAD_CUTS + 1) - place % 5
        for place in range(_SPREAD_CUTS)
    )
    row = range(_SHORTEST + 2 * room // 3, _SHORTEST + 2 * room // 3 + _CONSECUTIVE_CUTS)
    return tuple(sorted({min(max(cut, 1), count - 1) for cut in (*spread, *row)}))


def check_strategy(
    strategy: Strategy, bars: Bars, *, cuts: Sequence[int] | None = None
) -> LookaheadReport:
    """Tell whether any candidate of a strategy uses bars it can't know yet.

    Parameters
    ----------
    strategy : Strategy
    bars : Bars, at least ``SMALLEST_COUNT``
    cuts : sequence of int (0 < cut < T), optional
        How many bars are left in each truncated run; ``default_cuts`` unless given. A dozen rows
        on which targets change come on top.

    Raises
    ------
    StrategyError
        If the strategy raises or returns what isn't a target, on all bars or on the first few.
    DataError
        If there are too few bars.
    """
    names = tuple(approach_name(strategy.kind, one) for one in strategy.parameters)

    def targets(some: Bars) -> list[Floats]:
        if some.count == bars.count:
            return [checked_targets(strategy, some, one) for one in strategy.parameters]
        try:
            # Unchecked: where a value without the future is NaN, it is another one than with it.
            return [raw_targets(strategy, some, one) for one in strategy.parameters]
        except StrategyError as error:
            raise StrategyError(
                error.strategy,
                f"with the first {some.count} bars alone: {error.reason}. Of a history that is "
                "too short a strategy wants 0",
            ) from None

    return _check(strategy.kind, names, targets, bars, cuts)


def check_features(
    bars: Bars,
    *,
    cuts: Sequence[int] | None = None,
    compute: Callable[[Bars], Floats] = context_features,
) -> LookaheadReport:
    """Tell whether any feature of the context uses bars it can't know yet.

    Parameters
    ----------
    bars, cuts : see ``check_strategy``
    compute : callable from Bars to ndarray of shape (T, S, F)

    Raises
    ------
    DataError
        If there are too few bars.
    """

    def columns(some: Bars) -> list[Floats]:
        features = compute(some)
        return [features[:, :, at] for at in range(len(FEATURES))]

    return _check("features", tuple(one.name for one in FEATURES), columns, bars, cuts)


def _check(
    subject: str,
    names: tuple[str, ...],
    function: _Function,
    bars: Bars,
    cuts: Sequence[int] | None,
) -> LookaheadReport:
    if bars.count < SMALLEST_COUNT:
        raise DataError("bars", f"{bars.count} are too few to tell; give at least {SMALLEST_COUNT}")
    chosen = default_cuts(bars.count) if cuts is None else tuple(sorted(set(cuts)))
    for cut in chosen:
        if not 0 < cut < bars.count:
            raise ValueError(f"a cut is from 1 to {bars.count - 1}, not {cut}")
    # Short runs come first, the whole one after them: what remembers bars it was shown before
    # can't have seen the future yet.
    short = [(cut, function(bars.rows(0, cut))) for cut in chosen]
    whole = function(bars)
    again = function(bars)
    changes = tuple(cut for cut in _change_cuts(whole) if cut not in chosen)

    def runs() -> Iterator[tuple[Literal["truncated", "changed"], int, Sequence[Floats]]]:
        for cut, values in short:
            yield "truncated", cut, values
        for cut in chosen:
            yield "changed", cut, function(_with_other_future(bars, cut))
        for cut in changes:
            yield "truncated", cut, function(bars.rows(0, cut))

    found: dict[int, Offence] = {}

    def compare(
        test: Literal["truncated", "changed", "repeated"], cut: int, values: Sequence[Floats]
    ) -> None:
        for at, (full, other) in enumerate(zip(whole, values, strict=True)):
            differs = full[:cut] != other[:cut]
            if at in found or not differs.any():
                continue
            row, column = np.unravel_index(int(np.argmax(differs)), differs.shape)
            found[at] = Offence(
                names[at],
                test,
                bars.times[cut - 1],
                int(row),
                bars.times[row],
                bars.symbols[column],
                float(full[row, column]),
                float(other[row, column]),
            )

    compare("repeated", bars.count, again)
    for test, cut, values in runs():
        compare(test, cut, values)
    offences = tuple(found[at] for at in sorted(found))
    return LookaheadReport(subject, names, tuple(sorted((*chosen, *changes))), offences)


def _change_cuts(values: Sequence[Floats]) -> tuple[int, ...]:
    """Return cuts that leave a row on which some value changes as the last one, spread evenly."""
    changes = np.zeros(len(values[0]), dtype=np.bool_)
    for one in values:
        changes[1:] |= (one[1:] != one[:-1]).any(axis=1)
    rows = np.flatnonzero(changes[:-1])
    rows = rows[rows >= _SHORTEST]
    picked = (
        rows[np.linspace(0, len(rows) - 1, _CHANGE_CUTS).astype(np.int64)] if len(rows) else rows
    )
    return tuple(sorted({int(row) + 1 for row in picked}))


def _with_other_future(bars: Bars, cut: int) -> Bars:
    """Return the bars with each price after the cut moved up or down, in turns, by a lot.

    Levels, returns, extremes and their order between symbols all change; what a bar promises
    (positive prices, low <= open, close <= high) holds.
    """
    row = np.arange(bars.count)[:, None]
    turn = (row + np.arange(len(bars.symbols)) + cut) % 2 == 0
    factor = np.where(row < cut, 1.0, np.where(turn, 1.6, 0.7))
    return Bars(
        bars.symbols,
        bars.times,
        bars.open * factor,
        bars.high * factor,
        bars.low * factor,
        bars.close * factor,
        bars.volume * factor,
        bars.tradable,
    )


def _date(time: np.datetime64) -> str:
    text = str(time.astype("datetime64[s]"))
    return text.removesuffix("T00:00:00")
