"""What a bank answers, as plain values for JSON. Pure.

An answer's object has a key for each attribute of its class, as that class documents it; besides,
what people read of it as ``sentence``, a confidence's ``value``, and the ids that follow from a
record's content. A reason is its name in small letters; a number that is none (the mean of nothing)
is null. Keys are only ever added. Above: the doors. Below: the classes of answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from swarm_runtime.memory.choice.recommendation import Confidence
from swarm_runtime.memory.records.annotations import Item, Link, Tombstone

__all__ = ["plain"]

#: What follows from the attributes, and is worth a key.
_DERIVED: dict[type[Any], tuple[str, ...]] = {
    Confidence: ("value",),
    Item: ("id", "statement"),
    Link: ("id",),
    Tombstone: ("id",),
}


def plain(value: Any) -> Any:
    """Return a value as dicts, lists, texts, numbers and None.

    Raises
    ------
    TypeError
        If it holds something that is no answer of a bank.
    """
    if isinstance(value, Enum):
        return value.name.lower()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        names = (*(field.name for field in fields(value)), *_DERIVED.get(type(value), ()))
        found = {name: plain(getattr(value, name)) for name in names}
        sentence: Any = getattr(value, "sentence", None)
        if callable(sentence):
            found["sentence"] = sentence()
        return found
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    raise TypeError(f"{type(value).__name__} is not written as JSON")
