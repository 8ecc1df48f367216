"""Bars come from the bundled history, from files or from synthesis, on one calendar."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from swarm_runtime.config import DataSettings
from swarm_runtime.errors import ConfigError, DataError
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.data import between, load, load_bundled, load_files
from swarm_runtime.trading.synthetic import placebo, planted_regimes

DAY = datetime.date


@pytest.fixture(scope="module")
def bundled() -> Bars:
    return load_bundled().bars


def frame(first: str, count: int, price: float = 10.0) -> pd.DataFrame:
    """Return daily bars that rise by one a day."""
    close = price + np.arange(count)
    return pd.DataFrame(
        {"Open": close - 0.5, "High": close + 1, "Low": close - 1, "Close": close, "Volume": 100},
        index=pd.date_range(first, periods=count, name="Date"),
    )


# The bundled history


def test_the_bundled_bars_are_five_stocks_over_thirteen_years(bundled: Bars) -> None:
    assert bundled.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert bundled.count == 3_270
    assert (bundled.times[0], bundled.times[-1]) == (
        np.datetime64("2000-03-01"),
        np.datetime64("2013-03-01"),
    )
    assert bundled.tradable.sum(axis=0).tolist() == [3270, 196, 2148, 3270, 3270]


def test_a_split_is_no_return_and_a_true_crash_is_one(bundled: Bars) -> None:
    days = bundled.times.astype("datetime64[D]")
    change = np.zeros_like(bundled.close)
    change[1:] = bundled.close[1:] / bundled.close[:-1] - 1
    for symbol, split in (("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18")):
        row = int(np.searchsorted(days, np.datetime64(split)))
        assert days[row] == np.datetime64(split)
        assert abs(change[row, bundled.symbols.index(symbol)]) < 0.11
    crash = int(np.searchsorted(days, np.datetime64("2000-09-29")))
    assert -0.53 < change[crash, bundled.symbols.index("AAPL")] < -0.5


def test_the_bundled_prices_are_adjusted_by_one_factor_a_bar(bundled: Bars) -> None:
    row = [prices[0, 0] for prices in (bundled.open, bundled.high, bundled.low, bundled.close)]
    np.testing.assert_allclose(row[3], 4.186662803811, rtol=1e-12)  # the file's adjusted close
    np.testing.assert_allclose(
        np.array(row) / row[3], np.array([118.56, 132.06, 118.5, 130.31]) / 130.31, rtol=1e-12
    )
    assert bundled.volume[0, 0] == 9_616_100


def test_before_its_listing_a_bundled_stock_stands_at_its_first_open(bundled: Bars) -> None:
    for symbol, first in (("FB", "2012-05-18"), ("GOOG", "2004-08-19")):
        column = bundled.symbols.index(symbol)
        row = int(np.argmax(bundled.tradable[:, column]))
        assert bundled.times[row] == np.datetime64(first)
        for prices in (bundled.open, bundled.high, bundled.low, bundled.close):
            assert (prices[:row, column] == bundled.open[row, column]).all()
        assert (bundled.volume[:row, column] == 0).all()


def test_bundled_bars_are_the_same_every_time(bundled: Bars) -> None:
    assert load_bundled().bars.fingerprint() == bundled.fingerprint()
    assert load_bundled().repairs == ()


# Files


def test_symbols_with_other_days_share_one_calendar_and_carry_their_last_close(
    tmp_path: Path,
) -> None:
    frame("2020-01-01", 4).drop(pd.Timestamp("2020-01-03")).to_csv(tmp_path / "one.csv")
    frame("2020-01-03", 3, price=50.0).to_csv(tmp_path / "two.csv")
    bars = load_files([tmp_path]).bars
    assert bars.symbols == ("ONE", "TWO")
    assert [str(day)[8:10] for day in bars.times] == ["01", "02", "03", "04", "05"]
    assert bars.tradable.T.tolist() == [
        [True, True, False, True, False],
        [False, False, True, True, True],
    ]
    assert bars.close.T.tolist() == [[10, 11, 11, 13, 13], [49.5, 49.5, 50, 51, 52]]
    assert bars.high[2].tolist() == [11, 51] and bars.open[4].tolist() == [13, 51.5]
    assert bars.volume.T.tolist() == [[100, 100, 0, 100, 0], [0, 0, 100, 100, 100]]


def test_one_file_may_hold_several_symbols(tmp_path: Path) -> None:
    one, two = frame("2020-01-01", 3), frame("2020-01-01", 3, price=50.0)
    both = pd.concat([two.assign(Symbol="bbb"), one.assign(Symbol="aaa")]).sort_index()
    both.to_csv(tmp_path / "both.csv")
    bars = load_files([str(tmp_path / "both.csv")]).bars
    assert bars.symbols == ("BBB", "AAA")  # as they appear in the file
    assert bars.close.tolist() == [[50, 10], [51, 11], [52, 12]]


def test_prices_are_adjusted_where_the_file_says_how(tmp_path: Path) -> None:
    frame("2020-01-01", 2).assign(**{"Adj Close": [5.0, 11.0]}).to_csv(tmp_path / "abc.csv")
    bars = load_files([tmp_path / "abc.csv"]).bars
    assert bars.close[:, 0].tolist() == [5.0, 11.0]
    assert bars.open[:, 0].tolist() == [4.75, 10.5]
    assert (bars.high[0, 0], bars.low[0, 0]) == (5.5, 4.5)
    assert bars.volume[:, 0].tolist() == [100, 100]


@pytest.mark.parametrize("unit", ["ms", "ns"])
@pytest.mark.parametrize("zone", [None, "America/New_York"])
def test_parquet_and_csv_of_the_same_frame_give_the_same_bars(
    tmp_path: Path, zone: str | None, unit: Literal["ms", "ns"]
) -> None:
    for name, first in (("daily", "2020-03-01"), ("timed", "2020-03-01 16:00")):
        # The clocks change on the way.
        index = pd.date_range(first, periods=20, freq="D", unit=unit, tz=zone, name="Date")
        some = frame("2020-03-01", 20).set_index(index)
        some.to_parquet(tmp_path / f"{name}.parquet")
        some.to_csv(tmp_path / f"{name}.csv")
        of_parquet = load_files([tmp_path / f"{name}.parquet"]).bars
        assert of_parquet.fingerprint() == load_files([tmp_path / f"{name}.csv"]).bars.fingerprint()


def test_a_fault_in_parquet_is_numbered_as_it_would_be_in_csv(tmp_path: Path) -> None:
    bars = frame("2020-01-01", 4)
    bars.iloc[1, 3] = np.nan
    bars.to_csv(tmp_path / "one.csv")
    bars.to_parquet(tmp_path / "one.parquet")
    errors = []
    for name in ("one.csv", "one.parquet"):
        with pytest.raises(DataError) as caught:
            load_files([tmp_path / name])
        errors.append((caught.value.row, caught.value.reason))
    assert errors[0] == errors[1] and errors[0][0] == 3


def test_times_with_an_offset_are_utc_but_midnights_are_dates_as_written(tmp_path: Path) -> None:
    path = tmp_path / "abc.csv"
    header = "Datetime,Open,High,Low,Close,Volume\n"
    path.write_text(
        header + "2020-03-06 16:00:00-05:00,1,1,1,1,1\n2020-03-09T16:00:00-04:00,1,1,1,1,1\n"
    )
    assert load_files([path]).bars.times.astype(str).tolist() == [
        "2020-03-06T21:00:00",
        "2020-03-09T20:00:00",
    ]
    path.write_text(
        header + "2020-03-06 00:00:00-05:00,1,1,1,1,1\n2020-03-09 00:00:00-04:00,1,1,1,1,1\n"
    )
    assert load_files([path]).bars.times.astype(str).tolist() == [
        "2020-03-06T00:00:00",
        "2020-03-09T00:00:00",
    ]


def test_bars_of_minutes_are_taken(tmp_path: Path) -> None:
    minutes = frame("2020-01-01", 30)
    minutes.index = pd.date_range("2020-01-02 09:31", periods=30, freq="min", name="Timestamp")
    minutes.to_csv(tmp_path / "abc.csv")
    bars = load_files([tmp_path / "abc.csv"]).bars
    assert (np.diff(bars.times) == np.timedelta64(60, "s")).all()


def test_two_files_of_one_symbol_are_refused(tmp_path: Path) -> None:
    frame("2020-01-01", 3).to_csv(tmp_path / "abc.csv")
    frame("2020-02-01", 3).to_parquet(tmp_path / "ABC.parquet")
    with pytest.raises(DataError, match=r"ABC is in .*ABC\.parquet too; keep one of them"):
        load_files([tmp_path])


def test_days_and_minutes_do_not_mix(tmp_path: Path) -> None:
    frame("2020-01-01", 3).to_csv(tmp_path / "day.csv")
    minutes = frame("2020-01-01", 3)
    minutes.index = pd.date_range("2020-01-02 09:31", periods=3, freq="min", name="Date")
    minutes.to_csv(tmp_path / "minute.csv")
    with pytest.raises(DataError, match=r"minute\.csv: this has times of day, .*dates only"):
        load_files([tmp_path])


def test_files_with_and_without_zones_do_not_mix_unless_they_are_daily(tmp_path: Path) -> None:
    for name, zone in (("one", None), ("two", "Asia/Tokyo")):
        bars = frame("2020-01-01", 3)
        bars.index = pd.date_range("2020-01-01", periods=3, freq="D", tz=zone, name="Date")
        bars.to_csv(tmp_path / f"{name}.csv")
    assert load_files([tmp_path]).bars.tradable.all()
    for name, zone in (("one", None), ("two", "Asia/Tokyo")):
        bars = frame("2020-01-01", 3)
        bars.index = pd.date_range("2020-01-02 09:31", periods=3, freq="min", tz=zone, name="Date")
        bars.to_csv(tmp_path / f"{name}.csv")
    with pytest.raises(DataError, match=r"its times have a UTC offset, those of .*one\.csv have"):
        load_files([tmp_path])


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no file is named"):
        load_files([])


# Dates


def test_both_ends_of_a_span_are_included(bundled: Bars) -> None:
    some = between(bundled, DAY(2005, 1, 3), DAY(2005, 1, 5))
    assert [str(time)[:10] for time in some.times] == ["2005-01-03", "2005-01-04", "2005-01-05"]
    assert between(bundled, None, None).fingerprint() == bundled.fingerprint()
    assert between(bundled, None, DAY(2000, 3, 2)).count == 2
    assert between(bundled, DAY(2013, 2, 28), None).count == 2


def test_the_last_day_of_a_span_holds_all_its_minutes(tmp_path: Path) -> None:
    hours = frame("2020-01-01", 48)
    hours.index = pd.date_range("2020-01-01 01:00", periods=48, freq="h", name="Date")
    hours.to_csv(tmp_path / "abc.csv")
    some = between(load_files([tmp_path]).bars, DAY(2020, 1, 2), DAY(2020, 1, 2))
    assert some.count == 24


def test_an_end_may_fall_on_a_holiday_beside_the_data(bundled: Bars) -> None:
    assert between(bundled, DAY(2000, 2, 26), DAY(2013, 3, 3)).count == bundled.count


@pytest.mark.parametrize(
    ("start", "stop", "reason"),
    [
        (DAY(1999, 1, 1), None, "from 1999-01-01 is outside the data"),
        (None, DAY(2020, 1, 1), "to 2020-01-01 is outside the data"),
        (DAY(2014, 1, 1), DAY(2015, 1, 1), "from 2014-01-01 is outside the data"),
        (DAY(2005, 1, 2), DAY(2005, 1, 1), "from 2005-01-02 to 2005-01-01 is the wrong way round"),
        (DAY(2005, 1, 1), DAY(2005, 1, 2), "0 bars from 2005-01-01 to 2005-01-02, two or more"),
        (DAY(2005, 1, 1), DAY(2005, 1, 3), "1 bars from 2005-01-01 to 2005-01-03, two or more"),
    ],
)
def test_dates_without_bars_are_refused_and_the_dates_there_are_named(
    bundled: Bars, start: DAY | None, stop: DAY | None, reason: str
) -> None:
    with pytest.raises(DataError) as caught:
        between(bundled, start, stop)
    assert reason in str(caught.value)
    assert str(caught.value).endswith("the data has 2000-03-01 to 2013-03-01")


# All together


def test_by_default_the_bundled_bars_are_loaded(bundled: Bars) -> None:
    assert load(DataSettings()).bars.fingerprint() == bundled.fingerprint()


def test_symbols_and_dates_are_chosen_and_times_without_a_bar_dropped(bundled: Bars) -> None:
    loaded = load(DataSettings(symbols=("fb",)))
    assert loaded.bars.symbols == ("FB",) and loaded.bars.count == 196
    loaded = load(DataSettings(symbols=("MSFT", "AAPL"), stop=DAY(2000, 12, 31)))
    assert loaded.bars.symbols == ("MSFT", "AAPL")
    assert loaded.bars.tradable.all() and loaded.repairs == ()


def test_a_symbol_without_bars_in_the_span_is_left_out_and_noted() -> None:
    loaded = load(DataSettings(stop=DAY(2010, 12, 31)))
    assert loaded.bars.symbols == ("AAPL", "GOOG", "IBM", "MSFT")
    assert loaded.repairs == ("FB: left out, no bars from 2000-03-01 to 2010-12-31",)


def test_a_symbol_without_bars_in_the_span_is_refused_when_it_was_asked_for() -> None:
    with pytest.raises(DataError, match="FB: no bars from 2000-03-01 to 2010-12-31; leave it out"):
        load(DataSettings(symbols=("FB", "IBM"), stop=DAY(2010, 12, 31)))


def test_an_unknown_symbol_is_answered_with_the_nearest() -> None:
    with pytest.raises(DataError, match=r"no bars of 'APPL'\. Did you mean 'AAPL'"):
        load(DataSettings(symbols=("appl",)))


def test_a_symbol_named_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="IBM is named twice"):
        load(DataSettings(symbols=("IBM", "ibm")))


def test_paths_imply_files_and_repair_is_passed_on(tmp_path: Path) -> None:
    bars = frame("2020-01-01", 5)
    bars.iloc[2, 0] = np.nan
    bars.to_csv(tmp_path / "abc.csv")
    with pytest.raises(DataError, match="line 4: Open is missing"):
        load(DataSettings(paths=(str(tmp_path),)))
    loaded = load(DataSettings(paths=(str(tmp_path),), repair=True))
    assert loaded.bars.symbols == ("ABC",) and loaded.bars.count == 4
    assert loaded.repairs == (f"{tmp_path / 'abc.csv'}: dropped incomplete lines (line 4)",)


def test_a_placebo_is_made_of_the_bars_chosen(tmp_path: Path, bundled: Bars) -> None:
    span = {"start": DAY(2005, 1, 1), "stop": DAY(2008, 1, 1)}
    symbols = ("AAPL", "IBM")
    real = load(DataSettings.model_validate({"symbols": symbols, **span})).bars
    fake = load(
        DataSettings.model_validate({"source": "placebo", "symbols": symbols, "seed": 3, **span})
    ).bars
    assert fake.fingerprint() == placebo(real, 3).fingerprint() != real.fingerprint()
    frame("2020-01-01", 40).to_csv(tmp_path / "abc.csv")
    of_files = load(DataSettings(source="placebo", paths=(str(tmp_path),), seed=3)).bars
    assert of_files.fingerprint() == placebo(load_files([tmp_path]).bars, 3).fingerprint()


def test_a_planted_market_is_made_by_its_seed() -> None:
    bars = load(DataSettings(source="planted", seed=5)).bars
    assert bars.fingerprint() == planted_regimes(5).bars.fingerprint()


def test_sources_and_paths_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.paths .*name the files or folders to read"):
        load(DataSettings(source="files"))
    with pytest.raises(ConfigError, match=r"data\.paths .*a planted market reads no files"):
        load(DataSettings(source="planted", paths=("a.csv",)))
