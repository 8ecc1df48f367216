"""Files are found, opened and their columns recognised, or it is said why not."""

from __future__ import annotations

import gzip
import importlib
import re
from pathlib import Path
from typing import Any

import pyarrow as arrow
import pyarrow.parquet
import pytest

from swarm_runtime.errors import DataError
from swarm_runtime.trading.files import (
    find_files,
    packaged_file,
    read_csv,
    read_parquet,
    read_table,
)

HEADER = "Date,Open,High,Low,Close,Volume"
ROWS = "2020-01-02,1,2,0.5,1.5,10\n2020-01-03,1,2,0.5,1.5,20\n"


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.source == str(path)
    return caught.value


def test_a_folder_stands_for_its_files_by_name_and_a_file_named_twice_is_read_once(
    tmp_path: Path,
) -> None:
    for name in ("b.csv", "a.parquet", "c.CSV.gz", "notes.txt", ".hidden.csv"):
        (tmp_path / name).touch()
    (tmp_path / "deeper.csv").mkdir()
    found = find_files([tmp_path / "b.csv", tmp_path])
    assert [path.name for path in found] == ["b.csv", "a.parquet", "c.CSV.gz"]


def test_a_missing_file_is_answered_with_its_nearest_neighbour(tmp_path: Path) -> None:
    (tmp_path / "AAPL.csv").touch()
    with pytest.raises(DataError, match=r"there is no such file or folder\. Did you mean") as it:
        find_files([tmp_path / "APPL.csv"])
    assert str(tmp_path / "AAPL.csv") in it.value.reason


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*nowhere either"):
        find_files([tmp_path / "nowhere" / "AAPL.csv"])


def test_files_of_other_kinds_and_folders_without_any_are_refused(tmp_path: Path) -> None:
    (tmp_path / "prices.xlsx").touch()
    kinds = r"\.csv, \.csv\.gz or \.parquet"
    with pytest.raises(DataError, match=f"only files that end in {kinds} are read"):
        find_files([tmp_path / "prices.xlsx"])
    with pytest.raises(DataError, match=f"no file in this folder ends in {kinds}"):
        find_files([tmp_path])


@pytest.mark.parametrize(
    "header",
    [
        "Date,Open,High,Low,Close,Volume",
        "datetime,OPEN,high,Low,cLose, Volume ",
        "\ufeffTimestamp,open,high,low,close,volume",
        ",Open,High,Low,Close,Volume",
        "index,Open,High,Low,Close,Volume",
        "Unnamed: 0,Open,High,Low,Close,Volume",
    ],
)
def test_columns_are_known_by_name_whatever_the_case_and_an_index_is_the_date(
    tmp_path: Path, header: str
) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f"{header}\n{ROWS}", encoding="utf-8")
    table = read_csv(path)
    assert table.symbol == "ABC"
    assert table.columns["date"] == ["2020-01-02", "2020-01-03"]
    assert table.columns["volume"] == ["10", "20"]
    assert table.lines == [2, 3]


@pytest.mark.parametrize("name", ["Adj Close", "adj_close", "Adj. Close", "AdjClose"])
def test_the_adjusted_close_is_known_by_its_many_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f"{HEADER},{name},Dividends\n2020-01-02,1,1,1,1,1,0.5,9\n", encoding="utf-8")
    table = read_csv(path)
    assert table.columns["adj_close"] == ["0.5"] and table.names["adj_close"] == name
    assert len(table.columns) == 7


def test_an_index_beside_a_date_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f",{HEADER}\n0,2020-01-02,1,1,1,1,1\n", encoding="utf-8")
    assert read_csv(path).columns["date"] == ["2020-01-02"]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (
            "Date,Open,High,Low,Clsoe,Volume",
            "no column 'Close'; the file has Date, Open, High, Low, Clsoe, Volume. "
            "Is 'Clsoe' meant as 'Close'? Rename it",
        ),
        ("Day,Price", "no columns 'Date', 'Open', 'High', 'Low', 'Close', 'Volume'; the file has"),
        (HEADER.replace(",", ";"), "Separate columns by commas, not by semicolons"),
        (HEADER.replace(",", "\t"), "Separate columns by commas, not by tabs"),
        (f"{HEADER},close", "columns 'Close' and 'close' mean the same; keep one"),
    ],
)
def test_wrong_columns_are_refused_with_what_may_be_meant(
    tmp_path: Path, header: str, reason: str
) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f"{header}\n{ROWS}", encoding="utf-8")
    error = refused(path)
    assert error.row == 1 and reason in error.reason


def test_blank_lines_are_passed_over_and_lines_still_counted_right(tmp_path: Path) -> None:
    path = tmp_path / "abc.csv"
    path.write_text(f"{HEADER}\n\n{ROWS}\n\n", encoding="utf-8")
    assert read_csv(path).lines == [3, 4]


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "abc.csv"
    path.write_bytes(content)
    assert refused(path).reason == ("the file is empty; it needs a header and two bars or more")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", HEADER.encode("utf-16"), "isn't UTF-8 text"),
        ("a.csv", b"Date\xff,Open\n", "isn't UTF-8 text"),
        ("a.csv.gz", b"not gzipped", "can't be read: Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(f"{HEADER}\n{ROWS}".encode() * 9, mtime=0)[:-9],
            "can't be read as CSV",
        ),
        ("a.csv", HEADER.encode() + b"\n" + b"x" * 200_000, "can't be read as CSV: field larger"),
        ("a.parquet", b"not parquet", "can't be read as Parquet"),
        ("a.parquet", b"", "can't be read as Parquet"),
    ],
    ids=["utf-16", "latin-1", "no gzip", "cut gzip", "a huge field", "no parquet", "no bytes"],
)
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert reason in refused(path).reason


def test_a_gzipped_file_is_read_like_a_plain_one(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "abc.csv", tmp_path / "abc.csv.gz"
    plain.write_text(f"{HEADER}\n{ROWS}", encoding="utf-8")
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_table(plain).columns == read_table(zipped).columns
    assert read_table(zipped).symbol == "ABC"


def test_a_parquet_file_without_pyarrow_names_the_extra_to_install(tmp_path: Path) -> None:
    def import_module(name: str) -> Any:
        raise ImportError(name)

    with pytest.raises(DataError, match=re.escape("pip install 'swarm-runtime[parquet]'")):
        read_parquet(tmp_path / "abc.parquet", import_module)


def test_a_parquet_file_lacking_a_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "abc.parquet"
    pyarrow.parquet.write_table(arrow.table({"Date": ["2020-01-02"], "Close": [1.0]}), path)
    assert "no columns 'Open', 'High', 'Low', 'Volume'" in refused(path).reason


def test_a_package_that_is_missing_or_lacks_the_file_is_named() -> None:
    with pytest.raises(DataError, match=r"isn't installed; pip install -U no_such_package"):
        packaged_file("no_such_package", "a.csv")
    with pytest.raises(DataError, match=r"carries no stocks\.csv; pip install -U swarm_runtime"):
        packaged_file("swarm_runtime", "stocks.csv")


def test_pyarrow_is_loaded_only_when_a_parquet_file_is_read(tmp_path: Path) -> None:
    asked = []

    def import_module(name: str) -> Any:
        asked.append(name)
        return importlib.import_module(name)

    path = tmp_path / "abc.parquet"
    columns = {name: [1.0, 2.0] for name in HEADER.split(",")[1:]}
    pyarrow.parquet.write_table(
        arrow.table({"Date": ["2020-01-02", "2020-01-03"], **columns}), path
    )
    assert read_parquet(path, import_module).columns["close"] == [1.0, 2.0]
    assert asked == ["pyarrow", "pyarrow.parquet"]
