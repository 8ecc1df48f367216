"""Plain values and arrays to bytes and back: canonical, versionless, and safe to read.

The journal, checkpoints and the bank's log are written with it. Nothing is executed on reading
(unlike pickle), and equal values give equal bytes (unlike most archives).

Form: length of the header (4 bytes, little endian), the header (JSON; an array stands in it as
``{"\\u0000array": [dtype, shape]}``), then the arrays' bytes in the order of the header.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["decode", "encode"]

_MARK = "\0array"


def encode(value: Any) -> bytes:
    """Return the bytes of nested dicts (str keys), lists, tuples, str, numbers and arrays.

    Raises
    ------
    TypeError
        If something else is in there.
    """
    arrays: list[npt.NDArray[Any]] = []

    def flat(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            whole = np.ascontiguousarray(item)
            if whole.dtype.byteorder == ">" or whole.dtype.hasobject:
                raise TypeError(f"arrays of {whole.dtype} are not encoded")
            arrays.append(whole)
            return {_MARK: [whole.dtype.str, list(item.shape)]}
        if isinstance(item, dict):
            return {key: flat(part) for key, part in item.items()}
        if isinstance(item, (list, tuple)):
            return [flat(part) for part in item]
        if isinstance(item, np.generic):
            return item.item()
        return item

    text = json.dumps(
        flat(value), separators=(",", ":"), ensure_ascii=False, sort_keys=False, allow_nan=False
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

    def full(item: Any) -> Any:
        nonlocal offset
        if isinstance(item, dict):
            if _MARK in item:
                kind, shape = item[_MARK]
                count = int(np.prod(shape, dtype=np.int64))
                array = np.frombuffer(data, dtype=kind, count=count, offset=offset)
                offset += array.nbytes
                return array.reshape(shape)
            return {key: full(part) for key, part in item.items()}
        if isinstance(item, list):
            return [full(part) for part in item]
        return item

    value = full(json.loads(data[4:offset]))
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes where the header announces {offset}")
    return value
