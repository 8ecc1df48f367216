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
        If a number is not finite (arrays may hold NaN).
    ValueError
        If a number outside an array is not finite.
    """
    arrays: list[npt.NDArray[Any]] = []

    def stand_in(item: Any) -> Any:
        # Called for what JSON does not know, in the order in which the header names it.
        if isinstance(item, np.ndarray):
            whole = np.ascontiguousarray(item)
            if whole.dtype.byteorder == ">" or whole.dtype.hasobject:
                raise TypeError(f"arrays of {whole.dtype} are not encoded")
            arrays.append(whole)
            return {_MARK: [whole.dtype.str, list(item.shape)]}
        if isinstance(item, np.generic):
            return item.item()
        raise TypeError(f"{type(item).__name__} is not encoded")

    text = json.dumps(
        value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=stand_in
    ).encode()
    return b"".join(
        [len(text).to_bytes(4, "little"), text, *(array.tobytes() for array in arrays)]
    )


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

    def array(kind: str, shape: list[int]) -> npt.NDArray[Any]:
        nonlocal offset
        dtype = np.dtype(kind)
        if dtype.kind not in _KINDS or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"the header announces an array of {kind!r}, {shape!r}")
        count = math.prod(shape)
        end = offset + count * dtype.itemsize
        if end > len(data):
            raise ValueError(f"{len(data)} bytes where the header announces {end} or more")
        flat = np.frombuffer(data, dtype=dtype, count=count, offset=offset)
        offset = end
        return flat.reshape(shape)

    def array(item: dict[str, Any]) -> Any:
        # Called for each object when it ends; arrays' stand-ins hold no objects, so they come in
        # the order of the header.
        nonlocal offset
        if _MARK not in item:
            return item
        kind, shape = item[_MARK]
        found = np.frombuffer(data, kind, math.prod(shape), offset)
        offset += found.nbytes
        return found.reshape(shape)

    value = json.loads(data[4:offset], object_hook=array)
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes where the header announces {offset}")
    return value
