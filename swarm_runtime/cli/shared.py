"""What all commands share: errors in one line, JSON, tables, progress.

Above: ``runs``, ``bank``.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, cast

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from swarm_runtime.errors import SwarmError, UserError

__all__ = [
    "ERRORS",
    "AsJson",
    "OneLineErrors",
    "in_one_line",
    "print_json",
    "print_line",
    "print_table",
    "printable",
    "remark",
    "working",
]

#: Where all goes that is no result.
ERRORS = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]

_INTERRUPTED = 130
#: What typer raises where arguments can't be understood; of that family it names this one alone.
_USAGE_ERROR = cast(type[Exception], typer.BadParameter.__base__)
#: Longer messages lose their middle: somebody gave a whole file as an argument.
_LONGEST = 2_000


class OneLineErrors(TyperGroup):
    """The group of all commands: what went wrong ends in one line and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; see ``TyperGroup.main``."""
        given = (args, prog_name, complete_var)
        if not standalone_mode:
            return super().main(*given, False, windows_expand_args, **extra)
        # What a terminal can't show must not end a command that did its work.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            _refuse_what_is_no_text(sys.argv[1:] if args is None else args)
            code = super().main(*given, False, windows_expand_args, **extra)
        except SwarmError as error:
            _fail(str(error), error.exit_code)
        except typer.Abort:
            _fail("interrupted", _INTERRUPTED)
        except _USAGE_ERROR as error:
            _fail_usage(error)
        if code == _INTERRUPTED:
            _fail("interrupted", _INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _refuse_what_is_no_text(arguments: Sequence[str]) -> None:
    for one in arguments:
        try:
            one.encode()
        except UnicodeEncodeError:
            raise UserError(f"argument {one!r}: is not text in UTF-8") from None


def _fail(message: str, code: int) -> None:
    ERRORS.print(f"swarm: {printable(in_one_line(message), _LONGEST)}", style="red")
    sys.exit(code)


def _fail_usage(error: Any) -> None:
    # Where a group is called without a command, its help has been printed already.
    if message := str(error.format_message()):
        context = getattr(error, "ctx", None)
        path = "swarm" if context is None else context.command_path
        end = "" if message.endswith((".", "?", "!")) else "."
        _fail(f"{message}{end} See `{path} --help`.", int(error.exit_code))
    sys.exit(int(error.exit_code))


def in_one_line(text: str) -> str:
    """Return a text without breaks of lines."""
    return " ".join(text.split())


def printable(text: str, most: int | None = None) -> str:
    """Return a text without what would move a terminal's cursor, in one line.

    Parameters
    ----------
    text : str
    most : int or None
        Characters; a longer text loses its middle.
    """
    if most is not None and len(text) > most:
        text = f"{text[: most // 2]} … {text[-most // 2 :]}"
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def print_json(value: Any) -> None:
    """Print a value on stdout; ``plain.plain`` makes it one that can be."""
    typer.echo(json.dumps(value, ensure_ascii=False, allow_nan=False))


def print_line(text: str, style: str | None = None) -> None:
    """Print a result in words."""
    _results().print(Text(printable(text)), style=style, soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> None:
    """Print a table, one line a row; on a narrow terminal the last columns go below, set in.

    Last columns in which nothing stands are left out.

    Parameters
    ----------
    columns : sequence of str
        Their heads.
    rows : sequence of sequence of str
    numbers : int
        How many columns after the first are set to the right.
    """
    console = _results()
    last = max((at for row in rows for at, cell in enumerate(row) if cell), default=0) + 1
    cells = [[printable(cell) for cell in row[:last]] for row in (columns, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    beside = last
    if console.is_terminal:
        while beside > numbers + 1 and sum(widths[:beside]) + 2 * (beside - 1) > console.width:
            beside -= 1
    for at, row in enumerate(cells):
        padded = [
            " " * (width - cell_len(cell)) + cell
            if 0 < place <= numbers
            else cell + " " * (width - cell_len(cell))
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(padded[:beside]).rstrip()
        if below := "  ".join(cell for cell in row[beside:] if cell):
            line = f"{line}\n    {below}"
        console.print(Text(line), style=None if at else "bold", soft_wrap=True)


def _results() -> Console:
    return Console(highlight=False, markup=False)


def remark(text: str) -> None:
    """Say something that is no result."""
    ERRORS.print(f"swarm: {printable(text, _LONGEST)}")


@contextlib.contextmanager
def working(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal that something long goes on; elsewhere keep quiet.

    Parameters
    ----------
    what : str

    Yields
    ------
    callable
        May be told (done, in all); until then only the time that has gone by is shown.
    """
    if not ERRORS.is_terminal:
        yield lambda done, in_all: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=ERRORS, transient=True) as bars:
        task = bars.add_task(printable(what), total=None)
        yield lambda done, in_all: bars.update(task, completed=done, total=max(in_all, 1))
