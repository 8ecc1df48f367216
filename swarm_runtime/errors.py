"""Every exception the project raises, in one tree.

SwarmError
├── UserError              what the user gave can be mended by the user (exit code 2)
│   ├── ConfigError        a setting: names the field, the value and what is allowed
│   ├── DataError          market data: names the source, the row and the reason
│   ├── StrategyError      a strategy file, class or its output
│   └── RunFolderError     a run folder that can't be written, read or resumed
├── StoreError             the bank's file is damaged or of another kind (exit code 4)
├── DegradedError          faults could not be masked; the run has no digest (exit code 3)
└── RunInterruptedError    the user stopped a run (exit code 130)

All of them survive pickling (they cross process borders): every constructor hands all of its
arguments to ``super().__init__``. Below this module lies nothing; everything may import it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DataError",
    "DegradedError",
    "RunFolderError",
    "RunInterruptedError",
    "StoreError",
    "StrategyError",
    "SwarmError",
    "UserError",
    "did_you_mean",
]


def did_you_mean(value: object, allowed: Iterable[str]) -> str:
    """Return a sentence that names the nearest allowed word, and all of them.

    The result starts with a space and is empty when nothing is allowed, so that it can be
    appended to any message.
    """
    words = sorted(set(allowed))
    if not words:
        return ""
    near = difflib.get_close_matches(str(value), words, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{hint} Allowed: {', '.join(words)}."


class SwarmError(Exception):
    """Base of all errors of this project."""

    #: What the command line exits with when this error reaches it.
    exit_code = 1


class UserError(SwarmError):
    """Something the user gave is wrong; the message says what, and what to do about it."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is wrong.

    Parameters
    ----------
    field : str
        The setting's dotted name, as the user writes it.
    value : object
        What was given.
    reason : str
        What is allowed instead.
    """

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(field, value, reason)
        self.field, self.value, self.reason = field, value, reason

    def __str__(self) -> str:
        return f"{self.field} = {self.value!r}: {self.reason}"


class DataError(UserError):
    """Market data can't be used as it is.

    Parameters
    ----------
    source : str
        The file, or the name of the data set.
    reason : str
        What is wrong, and what would mend it.
    row : int or None
        The line of the file (the header is line 1), where one line is at fault.
    """

    def __init__(self, source: str, reason: str, row: int | None = None) -> None:
        super().__init__(source, reason, row)
        self.source, self.reason, self.row = source, reason, row

    def __str__(self) -> str:
        where = self.source if self.row is None else f"{self.source}, line {self.row}"
        return f"{where}: {self.reason}"


class StrategyError(UserError):
    """A strategy can't be loaded, or what it returns can't be used.

    Parameters
    ----------
    strategy : str
        The strategy as the user named it.
    reason : str
        What is wrong with it.
    """

    def __init__(self, strategy: str, reason: str) -> None:
        super().__init__(strategy, reason)
        self.strategy, self.reason = strategy, reason

    def __str__(self) -> str:
        return f"strategy {self.strategy}: {self.reason}"


class RunFolderError(UserError):
    """A run folder can't be written, read or resumed.

    Parameters
    ----------
    path : str
        The folder.
    reason : str
        What is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class StoreError(SwarmError):
    """The bank's file is damaged, or is no bank.

    Parameters
    ----------
    path : str
        The file.
    reason : str
        What was found, and what to do about it.
    """

    exit_code = 4

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class DegradedError(SwarmError):
    """Faults of the infrastructure could not be masked, so there is no result to trust.

    Parameters
    ----------
    reason : str
        What failed, how often, and how to go on.
    """

    exit_code = 3

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RunInterruptedError(SwarmError):
    """The user stopped a run; what was finished is kept.

    Parameters
    ----------
    path : str
        The run's folder.
    """

    exit_code = 130

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"interrupted; go on with `swarm resume {self.path}`"
