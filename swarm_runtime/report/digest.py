"""One name for a result: SHA-256 over its canonical form.

Two runs found the same exactly if their digests are equal, whichever shell ran them and whatever
was killed on the way. What may differ (ids, timings, faults) must not be in what is given here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.report.series import AgentSeries, ArmSeries

__all__ = ["canonical_json", "digest", "series_digest"]


def canonical_json(results: Mapping[str, Any]) -> str:
    r"""Return the one text that stands for ``results``.

    Keys are sorted, there is no whitespace, and only ASCII, so equal results give equal bytes.

    Raises
    ------
    ValueError
        If there is a NaN or an infinity in it: JSON has none.
    TypeError
        If something in it is no JSON type, or a key is no string (``{1: ...}`` and ``{"1": ...}``
        would else be one text).

    Examples
    --------
    >>> canonical_json({"b": 1.5, "a": [None, "é"]})
    '{"a":[null,"\\u00e9"],"b":1.5}'
    """
    _check_keys(results)
    return json.dumps(
        results, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest(results: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical form of ``results``, in hexadecimal."""
    return hashlib.sha256(canonical_json(results).encode("ascii")).hexdigest()


def series_digest(arm: ArmSeries) -> str:
    """Return the SHA-256 of all that an arm left behind, in hexadecimal.

    Every array goes in with its name, shape and little-endian bytes, every text with its length,
    so no two different arms give the same stream.
    """
    stream = hashlib.sha256()
    _text(stream, "arm", arm.name, str(arm.block_bars))
    _array(stream, "times", arm.times.astype("datetime64[s]").astype("<i8"))
    for agent in arm.agents:
        _text(stream, "agent", agent.agent, agent.kind, str(agent.first_bar), str(agent.fills))
        for name in ("symbols", "candidates", "risk_cuts"):
            _text(stream, name, *getattr(agent, name))
        for name, dtype in _ARRAYS:
            _array(stream, name, getattr(agent, name).astype(dtype))
    return stream.hexdigest()


_ARRAYS = (
    ("equity_cents", "<i8"),
    ("cost_cents", "<i8"),
    ("trade_bar", "<i8"),
    ("trade_pnl_cents", "<i8"),
    ("chosen", "<i2"),
    ("reason", "<i1"),
    ("known", "<i8"),
    ("confidence", "<f8"),
)
_NOT_ARRAYS = {"agent", "kind", "symbols", "candidates", "first_bar", "risk_cuts", "fills"}
# A field added to AgentSeries and forgotten here would be left out of every digest.
assert {name for name, _ in _ARRAYS} | _NOT_ARRAYS == set(AgentSeries.__slots__)


def _text(stream: hashlib._Hash, *words: str) -> None:
    for word in (str(len(words)), *words):
        data = word.encode("utf-8")
        stream.update(len(data).to_bytes(8, "little") + data)


def _array(stream: hashlib._Hash, name: str, values: npt.NDArray[Any]) -> None:
    _text(stream, name, values.dtype.str, *(str(size) for size in values.shape))
    if values.dtype.kind == "f":
        # All NaNs say the same: nothing there.
        values = np.where(np.isnan(values), np.nan, values).astype(values.dtype)
    stream.update(np.ascontiguousarray(values).tobytes())


def _check_keys(value: object) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} of a result must be a string")
            _check_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _check_keys(item)
