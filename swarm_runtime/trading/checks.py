"""From a raw table to clean quotes: every check a file must pass, and how each fault is mended.

Pure; imports only errors. ``files`` reads the tables, ``data`` above both lays the quotes on one
calendar. The checks run in this order, and a mended table goes through them in the same order:

1. text that is no date or number, dates with and without a zone: refused, never mended
2. incomplete rows (a missing or infinite value): dropped
3. a price that isn't above zero, a negative volume: dropped
4. dates that don't rise: sorted
5. a date that comes twice: the later line wins
6. high below low, open or close outside them by more than `ROUNDING`: high and low widened
7. more than `MAXIMUM_GAP_DAYS` without a bar: accepted
8. fewer than two rows: refused, never mended
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import DataError

__all__ = ["MAXIMUM_GAP_DAYS", "ROUNDING", "Quotes", "Table", "clean"]

#: Longest time between two bars of a symbol, in calendar days. The longest that a US exchange
#: was shut in decades was 7 (September 2001); more means that rows are missing.
MAXIMUM_GAP_DAYS = 10
#: How far, relatively, open or close may lie beyond high or low before it counts as a fault
#: rather than as a rounded price; high and low are then widened to hold them.
ROUNDING = 1e-3

#: Text that stands for "no value" in exported tables.
_NOTHING = frozenset({"", "-", "nan", "nat", "na", "n/a", "#n/a", "null", "none"})
_FIELDS = ("open", "high", "low", "close", "volume", "adj_close")
_MIDNIGHT = datetime.time()
_REPAIR = "data.repair = true"

Times = npt.NDArray[np.datetime64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Table:
    """The recognised columns of one file, as they stand there.

    Attributes
    ----------
    source : str
        The file, as the user named it.
    symbol : str
        The file's stem in capitals: the symbol of a table without a symbol column.
    columns : dict of str to list
        ``date``, ``open``, ``high``, ``low``, ``close``, ``volume`` and, where the file has them,
        ``adj_close`` and ``symbol``; text (CSV) or Python objects (Parquet), all of one length.
    names : dict of str to str
        What the file itself calls each column.
    lines : list of int
        The line of each row; the header is line 1. A Parquet file's rows are numbered as they
        would be in a CSV file, so its first row is line 2.
    """

    source: str
    symbol: str
    columns: dict[str, list[object]]
    names: dict[str, str]
    lines: list[int]


@dataclass(frozen=True, slots=True)
class Quotes:
    """The clean bars of one symbol.

    Attributes
    ----------
    symbol, source : str
    times : ndarray of datetime64[s], shape (N,)
        Strictly rising; N >= 2.
    prices : ndarray of float64, shape (N, 4)
        Open, high, low, close: adjusted, > 0, with low <= open, close <= high.
    volume : ndarray of float64, shape (N,)
    daily : bool
        Every time was given as a date, or as midnight.
    zoned : bool
        Times were given with an offset from UTC.
    """

    symbol: str
    source: str
    times: Times
    prices: Floats
    volume: Floats
    daily: bool
    zoned: bool


def clean(table: Table, *, repair: bool = False) -> tuple[list[Quotes], tuple[str, ...]]:
    """Check a table, or mend it, and split it by symbol.

    Times with an offset become UTC, unless all of them are midnights: then they are dates, and
    the date is kept as written. O, H, L and C are multiplied by adj_close / close where the table
    has an adjusted close; volume is left as it is.

    Parameters
    ----------
    table : Table
    repair : bool
        Mend what can be mended instead of refusing it.

    Returns
    -------
    list of Quotes
        In the order in which symbols first appear.
    tuple of str
        One sentence for each kind of fault mended.

    Raises
    ------
    DataError
        Naming the file, the first line at fault, the reason, and what to do.
    """
    if not table.lines:
        raise DataError(table.source, "there is a header but no bar; two bars or more are needed")
    times, daily, zoned = _times(table)
    fields = [field for field in _FIELDS if field in table.columns]
    values = np.column_stack([_numbers(table, field) for field in fields])
    lines = np.asarray(table.lines)
    quotes, repairs = [], []
    for symbol, rows in _by_symbol(table):
        source = f"{table.source} ({symbol})" if "symbol" in table.columns else table.source
        mender = _Mender(source, repair)
        names = [table.names[field] for field in fields]
        kept = _mended(mender, times[rows], values[rows], lines[rows], names, daily)
        quotes.append(_quotes(symbol, source, *kept, daily=daily, zoned=zoned))
        repairs += mender.repairs
    return quotes, tuple(repairs)


class _Mender:
    """Refuses the first fault it is told of, or keeps account of those to be mended."""

    def __init__(self, source: str, repair: bool) -> None:
        self.source, self.repair = source, repair
        self.repairs: list[str] = []

    def faults(
        self,
        wrong: Mask,
        lines: npt.NDArray[np.int64],
        reason: Callable[[int], str],
        remedy: str,
        mended: str,
    ) -> bool:
        """Return whether any row is wrong and is to be mended now.

        ``remedy`` ends "set data.repair = true to ..."; ``mended`` says in the past tense what
        repair did.
        """
        at = np.flatnonzero(wrong)
        if not len(at):
            return False
        first, more = int(lines[at[0]]), len(at) - 1
        if not self.repair:
            also = f" ({more} more such line{'s' if more > 1 else ''})" if more else ""
            raise DataError(
                self.source,
                f"{reason(int(at[0]))}{also}. Correct the file, or set {_REPAIR} to {remedy}",
                first,
            )
        which = f"line {first}" + (f" and {more} more" if more else "")
        self.repairs.append(f"{self.source}: {mended} ({which})")
        return True


def _mended(
    mender: _Mender,
    times: Times,
    values: Floats,
    lines: npt.NDArray[np.int64],
    names: list[str],
    daily: bool,
) -> tuple[Times, Floats]:
    """Run the checks 2 to 8 of the module's list over one symbol's rows."""

    def when(row: int) -> str:
        return str(times[row].astype("datetime64[D]") if daily else times[row])

    def incomplete_at(row: int) -> str:
        if np.isnat(times[row]):
            return "the date is missing"
        field = int(np.flatnonzero(~np.isfinite(values[row]))[0])
        kind = "missing" if math.isnan(values[row, field]) else "not finite"
        return f"{names[field]} is {kind}"

    def worthless_at(row: int) -> str:
        field = int(np.flatnonzero(worthless_cells[row])[0])
        need = "a volume can't be negative" if field == 4 else "prices must be above zero"
        return f"{names[field]} is {values[row, field]:g}; {need}"

    incomplete = np.isnat(times) | np.any(~np.isfinite(values), axis=1)
    if mender.faults(
        incomplete, lines, incomplete_at, "drop such lines", "dropped incomplete lines"
    ):
        times, values, lines = times[~incomplete], values[~incomplete], lines[~incomplete]

    worthless_cells = values <= 0
    worthless_cells[:, 4] = values[:, 4] < 0
    worthless = np.any(worthless_cells, axis=1)
    if mender.faults(
        worthless,
        lines,
        worthless_at,
        "drop such lines",
        "dropped lines with a price that isn't above zero or a negative volume",
    ):
        times, values, lines = times[~worthless], values[~worthless], lines[~worthless]

    falls = np.zeros(len(times), dtype=np.bool_)
    falls[1:] = times[1:] < times[:-1]
    if mender.faults(
        falls,
        lines,
        lambda row: f"{when(row)} comes after {when(row - 1)}; dates must rise",
        "sort by date",
        "sorted by date",
    ):
        order = np.argsort(times, kind="stable")
        times, values, lines = times[order], values[order], lines[order]

    twice = np.zeros(len(times), dtype=np.bool_)
    twice[1:] = times[1:] == times[:-1]
    if mender.faults(
        twice,
        lines,
        lambda row: f"{when(row)} comes twice (also in line {lines[row - 1]})",
        "keep the later line",
        "of lines with the same date kept the last",
    ):
        last = np.append(~twice[1:], True)
        times, values, lines = times[last], values[last], lines[last]

    outside = _outside(values)
    if mender.faults(
        outside,
        lines,
        lambda row: _outside_reason(values[row], names),
        "widen high and low",
        "widened high and low to hold open and close",
    ):
        # Of such a bar even high and low may be exchanged, so all four decide.
        values[outside, 1], values[outside, 2] = (
            values[outside, :4].max(axis=1),
            values[outside, :4].min(axis=1),
        )

    gap = np.zeros(len(times), dtype=np.bool_)
    gap[1:] = np.diff(times) > np.timedelta64(MAXIMUM_GAP_DAYS * 86_400, "s")
    mender.faults(
        gap,
        lines,
        lambda row: (
            f"{(times[row] - times[row - 1]) // np.timedelta64(86_400, 's')} days without a bar "
            f"before {when(row)}; {MAXIMUM_GAP_DAYS} are the most that a calendar explains"
        ),
        "accept gaps",
        f"accepted gaps of more than {MAXIMUM_GAP_DAYS} days",
    )
    if len(times) < 2:
        left = "are left" if mender.repairs else "are there"
        raise DataError(mender.source, f"two bars or more are needed; {len(times)} {left}")
    return times, values


def _outside(values: Floats) -> Mask:
    """Return which bars contradict themselves by more than rounding; shape (N,)."""
    ends = values[:, [0, 3]]
    above = ends.max(axis=1) * (1 - ROUNDING) > values[:, 1]
    below = ends.min(axis=1) * (1 + ROUNDING) < values[:, 2]
    return np.asarray((values[:, 1] < values[:, 2]) | above | below, dtype=np.bool_)


def _outside_reason(row: Floats, names: list[str]) -> str:
    if row[1] < row[2]:
        return f"{names[1]} {row[1]:g} is below {names[2]} {row[2]:g}"
    for field in (0, 3):
        if not row[2] <= row[field] <= row[1]:
            return (
                f"{names[field]} {row[field]:g} lies outside {names[2]} {row[2]:g} to "
                f"{names[1]} {row[1]:g}"
            )
    raise AssertionError("called for a bar that is right")


def _quotes(
    symbol: str, source: str, times: Times, values: Floats, *, daily: bool, zoned: bool
) -> Quotes:
    prices = values[:, :4].copy()
    prices[:, 1] = prices.max(axis=1)  # what rounding leaves outside is taken in
    prices[:, 2] = prices.min(axis=1)
    if values.shape[1] == 6:
        # One factor for all four, correctly rounded: the order within the bar can't change.
        prices *= (values[:, 5] / values[:, 3])[:, np.newaxis]
    return Quotes(symbol, source, times, prices, values[:, 4].copy(), daily, zoned)


def _by_symbol(table: Table) -> list[tuple[str, npt.NDArray[np.int64]]]:
    """Return each symbol with its rows, in the order of first appearance."""
    if "symbol" not in table.columns:
        return [(table.symbol, np.arange(len(table.lines)))]
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(table.columns["symbol"]):
        symbol = "" if value is None else str(value).strip().upper()
        if not symbol:
            raise DataError(
                table.source, f"{table.names['symbol']} is missing; name it", table.lines[row]
            )
        rows.setdefault(symbol, []).append(row)
    return [(symbol, np.asarray(its)) for symbol, its in rows.items()]


def _numbers(table: Table, field: str) -> Floats:
    """Return a column as float64, NaN where there is no value; shape (N,)."""
    out = np.empty(len(table.lines))
    for row, value in enumerate(table.columns[field]):
        try:
            out[row] = float(value)  # type: ignore[arg-type]  # what isn't a number raises
        except (TypeError, ValueError):
            if value is not None and str(value).strip().lower() not in _NOTHING:
                raise DataError(
                    table.source,
                    f"{table.names[field]} is {value!r}, which is no number; write 1234.5",
                    table.lines[row],
                ) from None
            out[row] = math.nan
    return out


def _times(table: Table) -> tuple[Times, bool, bool]:
    """Return times (NaT where there is none), whether all are dates, whether they had a zone."""
    stamps = [_stamp(table, row) for row in range(len(table.lines))]
    known = [(row, stamp) for row, stamp in enumerate(stamps) if stamp is not None]
    if not known:
        return np.full(len(stamps), "NaT", dtype="datetime64[s]"), True, False
    zoned = known[0][1].tzinfo is not None
    for row, stamp in known:
        if (stamp.tzinfo is not None) != zoned:
            raise DataError(
                table.source,
                f"{table.columns['date'][row]} has {'no' if zoned else 'a'} UTC offset, unlike "
                f"line {table.lines[known[0][0]]}; write all times with one or all without",
                table.lines[row],
            )
    daily = all(stamp.time() == _MIDNIGHT for _, stamp in known)
    if zoned and not daily:
        stamps = [stamp and stamp.astimezone(datetime.UTC) for stamp in stamps]
    return (
        np.array([stamp and stamp.replace(tzinfo=None) for stamp in stamps], dtype="datetime64[s]"),
        daily,
        zoned,
    )


def _stamp(table: Table, row: int) -> datetime.datetime | None:
    """Return one time as it stands in the table, in whole seconds, or None if it is missing."""
    value = table.columns["date"][row]
    if isinstance(value, datetime.datetime):
        return value.replace(microsecond=0)
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, _MIDNIGHT)
    text = "" if value is None else str(value).strip()
    if text.lower() in _NOTHING:
        return None
    try:
        # Digits alone are 20200131 or a count of seconds, which mustn't pass for a date.
        if text.isdigit() and len(text) != 8:
            raise ValueError(text)
        # 2020/01/31 is as plain as 2020-01-31; 01/02/2020 is not, and is refused.
        return datetime.datetime.fromisoformat(text.replace("/", "-")).replace(microsecond=0)
    except ValueError:
        raise DataError(
            table.source,
            f"{table.names['date']} is {text!r}, which is no date; write 2020-01-31 or "
            "2020-01-31 16:00:00",
            table.lines[row],
        ) from None
