"""What the log holds besides tries: verdicts, items, usage, links and tombstones. Pure.

All records are immutable, and each has an id, so two logs merge by union: in any order, any number
of times. Whatever changes with time (a verdict revised, a pattern revoked) is another record with a
time of its own, and whoever reads the log folds the records up to a moment.

An item's, a link's and a tombstone's id is derived from its content; a verdict's and a usage's is
the caller's, like a trajectory's. Above: ``store`` keeps them, ``bank`` takes them. Beside:
``trajectory``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args

from swarm_runtime.core.codec import decode, encode
from swarm_runtime.errors import did_you_mean
from swarm_runtime.memory.records.trajectory import Context, checked_context, is_text

__all__ = [
    "ALWAYS",
    "ANNOTATIONS",
    "Annotation",
    "Item",
    "ItemKind",
    "Link",
    "LinkKind",
    "TargetKind",
    "Tombstone",
    "Usage",
    "Verdict",
    "annotation_from_bytes",
    "content_id",
]

#: Where an item comes from: what worked, what failed, or several tries set against each other.
ItemKind = Literal["success", "failure", "contrast"]
LinkKind = Literal["similar", "contradicts", "derived_from"]
#: What can be revoked.
TargetKind = Literal["agent", "pattern", "trajectory", "item"]

#: In place of a time: from the beginning.
ALWAYS = -(2**53)
_LATEST = 2**53


def content_id(*parts: object) -> str:
    """Return 16 hex digits that depend on the parts and on nothing else."""
    return hashlib.blake2b(encode(list(parts)), digest_size=8).hexdigest()


def _text(record: object, *names: str, empty: bool = False) -> None:
    for name in names:
        value = getattr(record, name)
        if not is_text(value) or not (value or empty):
            raise ValueError(f"{name} = {value!r}: a text is needed")


def _time(record: object, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if type(value) is not int or not -_LATEST <= value <= _LATEST:
            raise ValueError(f"{name} = {value!r}: whole seconds since 1970")


def _number(record: object, name: str, least: float, most: float) -> None:
    value: object = getattr(record, name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} = {value!r}: a number is needed")
    if not least <= value <= most:
        raise ValueError(f"{name} = {value!r}: from {least:g} to {most:g}")
    object.__setattr__(record, name, float(value))


def _word(record: object, name: str, allowed: object) -> None:
    words = get_args(allowed)
    value = getattr(record, name)
    if value not in words:
        raise ValueError(f"{name} = {value!r}: not allowed.{did_you_mean(value, words)}")


class _Record:
    """Bytes and back, for all kinds alike."""

    __slots__ = ()
    kind: ClassVar[str]

    def to_bytes(self) -> bytes:
        """Return a canonical form: equal records give equal bytes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return encode(values)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the record that ``to_bytes`` gave.

        Raises
        ------
        ValueError
            If the bytes are not of that form.
        """
        values = decode(data)
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if not isinstance(values, dict) or set(values) != names:
            raise ValueError(f"not a record of kind {cls.kind}")
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        try:
            return cls(**values)
        except (TypeError, AttributeError) as problem:
            raise ValueError(f"not a record of kind {cls.kind}: {problem}") from problem


@dataclass(frozen=True, slots=True)
class Verdict(_Record):
    """A later judgement of a trajectory; from its time on it stands for the earlier one.

    Where there are several, the latest by (known_at_s, id) stands.

    Attributes
    ----------
    id : str
    trajectory : str
        The trajectory's id.
    judge : str
        Who judged.
    verdict : int
        1 success, -1 failure, 0 abstains.
    known_at_s : int
        When it was given, in seconds since 1970.
    excess : float or None
        The excess reward by this judge's measure; None: what was recorded stays.
    confidence : float
        In [0, 1].
    reason : str
    cost_usd : float
    """

    kind: ClassVar[str] = "verdict"
    id: str
    trajectory: str
    judge: str
    verdict: int
    known_at_s: int
    excess: float | None = None
    confidence: float = 1.0
    reason: str = ""
    cost_usd: float = 0.0

    def __post_init__(self) -> None:
        _text(self, "id", "trajectory", "judge")
        _text(self, "reason", empty=True)
        _time(self, "known_at_s")
        _number(self, "confidence", 0.0, 1.0)
        if self.excess is not None:
            _number(self, "excess", -1e9, 1e9)
        _number(self, "cost_usd", 0.0, 1e9)
        if type(self.verdict) is not int or self.verdict not in (-1, 0, 1):
            raise ValueError(f"verdict = {self.verdict!r}: 1, 0 or -1")


@dataclass(frozen=True, slots=True)
class Item(_Record):
    """What is worth knowing for the next task of a type, in words.

    Attributes
    ----------
    task_type, title, description, content : str
        A title, one sentence, one to three sentences.
    when, when_not : str
        Where it applies, and where it doesn't.
    learnt_from : str
        ``success``, ``failure`` or ``contrast``.
    sources : tuple of str
        Ids of the trajectories it was distilled from, sorted.
    context : mapping of str to float or str
        Of the task it was distilled from: what retrieval compares with (the paper embeds the task,
        not the item).
    agent : str
        Who distilled it.
    known_at_s : int
    domain : str
    """

    kind: ClassVar[str] = "item"
    task_type: str
    title: str
    description: str
    content: str
    when: str
    when_not: str
    learnt_from: ItemKind
    sources: tuple[str, ...]
    context: Context
    agent: str
    known_at_s: int
    domain: str = ""

    def __post_init__(self) -> None:
        _text(self, "task_type", "title", "description", "content", "agent")
        _text(self, "when", "when_not", "domain", empty=True)
        _word(self, "learnt_from", ItemKind)
        _time(self, "known_at_s")
        sources: object = self.sources
        if not isinstance(sources, (tuple, list)) or not sources:
            raise ValueError(f"sources = {sources!r}: ids of trajectories are needed")
        if not all(is_text(one) and one for one in sources):
            raise ValueError(f"sources = {self.sources!r}: ids of trajectories are needed")
        object.__setattr__(self, "sources", tuple(sorted(set(self.sources))))
        object.__setattr__(self, "context", checked_context(self.context))

    @property
    def statement(self) -> str:
        """What it says, as an id: items that say the same from different sources share it."""
        return content_id(
            self.domain, self.task_type, self.title, self.description, self.content, self.when,
            self.when_not,
        )  # fmt: skip

    @property
    def id(self) -> str:
        """From its whole content."""
        return hashlib.blake2b(self.to_bytes(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Usage(_Record):
    """What became of a pattern or an item that was retrieved for a task.

    Attributes
    ----------
    id : str
    trajectory : str
        Of the task it was retrieved for; its outcome says what the knowledge was worth.
    target : str
        Id of the pattern, or statement of the item.
    given : bool
        Whether it was given to the agent; False: withheld at random, to measure its worth.
    used : bool or None
        Whether the agent says that it used it; None: it didn't say.
    propensity : float
        Probability with which it was given, in (0, 1].
    agent : str
    known_at_s : int
    """

    kind: ClassVar[str] = "usage"
    id: str
    trajectory: str
    target: str
    given: bool
    used: bool | None
    propensity: float
    agent: str
    known_at_s: int

    def __post_init__(self) -> None:
        _text(self, "id", "trajectory", "target", "agent")
        _time(self, "known_at_s")
        _number(self, "propensity", 1e-9, 1.0)
        said: tuple[object, object] = self.given, self.used
        if type(said[0]) is not bool or (said[1] is not None and type(said[1]) is not bool):
            raise ValueError(f"given = {self.given!r}, used = {self.used!r}: true or false")


@dataclass(frozen=True, slots=True)
class Link(_Record):
    """Somebody says how one pattern or item stands to another.

    (What can be seen from outcomes and contexts alone is derived when it is read, not recorded.)

    Attributes
    ----------
    relation : str
        ``similar``, ``contradicts`` or ``derived_from``.
    source, target : str
        Ids of patterns, items or trajectories.
    agent : str
    known_at_s : int
    """

    kind: ClassVar[str] = "link"
    relation: LinkKind
    source: str
    target: str
    agent: str
    known_at_s: int

    def __post_init__(self) -> None:
        _text(self, "source", "target", "agent")
        _word(self, "relation", LinkKind)
        _time(self, "known_at_s")
        if self.source == self.target:
            raise ValueError(f"target = {self.target!r}: is the source itself")

    @property
    def id(self) -> str:
        """From its whole content."""
        return content_id(self.relation, self.source, self.target, self.agent, self.known_at_s)


@dataclass(frozen=True, slots=True)
class Tombstone(_Record):
    """Revokes what an agent reported, a pattern, a trajectory or an item. Tombstones win.

    Attributes
    ----------
    target_kind : str
        ``agent``, ``pattern``, ``trajectory`` or ``item``.
    target : str
        Its id; of an item, its statement.
    reason : str
    agent : str
        Who revokes.
    known_at_s : int
    from_s : int
        From which moment on nothing uses it. ALWAYS also for questions about the past: what was
        poisoned must not come back in a replay. A later moment is for what was true until then.
    """

    kind: ClassVar[str] = "tombstone"
    target_kind: TargetKind
    target: str
    reason: str
    agent: str
    known_at_s: int
    from_s: int = ALWAYS

    def __post_init__(self) -> None:
        _text(self, "target", "agent")
        _text(self, "reason", empty=True)
        _word(self, "target_kind", TargetKind)
        _time(self, "known_at_s", "from_s")

    @property
    def id(self) -> str:
        """From its whole content."""
        return content_id(
            self.target_kind, self.target, self.reason, self.agent, self.known_at_s, self.from_s
        )


Annotation = Verdict | Item | Usage | Link | Tombstone

#: Kinds by name, as the log names them.
ANNOTATIONS: dict[str, type[Verdict | Item | Usage | Link | Tombstone]] = {
    one.kind: one for one in (Verdict, Item, Usage, Link, Tombstone)
}


def annotation_from_bytes(kind: str, data: bytes) -> Annotation:
    """Return the record of a kind that ``to_bytes`` gave.

    Raises
    ------
    ValueError
        If there is no such kind, or the bytes are not of that form.
    """
    if kind not in ANNOTATIONS:
        raise ValueError(f"kind = {kind!r}: not known.{did_you_mean(kind, ANNOTATIONS)}")
    found: Any = ANNOTATIONS[kind].from_bytes(data)
    return found  # type: ignore[no-any-return]
