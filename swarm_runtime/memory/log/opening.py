"""Records that somebody else wrote: opened with more care than one's own. Pure.

What a record's class lets pass because no honest program writes it (an array where a number
belongs, a second spelling of the same value) is refused here, and whatever reading such bytes may
raise comes out as a ValueError. Above: ``replica``, ``bundle``. Below: ``records``, ``trajectory``,
``core``.
"""

from __future__ import annotations

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.core.knowledge import Experience
from swarm_runtime.memory.records.annotations import Annotation, annotation_from_bytes
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["MALFORMED", "experience_from", "plain_value", "record_from"]

#: What reading bytes of another form may raise.
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
#: How the key that stands for an array in ``core.codec`` is spelt, canonically; a text that says
#: the same would have its quotes escaped.
_ARRAY = b'"\\u0000array":'


def _without_arrays(data: bytes) -> None:
    if int.from_bytes(data[:4], "little") != len(data) - 4 or _ARRAY in data:
        raise ValueError("arrays don't belong here")


def plain_value(data: bytes) -> object:
    """Return what ``codec.encode`` was given, if there were no arrays in it.

    Raises
    ------
    ValueError
        If the bytes are not of that form, or not canonical.
    """
    try:
        _without_arrays(data)
        value: object = decode(data)
        if encode(value) != data:
            raise ValueError("its bytes are not in the canonical form")
    except MALFORMED as problem:
        raise ValueError(str(problem)) from problem
    return value


def record_from(kind: str, data: bytes) -> Trajectory | Annotation:
    """Return the trajectory, or the annotation of a kind, that ``to_bytes`` gave.

    Raises
    ------
    ValueError
        If there is no such kind, or the bytes are not of that form, or not canonical.
    """
    record: Trajectory | Annotation
    try:
        _without_arrays(data)
        if kind == "trajectory":
            record = Trajectory.from_bytes(data)
            if type(record.verdict) is not int:
                raise ValueError(f"verdict = {record.verdict!r}: 1, 0 or -1")
        else:
            record = annotation_from_bytes(kind, data)
        if record.to_bytes() != data:
            raise ValueError("its bytes are not in the canonical form")
    except MALFORMED as problem:
        raise ValueError(f"{kind}: {problem}") from problem
    return record


def experience_from(data: bytes) -> Experience:
    """Return the experience that ``to_bytes`` gave.

    Raises
    ------
    ValueError
        If the bytes are not of that form, or not canonical.
    """
    try:
        experience = Experience.from_bytes(data)
        if not experience.agent:
            raise ValueError("its agent has no name")
        if experience.to_bytes() != data:
            raise ValueError("its bytes are not in the canonical form")
    except MALFORMED as problem:
        raise ValueError(f"experience: {problem}") from problem
    return experience
