"""A file of prices is refused with its line and reason, or mended where the user asks for it."""

from __future__ import annotations

import re
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from swarm_runtime.errors import DataError
from swarm_runtime.trading.checks import MAXIMUM_GAP_DAYS, Table, clean
from swarm_runtime.trading.data import LoadedBars, load_files

HEADER = "Date,Open,High,Low,Close,Volume"
GOOD = (
    "2020-01-02,10,11,9,10.5,1000",
    "2020-01-03,10.5,12,10,11,1100",
    "2020-01-06,11,11.5,10.5,11.2,900",
    "2020-01-07,11.2,11.4,10.8,11,1200",
)


def written(folder: Path, *lines: str, header: str = HEADER) -> Path:
    path = folder / "abc.csv"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return path


def changed(line: int, text: str) -> tuple[str, ...]:
    """Return the good rows with another text in one line of the file (the header is line 1)."""
    return tuple(text if number == line else row for number, row in enumerate(GOOD, start=2))


def refusal(path: Path, repair: bool = False) -> DataError:
    with pytest.raises(DataError) as caught:
        load_files([path], repair=repair)
    assert caught.value.source.startswith(str(path))
    return caught.value


def days(loaded: LoadedBars) -> list[str]:
    return [str(time)[:10] for time in loaded.bars.times]


#: name: rows, line at fault, what the reason says, what repair says it did, dates then left.
MENDABLE: dict[str, tuple[tuple[str, ...], int, str, str, str]] = {
    "a missing price": (
        changed(3, "2020-01-03,10.5,12,,11,1100"),
        3,
        r"Low is missing\. Correct the file, or set data\.repair = true to drop such lines",
        "dropped incomplete lines (line 3)",
        "02 06 07",
    ),
    "NaN": (changed(4, "2020-01-06,11,nan,10,11,900"), 4, "High is missing", "dropped", "02 03 07"),
    "null": (changed(4, "2020-01-06,null,1,1,1,9"), 4, "Open is missing", "dropped", "02 03 07"),
    "infinity": (changed(4, "2020-01-06,11,inf,1,1,9"), 4, "not finite", "dropped", "02 03 07"),
    "a missing date": (changed(3, ",10,12,10,11,1"), 3, "the date is missing", "dropp", "02 06 07"),
    "a short line": (changed(3, "2020-01-03,10,12"), 3, "Low is missing", "dropped", "02 06 07"),
    "a negative price": (
        changed(3, "2020-01-03,10.5,12,-10,11,1100"),
        3,
        "Low is -10; prices must be above zero",
        "dropped lines with a price that isn't above zero",
        "02 06 07",
    ),
    "a price of zero": (changed(5, "2020-01-07,0,1,0,1,1"), 5, "Open is 0; ", "drop", "02 03 06"),
    "a negative volume": (
        changed(3, "2020-01-03,10.5,12,10,11,-1"),
        3,
        "Volume is -1; a volume can't be negative",
        "negative volume",
        "02 06 07",
    ),
    "unsorted dates": (
        (GOOD[0], GOOD[2], GOOD[1], GOOD[3]),
        4,
        "2020-01-03 comes after 2020-01-06; dates must rise",
        "sorted by date (line 4)",
        "02 03 06 07",
    ),
    "a date twice": (
        changed(4, "2020-01-03,1,1,1,1,1"),
        4,
        r"2020-01-03 comes twice \(also in line 3\)",
        "of lines with the same date kept the last",
        "02 03 07",
    ),
    "high below low": (
        changed(3, "2020-01-03,10.5,10,12,11,1"),
        3,
        "High 10 is below Low 12",
        "widened high and low",
        "02 03 06 07",
    ),
    "open above high": (
        changed(3, "2020-01-03,13,12,10,11,1"),
        3,
        "Open 13 lies outside Low 10 to High 12",
        "widened high and low",
        "02 03 06 07",
    ),
    "close below low": (
        changed(3, "2020-01-03,11,12,10,9,1"),
        3,
        "Close 9 lies outside Low 10 to High 12",
        "widened high and low",
        "02 03 06 07",
    ),
    "a gap": (
        (*GOOD, "2020-01-18,11,12,10,11,1"),
        6,
        "11 days without a bar before 2020-01-18; 10 are the most",
        "accepted gaps of more than 10 days (line 6)",
        "02 03 06 07 18",
    ),
}


@pytest.mark.parametrize("fault", MENDABLE)
def test_a_fault_that_could_be_mended_is_refused_with_its_line_and_the_way_out(
    tmp_path: Path, fault: str
) -> None:
    rows, line, reason, _, _ = MENDABLE[fault]
    error = refusal(written(tmp_path, *rows))
    assert error.row == line
    assert re.search(reason, error.reason)
    assert "data.repair = true" in error.reason
    assert f"abc.csv, line {line}: " in str(error)


@pytest.mark.parametrize("fault", MENDABLE)
def test_a_fault_is_mended_where_the_user_asks_for_it_and_is_accounted_for(
    tmp_path: Path, fault: str
) -> None:
    rows, line, _, mended, left = MENDABLE[fault]
    loaded = load_files([written(tmp_path, *rows)], repair=True)
    assert len(loaded.repairs) == 1
    assert mended in loaded.repairs[0] and f"line {line}" in loaded.repairs[0]
    assert days(loaded) == [f"2020-01-{day}" for day in left.split()]


def test_of_two_lines_with_one_date_the_later_one_is_kept_even_when_both_were_out_of_order(
    tmp_path: Path,
) -> None:
    early, late = "2020-01-03,1,1,1,1,1", "2020-01-03,2,2,2,2,2"
    loaded = load_files([written(tmp_path, GOOD[3], early, GOOD[0], late)], repair=True)
    assert days(loaded) == ["2020-01-02", "2020-01-03", "2020-01-07"]
    assert loaded.bars.close[1, 0] == 2
    assert len(loaded.repairs) == 2


def test_in_a_long_disordered_file_each_date_keeps_its_last_line(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    dates = [f"2020-01-{day:02}" for day in generator.integers(1, 29, 500)]
    rows = [f"{date},1,999,1,{price},1" for price, date in enumerate(dates, start=1)]
    last = {date: float(price) for price, date in enumerate(dates, start=1)}
    bars = load_files([written(tmp_path, *rows)], repair=True).bars
    assert bars.close[:, 0].tolist() == [last[date] for date in sorted(last)]


def test_high_and_low_are_widened_to_hold_all_four_prices(tmp_path: Path) -> None:
    rows = changed(3, "2020-01-03,13,10,12,11,1")
    bars = load_files([written(tmp_path, *rows)], repair=True).bars
    assert (bars.high[1, 0], bars.low[1, 0]) == (13, 10)


def test_a_repair_counts_how_many_lines_it_touched(tmp_path: Path) -> None:
    rows = (*GOOD, "2020-01-08,,,,,", "2020-01-09,,,,,", "2020-01-10,,,,,")
    path = written(tmp_path, *rows)
    assert "(2 more such lines)" in refusal(path).reason
    assert load_files([path], repair=True).repairs == (
        f"{path}: dropped incomplete lines (line 6 and 2 more)",
    )


def test_good_files_are_repaired_in_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, *GOOD)
    with_repair = load_files([path], repair=True)
    assert with_repair.repairs == ()
    assert with_repair.bars.fingerprint() == load_files([path]).bars.fingerprint()


#: name: rows, line at fault, what the reason says. Not even repair guesses at these.
UNMENDABLE: dict[str, tuple[tuple[str, ...], int | None, str]] = {
    "a word for a number": (changed(3, "2020-01-03,10,12,ten,11,1"), 3, "Low is 'ten', which is"),
    "a decimal comma": (changed(3, '2020-01-03,"10,5",12,10,11,1'), 3, "write 1234.5"),
    "too many fields": (changed(3, "2020-01-03,10,5,12,10,11,1"), 3, "7 fields, but the header"),
    "a word for a date": (changed(3, "soon,10,12,10,11,1"), 3, "Date is 'soon', which is no date"),
    "day or month first": (changed(3, "03/01/2020,10,12,10,11,1"), 3, "write 2020-01-31"),
    "a day that isn't": (changed(3, "2020-02-30,10,12,10,11,1"), 3, "'2020-02-30', which is no"),
    "milliseconds since 1970": (changed(3, "2012010112345,1,1,1,1,1"), 3, "which is no date"),
    "a zone in one line": (
        changed(4, "2020-01-06 00:00:00+00:00,11,12,10,11,1"),
        4,
        r"has a UTC offset, unlike line 2",
    ),
    "no bar": ((), None, "there is a header but no bar"),
    "one bar": (GOOD[:1], None, "two bars or more are needed; 1 are there"),
}


@pytest.mark.parametrize("repair", [False, True])
@pytest.mark.parametrize("fault", UNMENDABLE)
def test_what_nobody_can_mend_is_refused_with_and_without_repair(
    tmp_path: Path, fault: str, repair: bool
) -> None:
    rows, line, reason = UNMENDABLE[fault]
    error = refusal(written(tmp_path, *rows), repair)
    assert error.row == line
    assert re.search(reason, error.reason)


def test_a_file_of_which_repair_leaves_one_bar_is_refused(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, GOOD[0], "2020-01-03,,,,,"), repair=True)
    assert error.reason == "two bars or more are needed; 1 are left"


def test_a_gap_of_ten_days_is_taken_as_it_is(tmp_path: Path) -> None:
    assert MAXIMUM_GAP_DAYS == 10
    loaded = load_files([written(tmp_path, *GOOD, "2020-01-17,11,12,10,11,1")])
    assert days(loaded)[-1] == "2020-01-17"


def test_a_rounded_price_just_outside_its_bar_is_taken_in(tmp_path: Path) -> None:
    rows = changed(3, "2020-01-03,10,11.995,10.005,12,1")
    loaded = load_files([written(tmp_path, *rows)])
    assert loaded.repairs == ()
    assert (loaded.bars.high[1, 0], loaded.bars.low[1, 0]) == (12, 10)


def test_in_a_file_of_several_symbols_the_fault_names_the_symbol(tmp_path: Path) -> None:
    rows = [f"{row},{symbol}" for row in GOOD for symbol in ("abc", "xyz")]
    rows[3] = "2020-01-03,10,12,0,11,1,xyz"
    error = refusal(written(tmp_path, *rows, header=f"{HEADER},Symbol"))
    assert error.source.endswith("abc.csv (XYZ)") and error.row == 5


def test_a_missing_symbol_is_refused(tmp_path: Path) -> None:
    rows = (f"{GOOD[0]},abc", f"{GOOD[1]},")
    error = refusal(written(tmp_path, *rows, header=f"{HEADER},Ticker"))
    assert (error.row, error.reason) == (3, "Ticker is missing; name it")


rough_number = st.one_of(
    st.floats(0.5, 50.0), st.sampled_from([0.0, -1.0, float("nan"), float("inf")]), st.none()
)
rough_rows = st.lists(
    st.tuples(
        st.one_of(st.dates().map(str), st.sampled_from(["2020-01-01", "2020-01-02", "", None])),
        *[rough_number] * 6,
    ),
    min_size=1,
    max_size=12,
)


@hypothesis.given(rough_rows, st.booleans())
@hypothesis.settings(max_examples=200, deadline=None)
def test_whatever_the_table_it_is_refused_or_the_quotes_keep_their_promises(
    rows: list[tuple[object, ...]], repair: bool
) -> None:
    names = ("date", "open", "high", "low", "close", "volume", "adj_close")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    table = Table("t.csv", "T", columns, dict(zip(names, names, strict=True)), [*range(2, 14)])
    table = Table("t.csv", "T", columns, table.names, table.lines[: len(rows)])
    try:
        (quotes,), repairs = clean(table, repair=repair)
    except DataError as error:
        assert error.row is None or 2 <= error.row <= len(rows) + 1
        assert not repair or "two bars or more" in error.reason
        return
    assert repair or not repairs
    assert len(quotes.times) >= 2 and (np.diff(quotes.times) > np.timedelta64(0, "s")).all()
    assert np.isfinite(quotes.prices).all() and (quotes.prices > 0).all()
    assert (quotes.prices[:, 1] == quotes.prices.max(axis=1)).all()
    assert (quotes.prices[:, 2] == quotes.prices.min(axis=1)).all()
    assert np.isfinite(quotes.volume).all() and (quotes.volume >= 0).all()
