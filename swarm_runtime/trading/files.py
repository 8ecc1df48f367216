"""Files of prices as raw tables: found, opened, their columns recognised; nothing judged yet.

``checks`` turns a table into clean quotes or says what is wrong with which line; ``data`` above
puts both together. Reads files. Without pandas on purpose: the ``csv`` module knows the line of
every value, and starting pandas takes longer than reading.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import importlib
import importlib.resources
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from swarm_runtime.errors import DataError
from swarm_runtime.trading.checks import Table

__all__ = [
    "SUFFIXES",
    "find_files",
    "packaged_file",
    "read_csv",
    "read_parquet",
    "read_table",
]

#: What a file's name must end with.
SUFFIXES = (".csv", ".csv.gz", ".parquet")

_NEEDED = ("date", "open", "high", "low", "close", "volume")
#: Column names without case, blanks and punctuation, and what they mean here.
_MEANINGS = {
    "date": "date",
    "datetime": "date",
    "timestamp": "date",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "adjclose": "adj_close",
    "adjustedclose": "adj_close",
    "symbol": "symbol",
    "ticker": "symbol",
}
#: What frames call an index that has no name; it is the date when no column says it is.
_INDEX_NAMES = ("index", "indexlevel0", "unnamed0", "")


def find_files(paths: Iterable[str | Path]) -> list[Path]:
    """Return the files meant by some paths, each once, in the order given.

    A folder stands for the CSV and Parquet files right in it, by name; hidden files and those of
    other kinds are passed over.

    Raises
    ------
    DataError
        If a path isn't there, is of another kind, or is a folder without such files.
    """
    found: dict[Path, Path] = {}
    for given in paths:
        path = Path(given).expanduser()
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.iterdir())
                if file.is_file() and not file.name.startswith(".") and _suffix(file)
            ]
            if not inside:
                raise DataError(str(path), f"no file in this folder ends in {_one_of(SUFFIXES)}")
        elif not path.exists():
            raise DataError(str(path), f"there is no such file or folder{_sibling(path)}")
        elif not _suffix(path):
            raise DataError(
                str(path), f"only files that end in {_one_of(SUFFIXES)} are read; convert it first"
            )
        else:
            inside = [path]
        for file in inside:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def packaged_file(package: str, name: str) -> Path:
    """Return a data file that an installed package carries.

    Raises
    ------
    DataError
        If the package isn't installed, or its version carries no such file.
    """
    try:
        folder = importlib.resources.files(package)
    except ModuleNotFoundError:
        raise DataError(
            package, f"this package isn't installed; pip install -U {package}"
        ) from None
    path = Path(str(folder.joinpath(*name.split("/"))))
    if not path.is_file():
        raise DataError(
            package, f"the version installed carries no {name}; pip install -U {package}"
        )
    return path


def read_table(path: Path) -> Table:
    """Read one file of any kind in `SUFFIXES`.

    Raises
    ------
    DataError
        If it can't be read, is empty, or lacks a column.
    """
    return read_parquet(path) if _suffix(path) == ".parquet" else read_csv(path)


def read_csv(path: Path) -> Table:
    """Read a CSV file (UTF-8, comma, one header line), gzipped if its name says so.

    Blank lines are passed over. A line with fewer fields than the header counts as incomplete
    (``checks`` decides); one with more is refused, for nobody knows which field is which.

    Raises
    ------
    DataError
        If it can't be read, is empty, lacks a column, or a line has too many fields.
    """
    source = str(path)
    header: list[str] = []
    places: dict[str, int] = {}
    rows: list[list[str]] = []
    lines: list[int] = []
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        # utf-8-sig: spreadsheets write a byte order mark, which is no part of the first name.
        with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            for row in reader:
                if not row:
                    continue
                if not header:
                    # At once: where columns are separated wrongly, every line looks wrong too.
                    header, places = row, _recognised(source, row)
                    continue
                if len(row) != len(header):
                    row = _fitted(source, row, header, reader.line_num)
                rows.append(row)
                lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise DataError(source, "this isn't UTF-8 text; save it as UTF-8") from error
    except (csv.Error, EOFError, zlib.error) as error:
        raise DataError(source, f"this can't be read as CSV: {error}") from error
    except OSError as error:
        raise DataError(source, f"this can't be read: {error.strerror or error}") from error
    if not header:
        raise DataError(source, "the file is empty; it needs a header and two bars or more")
    return Table(
        source,
        _stem(path).upper(),
        {meaning: [row[place] for row in rows] for meaning, place in places.items()},
        {meaning: header[place].strip() for meaning, place in places.items()},
        lines,
    )


def read_parquet(
    path: Path, import_module: Callable[[str], Any] = importlib.import_module
) -> Table:
    """Read a Parquet file; an index that a frame was written with counts as a column.

    Parameters
    ----------
    path : Path
    import_module : callable
        What finds ``pyarrow``, which is an optional dependency.

    Raises
    ------
    DataError
        If pyarrow isn't installed, or the file can't be read or lacks a column.
    """
    source = str(path)
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(
            source,
            "Parquet files need pyarrow; pip install 'swarm-runtime[parquet]', or give CSV",
        ) from error
    try:
        # One thread and no memory map: the file is small, and may be replaced while we run.
        file = parquet.ParquetFile(path)
        header = list(file.schema_arrow.names)
        places = _recognised(source, header)
        read = file.read(columns=[header[place] for place in places.values()], use_threads=False)
        columns = {}
        for meaning, place in places.items():
            column = read.column(header[place])
            if arrow.types.is_timestamp(column.type):
                # Nanoseconds don't fit datetime, and bars don't need them.
                column = column.cast(arrow.timestamp("s", column.type.tz), safe=False)
            columns[meaning] = column.to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise DataError(source, f"this can't be read as Parquet: {error}") from error
    return Table(
        source,
        _stem(path).upper(),
        columns,
        {meaning: header[place] for meaning, place in places.items()},
        list(range(2, read.num_rows + 2)),
    )


def _suffix(path: Path) -> str:
    """Return which of `SUFFIXES` a name ends with, or nothing."""
    name = path.name.lower()
    return next((suffix for suffix in reversed(SUFFIXES) if name.endswith(suffix)), "")


def _stem(path: Path) -> str:
    return path.name[: -len(_suffix(path))]


def _one_of(words: Sequence[str]) -> str:
    return " or ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


def _sibling(path: Path) -> str:
    """Say which neighbour of a missing path might be meant, as the end of a sentence."""
    parent = path.parent
    if not parent.is_dir():
        return f"; there is no folder {parent} either"
    near = difflib.get_close_matches(path.name, sorted(p.name for p in parent.iterdir()), n=1)
    return f". Did you mean {str(parent / near[0])!r}?" if near else ""


def _fitted(source: str, row: list[str], header: list[str], line: int) -> list[str]:
    """Return a row as long as the header, blanks filled in or cut off."""
    if any(cell.strip() for cell in row[len(header) :]):
        raise DataError(
            source,
            f"{len(row)} fields, but the header names {len(header)} columns; write numbers with a "
            "decimal point and without separators of thousands",
            line,
        )
    return (row + [""] * (len(header) - len(row)))[: len(header)]


def _recognised(source: str, header: Sequence[str]) -> dict[str, int]:
    """Return the place of each column that means something to us.

    Raises
    ------
    DataError
        If a column is missing or two mean the same.
    """
    plain = ["".join(c for c in name.lower() if c.isalnum()) for name in header]
    places: dict[str, int] = {}
    for place, name in enumerate(plain):
        meaning = _MEANINGS.get(name)
        if meaning is None:
            continue
        if meaning in places:
            raise DataError(
                source,
                f"columns {header[places[meaning]]!r} and {header[place]!r} mean the same; "
                "keep one",
                1,
            )
        places[meaning] = place
    if "date" not in places:
        index = [place for name in _INDEX_NAMES for place, is_ in enumerate(plain) if is_ == name]
        if index:
            places["date"] = index[0]
    missing = [meaning for meaning in _NEEDED if meaning not in places]
    if missing:
        raise DataError(source, _missing_columns(missing, header, places), 1)
    return places


def _missing_columns(missing: list[str], header: Sequence[str], places: dict[str, int]) -> str:
    """Say which columns are missing and what the user may have meant."""
    names = ", ".join(repr(meaning.capitalize()) for meaning in missing)
    reason = f"no column{'s' if len(missing) > 1 else ''} {names}; the file has "
    reason += ", ".join(name.strip() or "(unnamed)" for name in header)
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            return f"{reason}. Separate columns by commas, not by {called}"
    free = {
        name.strip().lower(): name.strip()
        for i, name in enumerate(header)
        if i not in places.values()
    }
    for meaning in missing:
        near = difflib.get_close_matches(meaning, list(free), n=1)
        if near:
            reason += f". Is {free[near[0]]!r} meant as {meaning.capitalize()!r}? Rename it"
    return reason
