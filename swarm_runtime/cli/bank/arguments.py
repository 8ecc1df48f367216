"""What the user gives to the commands of a bank: files, moments, contexts, names.

Whatever can't be meant ends in one line that names the option, the value and what is allowed.
Above: the modules of the commands. Below: ``memory``.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swarm_runtime.cli.shared import remark
from swarm_runtime.errors import ConfigError, RunFolderError, UserError, did_you_mean

if TYPE_CHECKING:
    from swarm_runtime.config import MemorySettings
    from swarm_runtime.memory.bank import ReasoningBank

__all__ = [
    "AsOf",
    "Bank",
    "ContextJson",
    "ContextPairs",
    "ContextText",
    "Count",
    "Domain",
    "TaskTypeFilter",
    "bank_file",
    "context_of",
    "hint",
    "moment",
    "names_of",
    "now_s",
    "number",
    "opened",
    "readable",
    "settings_of",
    "share",
    "whole",
    "written_to",
]

#: The bank of a run's folder.
_BANK_OF_RUN = "bank.sqlite"
_SETTINGS_OF_RUN = "settings.json"
#: As far from 1970 as a record's time may lie.
_LATEST_S = 2**53
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
#: More allowed words than these are no help.
_WORDS_SHOWN = 20
#: So many names are compared at most to find what was meant.
_COMPARED = 20_000


def now_s() -> int:
    """Return the present second; the doors are where time comes from."""
    return int(datetime.datetime.now(datetime.UTC).timestamp())


# --- values --------------------------------------------------------------------------------------


def moment(text: str) -> int:
    """Return a moment in seconds since 1970.

    Raises
    ------
    typer.BadParameter
        If the text is neither an ISO date or time nor whole seconds.
    """
    given = text.strip()
    if given == "now":
        return now_s()
    if re.fullmatch(r"[+-]?\d{1,16}", given, re.ASCII):
        if re.fullmatch(r"(19|20)\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])", given):
            raise typer.BadParameter(
                f"{text!r} may be a date or seconds: write {given[:4]}-{given[4:6]}-{given[6:]},"
                f" or +{given} for seconds"
            )
        seconds = int(given)
        if abs(seconds) <= _LATEST_S:
            return seconds
    else:
        try:
            found = datetime.datetime.fromisoformat(given)
            if found.tzinfo is None:
                found = found.replace(tzinfo=datetime.UTC)
            return math.floor(found.timestamp())
        except (ValueError, OverflowError):
            pass
    raise typer.BadParameter(
        f"{text!r}: an ISO date or time, e.g. 2024-01-31 or 2024-01-31T14:00, whole seconds since"
        " 1970, or now"
    )


def number(text: str | float) -> float:
    """Return a finite number; typer.BadParameter if a text is none."""
    # An option's default comes as it stands there.
    given = str(text).strip()
    if _NUMBER.fullmatch(given) and math.isfinite(found := float(given)):
        return found
    raise typer.BadParameter(f"{text!r}: a finite number is needed")


def share(text: str | float) -> float:
    """Return a number from 0 to 1; typer.BadParameter if a text is none."""
    found = number(text)
    if not 0.0 <= found <= 1.0:
        raise typer.BadParameter(f"{text!r}: from 0 to 1")
    return found


def whole(least: int, most: int) -> Callable[[str | int], int]:
    """Return what reads a whole number in a range; typer.BadParameter if a text is none."""

    def read(text: str | int) -> int:
        given = str(text).strip()
        if re.fullmatch(r"[+-]?\d{1,16}", given, re.ASCII) and least <= int(given) <= most:
            return int(given)
        raise typer.BadParameter(f"{text!r}: a whole number from {least} to {most}")

    return read


def names_of(option: str, text: str) -> list[str]:
    """Return names that are separated by commas; those in brackets or quotes belong to a name.

    Raises
    ------
    ConfigError
        If there are none, or one is there twice.
    """
    found: list[str] = []
    word, depth, quote = "", 0, ""
    for one in text:
        if quote:
            quote = "" if one == quote else quote
        elif one in "\"'":
            quote = one
        elif one in "([{":
            depth += 1
        elif one in ")]}":
            depth -= 1
        elif one == "," and depth <= 0:
            found.append(word.strip())
            word = ""
            continue
        word += one
    found.append(word.strip())
    names = [name for name in found if name]
    if not names or len(set(names)) < len(names):
        raise ConfigError(option, text, "one or more different names, separated by commas")
    return names


def hint(value: str, allowed: Iterable[str]) -> str:
    """Return ``errors.did_you_mean`` for what may be very many names."""
    names = sorted(set(allowed))
    if len(names) <= _WORDS_SHOWN:
        return did_you_mean(value, names)
    return did_you_mean(value, names[:_COMPARED]).partition(" Allowed: ")[0]


# --- contexts ------------------------------------------------------------------------------------


def context_of(
    pairs: list[str] | None, text: str | None, as_json: str | None
) -> dict[str, float | str] | None:
    """Return the context that the options describe together; None if there is none of them.

    Raises
    ------
    ConfigError
        If one can't be read, or a name is there twice.
    """
    if not pairs and text is None and as_json is None:
        return None
    given: list[tuple[str, str, Any]] = []
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError("--context", pair, "write NAME=VALUE, e.g. --context hour=14")
        given.append(("--context", name.strip(), _value(pair, value.strip())))
    if text is not None:
        given.append(("--text", "query", text))
    if as_json is not None:
        from swarm_runtime.memory.records.lines import object_from_json

        try:
            values = object_from_json(as_json)
        except ValueError as problem:
            raise ConfigError("--context-json", as_json, str(problem)) from None
        given += [("--context-json", name, value) for name, value in values.items()]
    found: dict[str, Any] = {}
    for option, name, value in given:
        if name in found:
            raise ConfigError(option, name, "is there twice")
        found[name] = value
    return _checked(found)


def _checked(context: dict[str, Any]) -> dict[str, float | str]:
    from swarm_runtime.memory.records.trajectory import checked_context

    try:
        return checked_context(context)
    except ValueError as problem:
        raise UserError(str(problem)) from None


def _value(pair: str, text: str) -> float | str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if _NUMBER.fullmatch(text):
        found = float(text)
        if math.isfinite(found):
            return found
    elif not _NOT_FINITE.fullmatch(text):
        return text
    raise ConfigError("--context", pair, "is no finite number; put it in quotes to make it a text")


# --- files ---------------------------------------------------------------------------------------


def bank_file(given: str, *, make: bool = False) -> Path:
    """Return a bank's file.

    Parameters
    ----------
    given : str
        A file, or a run's folder.
    make : bool
        Whether it may be missing, or empty: then it is about to be made.

    Raises
    ------
    RunFolderError
        If there is none.
    """
    path = Path(given)
    with readable(path):
        if path.is_dir():
            path = path / _BANK_OF_RUN
            # A run may have lost its bank; into any other folder none is put.
            made = make and (Path(given) / _SETTINGS_OF_RUN).exists()
            if not path.exists() and not made:
                raise RunFolderError(
                    given, f"holds no {_BANK_OF_RUN}; name a bank's file or a run's folder"
                )
        # SQLite keeps this name for a bank that is gone when it is closed.
        if given == ":memory:":
            raise RunFolderError(given, "is no file's name here; name a bank's file")
        if not path.exists():
            if make:
                return path
            raise RunFolderError(given, "no such file; name a bank's file or a run's folder")
        if not path.is_file():
            raise RunFolderError(given, "is no plain file; name a bank's file or a run's folder")
        if not make and path.stat().st_size == 0:
            raise RunFolderError(given, "is empty: no bank; name a bank's file or a run's folder")
    return path


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system says of a path into one line."""
    try:
        yield
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise RunFolderError(str(path), f"can't be used: {reason}") from None


def settings_of(given: str) -> MemorySettings:
    """Return the settings of a run's folder; of any other bank those of the environment.

    Raises
    ------
    UserError
        If they can't be used.
    """
    from swarm_runtime.config import load

    folder = Path(given)
    if folder.is_dir() and (folder / _SETTINGS_OF_RUN).exists():
        from swarm_runtime.replay.folder import RunFolder

        return RunFolder.open(folder)[2].memory
    return load().memory


@contextmanager
def opened(given: str) -> Iterator[ReasoningBank]:
    """Open a bank that is there, to ask it."""
    path = bank_file(given)
    from swarm_runtime.memory.bank import ReasoningBank

    with ReasoningBank.open(path, settings=settings_of(given)) as bank:
        yield bank


@contextmanager
def written_to(given: str, *, make: bool = False) -> Iterator[ReasoningBank]:
    """Open a bank to change it, when nobody else writes to it; ``make``: or make one."""
    path = bank_file(given, make=make)
    from swarm_runtime.memory.bank import ReasoningBank
    from swarm_runtime.memory.log.turns import await_turn

    settings = settings_of(given)
    if path.exists():
        await_turn(path, remark)
    with ReasoningBank.open(path, settings=settings) as bank:
        yield bank


# --- options of several commands -----------------------------------------------------------------

Bank = Annotated[
    str,
    typer.Argument(metavar="BANK", help="A bank's file, or a run's folder.", show_default=False),
]
ContextPairs = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        "-c",
        metavar="NAME=VALUE",
        help="One circumstance of the task; may be repeated. What looks like a number is one;"
        " in quotes it is a text: zip='\"90210\"'.",
    ),
]
ContextText = Annotated[
    str | None,
    typer.Option("--text", metavar="TEXT", help="The task in words; the same as -c query=TEXT."),
]
ContextJson = Annotated[
    str | None,
    typer.Option(
        "--context-json", metavar="JSON", help="Circumstances as an object of numbers and texts."
    ),
]
AsOf = Annotated[
    int | None,
    typer.Option(
        "--as-of",
        parser=moment,
        metavar="TIME",
        help="Use only what was known by then.",
        show_default=False,
    ),
]
TaskTypeFilter = Annotated[
    str | None, typer.Option("--task-type", metavar="NAME", help="Only this type of task.")
]
Domain = Annotated[
    str | None, typer.Option("--domain", metavar="NAME", help="Only what was found in this domain.")
]
Count = Annotated[
    int,
    typer.Option(
        "--count", "-n", parser=whole(1, 100_000), metavar="NUMBER", help="How many at most."
    ),
]
