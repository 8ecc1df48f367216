"""Tries as lines of JSON: how other programs hand them to a bank, and read them back. Pure.

One line is one object with the attributes of a ``Trajectory`` as keys::

    {"id": "run1/7", "agent": "me", "task_type": "fetch", "approach": "mirror",
     "context": {"site": "example.org", "hour": 14}, "known_at_s": 1700000000, "verdict": 1}

``excess`` may be left out where a try can only succeed or fail: it is the verdict then. So may
``context``, ``domain``, ``task`` and ``steps``. Anything else is refused with the number of its
line, before anything is recorded. Above: the doors. Below: ``trajectory``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any, NoReturn

from swarm_runtime.errors import DataError, did_you_mean
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Line", "object_from_json", "read_tries", "try_from_json", "try_to_json"]

#: A try, and the number of the line on which it stood.
Line = tuple[int, Trajectory]

_FIELDS = tuple(field.name for field in fields(Trajectory))
_NEEDED = ("id", "agent", "task_type", "approach", "known_at_s", "verdict")
#: Characters of a key that are shown in a message.
_SHOWN = 60


def try_to_json(one: Trajectory) -> str:
    """Return a try as one line of JSON; ``try_from_json`` gives an equal one back."""
    values = {name: getattr(one, name) for name in _FIELDS}
    return json.dumps(values, ensure_ascii=False, allow_nan=False)


def try_from_json(text: str) -> Trajectory:
    """Return the try that a line of JSON describes.

    Raises
    ------
    ValueError
        Says which key is wrong, and what is allowed.
    """
    values = object_from_json(text)
    for name in values:
        if name not in _FIELDS:
            raise ValueError(f"{_short(name)}: no such key.{did_you_mean(name, _FIELDS)}")
    for name in _NEEDED:
        if name not in values:
            raise ValueError(f"{name} is missing; needed are {', '.join(_NEEDED)}")
    # To Python they are the numbers 1 and 0, but `false` would mean "abstains".
    for name in ("verdict", "excess"):
        if isinstance(values.get(name), bool):
            raise ValueError(f"{name} = {json.dumps(values[name])}: a number is needed")
    values = {"context": {}, "excess": values["verdict"], **values}
    if isinstance(values.get("steps"), list):
        values["steps"] = tuple(values["steps"])
    return Trajectory(**values)


def object_from_json(text: str) -> dict[str, Any]:
    """Return an object whose keys are different and whose numbers are finite.

    Raises
    ------
    ValueError
        If the text is none.
    """
    try:
        found: Any = json.loads(text, parse_constant=_no_number, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"is no JSON: {problem.msg} at column {problem.colno}") from None
    if not isinstance(found, dict):
        raise ValueError('is no object; write {"name": value, ...}')
    return found


def read_tries(lines: Iterable[bytes], source: str) -> Iterator[Line]:
    """Yield the tries on some lines; empty lines are passed over.

    Parameters
    ----------
    lines : iterable of bytes
        In UTF-8.
    source : str
        What they are called in a message.

    Raises
    ------
    DataError
        Names the first line that is wrong: no try, or one whose id stands for another try above.
    """
    first: dict[str, Line] = {}
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(source, "is not text in UTF-8", number) from None
        if not text:
            continue
        try:
            one = try_from_json(text)
        except ValueError as problem:
            raise DataError(source, str(problem), number) from None
        above, other = first.setdefault(one.id, (number, one))
        if other != one:
            raise DataError(
                source, f"id = {one.id!r}: stands for another try on line {above}", number
            )
        yield number, one


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name}: a finite number is needed")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_short(twice)}: is there twice")
    return found


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
