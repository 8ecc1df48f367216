"""Where bars come from: the bundled history, the user's files, or synthetic markets.

`load` is what a run calls; it puts together what the other functions do, one each. Reads files
(``files``), has them checked or mended (``checks``), and lays all symbols on one calendar as
`Bars`; ``synthetic`` makes the rest. Everything above sees only `Bars`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from swarm_runtime.config import DataSettings
from swarm_runtime.errors import ConfigError, DataError
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.checks import MAXIMUM_GAP_DAYS, Quotes, clean
from swarm_runtime.trading.files import find_files, packaged_file, read_table
from swarm_runtime.trading.synthetic import placebo, planted_regimes

__all__ = ["LoadedBars", "between", "load", "load_bundled", "load_files"]


@dataclass(frozen=True, slots=True)
class LoadedBars:
    """Bars, and what was done to them on the way in.

    Attributes
    ----------
    bars : Bars
    repairs : tuple of str
        One sentence for each kind of fault mended in each file, and for each symbol left out;
        empty when everything was taken as it is.
    """

    bars: Bars
    repairs: tuple[str, ...] = ()


def load(settings: DataSettings) -> LoadedBars:
    """Return the bars that some settings ask for.

    First the source (``paths`` imply files, and under ``placebo`` the files are what is shuffled),
    then the symbols, then the dates, and only then the shuffling, so that a placebo has the
    returns of exactly the bars it stands for. Times at which none of the chosen symbols has a bar
    are dropped. Where no symbols are named, those without a bar between the dates are left out;
    this is noted among the repairs.

    Raises
    ------
    DataError
        See `load_files` and `between`; or a symbol isn't there.
    ConfigError
        If ``paths`` are missing or don't go with the source, or a symbol is named twice.
    """
    symbols = _wanted(settings.symbols)
    if settings.source == "planted":
        if settings.paths:
            raise ConfigError(
                "data.paths", settings.paths, "a planted market reads no files; leave them out"
            )
        loaded = LoadedBars(planted_regimes(settings.seed).bars)
    elif settings.paths or settings.source == "files":
        if not settings.paths:
            raise ConfigError("data.paths", (), "name the files or folders to read")
        loaded = load_files(settings.paths, repair=settings.repair)
    else:
        loaded = load_bundled()
    bars, repairs = loaded.bars, list(loaded.repairs)
    if symbols:
        bars = bars.select(symbols)
        bars = _at(bars, np.any(bars.tradable, axis=1))
    bars = between(bars, settings.start, settings.stop)
    trades = np.any(bars.tradable, axis=0)
    if not trades.all():
        idle = [symbol for symbol, does in zip(bars.symbols, trades, strict=True) if not does]
        span = f"from {_day(bars, 0)} to {_day(bars, -1)}"
        if symbols:
            raise DataError("symbols", f"{', '.join(idle)}: no bars {span}; leave it out")
        repairs += [f"{symbol}: left out, no bars {span}" for symbol in idle]
        bars = bars.select([symbol for symbol in bars.symbols if symbol not in idle])
    if settings.source == "placebo":
        bars = placebo(bars, settings.seed)
    return LoadedBars(bars, tuple(repairs))


def load_bundled() -> LoadedBars:
    """Return real daily bars of AAPL, FB, GOOG, IBM and MSFT, 2000-03-01 to 2013-03-01.

    They come with the package ``bokeh_sampledata`` (from Quandl WIKI Prices, declared public
    domain), adjusted here for splits and dividends. GOOG begins 2004-08-19, FB 2012-05-18.

    Raises
    ------
    DataError
        If the package isn't installed or too old to carry the table.
    """
    path = packaged_file("bokeh_sampledata", "_data/stocks.csv.gz")
    quotes, _ = clean(read_table(path))
    return LoadedBars(_on_one_calendar(quotes))


def load_files(paths: Iterable[str | Path], *, repair: bool = False) -> LoadedBars:
    """Return the bars in CSV and Parquet files, or in folders of them.

    Each file holds one symbol (named by its stem, in capitals) or has a column Symbol (or
    Ticker). It has the columns Date (or Datetime, Timestamp, or a frame's index), Open, High, Low,
    Close, Volume, and perhaps Adj Close, by which prices are then adjusted; case, blanks and
    underscores in names don't matter, and other columns are passed over.

    Times are when a bar *closes*; a time without offset is taken as UTC. A file whose times are
    all midnights is daily, and its dates are kept as written, whatever the offset.

    Parameters
    ----------
    paths : iterable of str or Path
    repair : bool
        Mend what can be mended; ``checks`` lists what is checked, and how it is mended.

    Raises
    ------
    DataError
        Naming the file, the line, the reason, and what to do.
    """
    files = find_files(paths)
    if not files:
        raise DataError("paths", "no file is named")
    quotes: list[Quotes] = []
    repairs: list[str] = []
    for file in files:
        some, mended = clean(read_table(file), repair=repair)
        quotes += some
        repairs += mended
    _agree(quotes)
    return LoadedBars(_on_one_calendar(quotes), tuple(repairs))


def between(bars: Bars, start: datetime.date | None, stop: datetime.date | None) -> Bars:
    """Return the bars from one date to another, both inclusive; None leaves an end open.

    An end may lie up to `MAXIMUM_GAP_DAYS` outside the data, so that one may ask for a year that
    begins or ends on a holiday; further out it is refused rather than cut silently.

    Raises
    ------
    DataError
        Naming the dates that the data has, if an end lies outside, they are the wrong way round,
        or fewer than two bars lie between them.
    """
    first, last = _day(bars, 0), _day(bars, -1)
    has = f"the data has {first} to {last}"
    slack = datetime.timedelta(days=MAXIMUM_GAP_DAYS)
    if start is not None and stop is not None and start > stop:
        raise DataError("dates", f"from {start} to {stop} is the wrong way round; {has}")
    for name, date in (("from", start), ("to", stop)):
        if date is not None and not first - slack <= date <= last + slack:
            raise DataError("dates", f"{name} {date} is outside the data; {has}")
    days = bars.times.astype("datetime64[D]")
    low = 0 if start is None else int(np.searchsorted(days, np.datetime64(start, "D")))
    high = (
        bars.count
        if stop is None
        else int(np.searchsorted(days, np.datetime64(stop, "D"), side="right"))
    )
    if high - low < 2:
        raise DataError(
            "dates",
            f"{max(high - low, 0)} bars from {start or first} to {stop or last}, two or more are "
            f"needed; {has}",
        )
    return bars.rows(low, high)


def _wanted(symbols: Sequence[str]) -> list[str]:
    """Return the symbols as they are spelt in `Bars`.

    Raises
    ------
    ConfigError
        If one is named twice: its account would be split in two.
    """
    wanted = [symbol.strip().upper() for symbol in symbols]
    for place, symbol in enumerate(wanted):
        if symbol in wanted[:place]:
            raise ConfigError("data.symbols", tuple(symbols), f"{symbol} is named twice")
    return wanted


def _agree(quotes: Sequence[Quotes]) -> None:
    """Check that quotes from several files belong on one calendar.

    Raises
    ------
    DataError
        If two hold the same symbol, or their times aren't of one kind.
    """
    seen: dict[str, str] = {}
    for one in quotes:
        if one.symbol in seen:
            raise DataError(
                one.source, f"{one.symbol} is in {seen[one.symbol]} too; keep one of them"
            )
        seen[one.symbol] = one.source
    first = quotes[0]
    for one in quotes[1:]:
        if one.daily != first.daily:
            kinds = ("times of day", "dates only")
            raise DataError(
                one.source,
                f"this has {kinds[one.daily]}, {first.source} has {kinds[first.daily]}; all files "
                "of one run need the same",
            )
        if one.zoned != first.zoned and not one.daily:
            kinds = ("no UTC offset", "a UTC offset")
            raise DataError(
                one.source,
                f"its times have {kinds[one.zoned]}, those of {first.source} have "
                f"{kinds[first.zoned]}; all files of one run need the same",
            )


def _on_one_calendar(quotes: Sequence[Quotes]) -> Bars:
    """Lay quotes on the union of their times, prices carried as `Bars` says."""
    times = np.unique(np.concatenate([one.times for one in quotes]))
    shape = (len(times), len(quotes))
    open_, high, low, close, volume = (np.zeros(shape) for _ in range(5))
    tradable = np.zeros(shape, dtype=np.bool_)
    for column, one in enumerate(quotes):
        at = np.searchsorted(times, one.times)
        # Number of the symbol's bars up to each time, less one: -1 before its first.
        latest = np.searchsorted(one.times, times, side="right") - 1
        carried = np.where(latest < 0, one.prices[0, 0], one.prices[np.maximum(latest, 0), 3])
        for place, array in enumerate((open_, high, low, close)):
            array[:, column] = carried
            array[at, column] = one.prices[:, place]
        volume[at, column] = one.volume
        tradable[at, column] = True
    symbols = tuple(one.symbol for one in quotes)
    return Bars(symbols, times, open_, high, low, close, volume, tradable)


def _at(bars: Bars, keep: npt.NDArray[np.bool_]) -> Bars:
    """Return the bars at some of the times; ``keep`` has shape (T,)."""
    return Bars(
        bars.symbols,
        bars.times[keep],
        bars.open[keep],
        bars.high[keep],
        bars.low[keep],
        bars.close[keep],
        bars.volume[keep],
        bars.tradable[keep],
    )


def _day(bars: Bars, row: int) -> datetime.date:
    day: datetime.date = bars.times[row].astype("datetime64[D]").item()
    return day
