"""Under which number the log files a trajectory: that of its pattern. Pure.

So a pattern's trajectories are found without reading the others. The number is the pattern's id,
as the signed 64-bit integer that an index of SQLite holds best. Above: ``store``, ``retention``.
Below: ``contexts``, ``pattern``.
"""

from __future__ import annotations

import functools
import json

from swarm_runtime.memory.log.protocol import PatternName
from swarm_runtime.memory.records.contexts import Cell, ContextReader
from swarm_runtime.memory.records.pattern import pattern_id, space_from_json
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Filing", "cell_from_json", "cell_to_json", "pattern_number", "pattern_of"]

#: Patterns whose numbers are kept.
_KNOWN = 8_192


def cell_to_json(cell: Cell) -> str:
    """Return a cell as text; equal cells give equal texts."""
    return json.dumps(cell, separators=(",", ":"), ensure_ascii=False)


def cell_from_json(text: str) -> Cell:
    """Return the cell that ``cell_to_json`` gave, also in other JSON.

    Raises
    ------
    ValueError
        If the text is no cell.
    """
    try:
        cell = tuple((name, place) for name, place in json.loads(text))
    except TypeError as problem:
        raise ValueError(f"{text!r} is no context cell") from problem
    for name, place in cell:
        if not isinstance(name, str) or isinstance(place, bool) or type(place) not in (int, str):
            raise ValueError(f"{text!r} is no context cell")
    return cell


def pattern_number(pattern: PatternName) -> int:
    """Return the number under which a pattern's trajectories are filed.

    Raises
    ------
    ValueError
        If an id is not of sixteen hex digits.
    """
    if isinstance(pattern, str):
        id_ = pattern
    else:
        domain, task_type, approach, cell = pattern
        known = cell_from_json(cell) if isinstance(cell, str) else cell
        id_ = pattern_id(domain, task_type, approach, known)
    try:
        number = bytes.fromhex(id_)
    except ValueError:
        number = b""
    if len(number) != 8 or len(id_) != 16:
        raise ValueError(f"pattern = {pattern!r}: its id, sixteen hex digits, is needed")
    return int.from_bytes(number, "big", signed=True)


def pattern_of(number: int) -> str:
    """Return the id of the pattern that is filed under a number."""
    return number.to_bytes(8, "big", signed=True).hex()


class Filing:
    """Finds the numbers of trajectories.

    Parameters
    ----------
    space : str or None
        The declared space of contexts, as JSON.

    Raises
    ------
    ValueError
        If that is no space.
    """

    def __init__(self, space: str | None) -> None:
        self.space = space
        try:
            known = None if space is None else space_from_json(space)
        except (ValueError, TypeError) as problem:
            raise ValueError(f"space = {space!r}: is no space of contexts") from problem
        self.reader = ContextReader(known)
        # Contexts come again: finding a number here takes a tenth of hashing it.
        self._number = functools.lru_cache(_KNOWN)(pattern_number)

    def number(self, one: Trajectory) -> int:
        """Return the number of the pattern that a trajectory teaches."""
        cell = self.reader.cell(one.context)
        return self._number((one.domain, one.task_type, one.approach, cell))
