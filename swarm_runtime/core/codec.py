"""Plain values and arrays to bytes and back: canonical, versionless, and safe to read.

The journal, checkpoints and the bank's log are written with it. Nothing is executed on reading
(unlike pickle), and equal values give equal bytes (unlike most archives).

Form: length of the header (4 bytes, little endian), the header (JSON with sorted keys; in an
array's place stands its dtype and shape, under a key that no dict may have), then the arrays'
bytes in the order of the header.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["decode", "encode"]

_MARK = "\0array"
#: Kinds of array that mean the same everywhere: booleans, integers, floats, text, times.
_KINDS = frozenset("biufSUmM")


def encode(value: Any) -> bytes:
    """Return the bytes of nested dicts (str keys), lists, tuples, str, numbers, None and arrays.

    Raises
    ------
    TypeError
        If something else is in there.
    ValueError
        If a number outside of an array is not finite.
    """
    _check_keys(value)
    arrays: list[npt.NDArray[Any]] = []

    def stand_in(item: Any) -> Any:
        # Called for what JSON does not know, in the order in which the header names it.
        if isinstance(item, np.ndarray):
            whole = np.ascontiguousarray(item)
            if whole.dtype.byteorder == ">" or whole.dtype.kind not in _KINDS:
                raise TypeError(f"arrays of {whole.dtype} are not encoded")
            arrays.append(whole)
            return {_MARK: [whole.dtype.str, list(item.shape)]}
        if isinstance(item, np.generic):
            return item.item()
        raise TypeError(f"{type(item).__name__} is not encoded")

    text = json.dumps(
        value,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        sort_keys=True,
        default=stand_in,
    ).encode()
    return b"".join([len(text).to_bytes(4, "little"), text, *(array.tobytes() for array in arrays)])


def _check_keys(item: Any) -> None:
    """Refuse keys that JSON would turn into other ones, and the one that stands for arrays."""
    if isinstance(item, dict):
        for key, part in item.items():
            if not isinstance(key, str) or key == _MARK:
                raise TypeError(f"{key!r} is not encoded as a key")
            _check_keys(part)
    elif isinstance(item, (list, tuple)):
        for part in item:
            _check_keys(part)


def decode(data: bytes) -> Any:
    """Return what ``encode`` was given, tuples as lists; arrays are read-only views of ``data``.

    Raises
    ------
    ValueError
        If the bytes were cut off or are of another form.
    """
    length = int.from_bytes(data[:4], "little")
    if 4 + length > len(data):
        raise ValueError(f"{len(data)} bytes where the header alone has {4 + length}")
    offset = 4 + length

    def array(item: dict[str, Any]) -> Any:
        # Called for each object when it ends; arrays' stand-ins hold no objects, so they come in
        # the order of the header.
        nonlocal offset
        if _MARK not in item:
            return item
        kind, shape = item[_MARK]
        dtype = np.dtype(kind)
        if dtype.kind not in _KINDS or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"the header announces an array of {kind!r}, {shape!r}")
        count = math.prod(shape)
        end = offset + count * dtype.itemsize
        if end > len(data):
            raise ValueError(f"{len(data)} bytes where the header announces {end} or more")
        found = np.frombuffer(data, dtype, count, offset)
        offset = end
        return found.reshape(shape)

    try:
        value = json.loads(data[4:offset], object_hook=array)
    except (TypeError, RecursionError) as problem:
        raise ValueError(f"the header is of another form: {problem}") from problem
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes where the header announces {offset}")
    return value
