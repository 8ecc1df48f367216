"""Records under other names: anonymised for others, or marked with where they came from. Pure.

``anonymised`` takes out of records who made them and about what. What remains, exactly:

* *As it was*: domains, types of task and approaches (they are what is learnt); numbers in contexts,
  with their names; texts in contexts only of the names that are allowed; verdicts, propensities,
  which approach was chosen and why; costs and confidence of verdicts; how many records there are.
* *In another form*: names of agents and judges, ids, tasks and subjects become pseudonyms
  (HMAC-SHA-256 with a key, RFC 2104), so equal ones stay equal within a bundle, and whatever refers
  to something refers to its pseudonym. With a key that is thrown away, nobody can link two bundles
  by their names, or find out a name by trying names. Times are rounded up to days, so that nothing
  is known earlier than it was (from when a tombstone works is rounded down); of several verdicts on
  a trajectory in a day the one that stands is kept. Excess rewards are rounded to thousandths.
* *Gone*: steps, reasons, other texts in contexts; of experiences the features, the evidence and the
  returns (their cells and excess rewards stay); items, unless they are asked for, and then their
  texts stay as they are: read them first. What speaks of a pattern or an item that the bundle has
  no trace of. What is revoked: see below.

Numbers can give away as much as names: a context that holds a balance or a timestamp should be
exported without it. A pattern's id follows from its context, so where texts go it becomes another.
Two anonymised bundles of the same bank share no ids unless they are made with one key: who imports
both counts everything twice.

``with_origin`` puts a name before agents' names and ids, so that trust tells strangers apart, ids
of strangers never meet one's own, and what they revoke is theirs.

In both, tombstones of patterns and items are applied instead of handed on, since under other names
they would reach too far: tries of a revoked pattern and revoked items are left out, and a try from
before the moment from which a tombstone works gets one of its own. (Experiences hold many patterns
and can't be left out in part: anonymised, the tombstones of their patterns stay; with an origin
they go, and those who don't want what was revoked revoke the agents.)

Above: ``import_export``. Below: ``bundle``, ``records``, ``contexts``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from swarm_runtime.core.knowledge import REWARD_SCALE, Experience, Sealed
from swarm_runtime.errors import ConfigError
from swarm_runtime.memory.records.annotations import (
    ALWAYS,
    Annotation,
    Item,
    Link,
    Tombstone,
    Usage,
    Verdict,
)
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.pattern import ContextSpace, pattern_id
from swarm_runtime.memory.records.trajectory import Context, Trajectory, excess_units
from swarm_runtime.memory.travel.bundle import Contents, Header

__all__ = ["Anonymity", "anonymised", "anonymised_header", "with_origin"]

_DAY_S = 86_400
_LATEST = 2**53
#: Hex digits of a pseudonym: 80 bits, so a million of them are all different.
_DIGITS = 20
_LEAST_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Anonymity:
    """How records are anonymised.

    Attributes
    ----------
    key : bytes (16 or more)
        Random; throw it away, or keep it secret for bundles that belong together.
    texts : frozenset of str
        Names in contexts whose texts stay.
    items : bool
        Whether items stay, with their texts.
    """

    key: bytes
    texts: frozenset[str] = frozenset()
    items: bool = False

    def __post_init__(self) -> None:
        if len(self.key) < _LEAST_KEY_BYTES:
            raise ValueError(f"{len(self.key)} bytes: a key has at least {_LEAST_KEY_BYTES}")

    def name(self, kind: str, text: str) -> str:
        """Return the pseudonym of something of a kind."""
        digest = hmac.new(self.key, f"{kind}\0{text}".encode(), hashlib.sha256).hexdigest()
        return f"{kind}-{digest[:_DIGITS]}"


def anonymised(
    contents: Contents, anonymity: Anonymity, space: ContextSpace | None
) -> tuple[Contents, dict[str, int]]:
    """Return records without who made them and about what; see the module.

    Parameters
    ----------
    contents : Contents
    anonymity : Anonymity
    space : ContextSpace or None
        The bank's declared space, by which patterns' ids are found.

    Returns
    -------
    Contents
    dict of str to int
        How many records of each kind were left out.
    """
    kept = _Anonymiser(contents, anonymity, ContextReader(space)).run()
    return kept, _left_out(contents, kept)


def anonymised_header(header: Header) -> Header:
    """Return the header of an anonymised bundle: the bank's name goes, times are rounded."""
    kept = header.kept_from_s
    return replace(
        header,
        bank="",
        anonymised=True,
        made_at_s=_day_after(header.made_at_s),
        kept_from_s=None if kept is None else _day_after(kept),
    )


class _Anonymiser:
    """One run of ``anonymised``."""

    def __init__(self, contents: Contents, anonymity: Anonymity, reader: ContextReader) -> None:
        self._anonymity = anonymity
        self._contents = _applied(contents, reader)
        self._tries = {one.id: self._trajectory(one) for one in self._contents.trajectories}
        #: What may be spoken of, by its old id; filled where something speaks.
        self._targets: dict[str, str] = {}
        self._items: dict[str, Item] = {}
        #: Tombstones that stay: of patterns whose ids stay.
        self._stones: list[Tombstone] = []
        for note in self._contents.annotations:
            if isinstance(note, Item) and anonymity.items:
                item = self._items[note.id] = self._item(note)
                self._targets |= {note.id: item.id, note.statement: item.statement}
        if any(isinstance(note, (Usage, Link, Tombstone)) for note in contents.annotations):
            for one in self._contents.trajectories:
                new = self._tries[one.id]
                self._targets[_pattern_of(one, reader)] = _pattern_of(new, reader)
                self._targets[one.id] = new.id
            same = {id_: id_ for id_ in _patterns_in(contents.experiences, reader)}
            self._targets |= same
            stones = _stones_of(contents, "pattern")
            self._stones = [stone for target, stone in stones.items() if target in same]

    def run(self) -> Contents:
        notes: dict[tuple[str, str], Annotation] = {}
        spoken = [*self._contents.annotations, *self._stones]
        for note in sorted(spoken, key=lambda one: (one.known_at_s, one.id)):
            new = self._annotation(note)
            if isinstance(new, Verdict):
                # The later of a day takes the earlier one's place.
                notes[new.kind, f"{new.trajectory} {new.known_at_s}"] = new
            elif new is not None:
                notes[new.kind, new.id] = new
        return Contents(
            tuple(self._experience(one.open()) for one in self._contents.experiences),
            tuple(self._tries.values()),
            tuple(notes.values()),
        )

    def _agent(self, name: str) -> str:
        return self._anonymity.name("agent", name)

    def _try(self, id_: str) -> str:
        return self._anonymity.name("try", id_)

    def _context(self, context: Context) -> dict[str, float | str]:
        return {
            name: value
            for name, value in context.items()
            if not isinstance(value, str) or name in self._anonymity.texts
        }

    def _trajectory(self, one: Trajectory) -> Trajectory:
        return replace(
            one,
            id=self._try(one.id),
            agent=self._agent(one.agent),
            context=self._context(one.context),
            known_at_s=_day_after(one.known_at_s),
            excess=excess_units(one.excess) / REWARD_SCALE,
            task=self._anonymity.name("task", one.task) if one.task else "",
            steps=(),
        )

    def _experience(self, one: Experience) -> Sealed:
        rows = len(one.subjects)
        return replace(
            one,
            agent=self._agent(one.agent),
            known_at_s=_day_after(one.known_at_s),
            subjects=tuple(self._anonymity.name("subject", subject) for subject in one.subjects),
            context=np.empty((rows, 0), np.float32),
            evidence=np.empty((rows, 0), np.float32),
            net_return=np.full_like(one.net_return, np.nan),
        ).seal()

    def _item(self, one: Item) -> Item:
        return replace(
            one,
            sources=tuple(self._try(source) for source in one.sources),
            context=self._context(one.context),
            agent=self._agent(one.agent),
            known_at_s=_day_after(one.known_at_s),
        )

    def _annotation(self, one: Annotation) -> Annotation | None:
        known_at_s = _day_after(one.known_at_s)
        if isinstance(one, Item):
            return self._items.get(one.id)
        if isinstance(one, Verdict):
            return replace(
                one,
                id=self._anonymity.name("verdict", one.id),
                trajectory=self._try(one.trajectory),
                judge=self._agent(one.judge),
                known_at_s=known_at_s,
                excess=None if one.excess is None else excess_units(one.excess) / REWARD_SCALE,
                reason="",
            )
        agent = self._agent(one.agent)
        if isinstance(one, Tombstone):
            target = self._revoked(one)
            if target is None:
                return None
            from_s = one.from_s if one.from_s == ALWAYS else one.from_s // _DAY_S * _DAY_S
            from_s = max(from_s, ALWAYS)
            return replace(
                one, target=target, reason="", agent=agent, known_at_s=known_at_s, from_s=from_s
            )
        spoken_of = self._targets.get(one.target)
        if spoken_of is None:
            return None
        if isinstance(one, Usage):
            return replace(
                one,
                id=self._anonymity.name("usage", one.id),
                trajectory=self._try(one.trajectory),
                target=spoken_of,
                agent=agent,
                known_at_s=known_at_s,
            )
        source = self._targets.get(one.source)
        if source is None or source == spoken_of:
            return None
        return replace(one, source=source, target=spoken_of, agent=agent, known_at_s=known_at_s)

    def _revoked(self, one: Tombstone) -> str | None:
        if one.target_kind == "agent":
            return self._agent(one.target)
        if one.target_kind == "trajectory":
            return self._try(one.target)
        return self._targets.get(one.target)


def with_origin(
    contents: Contents, origin: str, space: ContextSpace | None
) -> tuple[Contents, dict[str, int]]:
    """Return records under the name of where they came from.

    Agents, judges, and ids of trajectories, verdicts and usages get ``origin/`` before them; see
    the module.

    Parameters
    ----------
    contents : Contents
    origin : str
        Not empty, without a ``/``.
    space : ContextSpace or None
        As in ``anonymised``.

    Returns
    -------
    Contents
    dict of str to int
        How many records of each kind were left out.

    Raises
    ------
    ConfigError
        If the origin can't be a name.
    """
    if not origin or "/" in origin or not origin.isprintable():
        raise ConfigError("origin", origin, "a name without a slash is needed")

    def named(name: str) -> str:
        return f"{origin}/{name}"

    valid = _applied(contents, ContextReader(space))
    tries = [replace(one, id=named(one.id), agent=named(one.agent)) for one in valid.trajectories]
    ids = {one.id: new.id for one, new in zip(valid.trajectories, tries, strict=True)}
    items: list[Annotation] = []
    for note in valid.annotations:
        if isinstance(note, Item):
            sources = tuple(named(source) for source in note.sources)
            item = replace(note, agent=named(note.agent), sources=sources)
            ids[note.id] = item.id
            items.append(item)
    others = [
        _from_elsewhere(one, named, ids) for one in valid.annotations if not isinstance(one, Item)
    ]
    kept = Contents(
        tuple(replace(one.open(), agent=named(one.agent)).seal() for one in valid.experiences),
        tuple(tries),
        (*items, *others),
    )
    return kept, _left_out(contents, kept)


def _applied(contents: Contents, reader: ContextReader) -> Contents:
    """Return what tombstones of patterns and items leave, with tombstones of tries instead."""
    patterns, statements = _stones_of(contents, "pattern"), _stones_of(contents, "item")
    notes = [
        one
        for one in contents.annotations
        if not (isinstance(one, Tombstone) and one.target_kind in ("pattern", "item"))
        and not (isinstance(one, Item) and one.statement in statements)
    ]
    if not patterns:
        return replace(contents, annotations=tuple(notes))
    tries: list[Trajectory] = []
    for one in contents.trajectories:
        stone = patterns.get(_pattern_of(one, reader))
        if stone is None or stone.from_s > one.known_at_s:
            tries.append(one)
            if stone is not None:
                notes.append(replace(stone, target_kind="trajectory", target=one.id))
    # A try may have had such a tombstone already.
    single = {(note.kind, note.id): note for note in notes}
    return Contents(contents.experiences, tuple(tries), tuple(single.values()))


def _left_out(before: Contents, after: Contents) -> dict[str, int]:
    """Return how many records there are less, by kind."""
    counts = after.counts()
    gone = {kind: count - counts.get(kind, 0) for kind, count in before.counts().items()}
    return {kind: count for kind, count in sorted(gone.items()) if count > 0}


def _from_elsewhere(
    one: Verdict | Usage | Link | Tombstone, named: Callable[[str], str], ids: dict[str, str]
) -> Annotation:
    """Return an annotation under its new name."""
    if isinstance(one, Verdict):
        return replace(
            one, id=named(one.id), trajectory=named(one.trajectory), judge=named(one.judge)
        )
    agent = named(one.agent)
    if isinstance(one, Usage):
        target = ids.get(one.target, one.target)
        trajectory = named(one.trajectory)
        return replace(one, id=named(one.id), trajectory=trajectory, target=target, agent=agent)
    if isinstance(one, Link):
        source, target = ids.get(one.source, one.source), ids.get(one.target, one.target)
        return replace(one, source=source, target=target, agent=agent)
    return replace(one, target=named(one.target), agent=agent)


def _stones_of(contents: Contents, kind: str) -> dict[str, Tombstone]:
    """Return tombstones of a kind of target; of several on one target, that from earliest on."""
    stones = [one for one in contents.annotations if isinstance(one, Tombstone)]
    found: dict[str, Tombstone] = {}
    for one in sorted(stones, key=lambda one: (one.from_s, one.known_at_s, one.id)):
        if one.target_kind == kind:
            found.setdefault(one.target, one)
    return found


def _pattern_of(one: Trajectory, reader: ContextReader) -> str:
    return pattern_id(one.domain, one.task_type, one.approach, reader.cell(one.context))


def _patterns_in(experiences: tuple[Sealed, ...], reader: ContextReader) -> Iterator[str]:
    """Yield the ids of all patterns that experiences speak of."""
    seen: set[tuple[str, str, tuple[str, ...], int]] = set()
    for sealed in experiences:
        one = sealed.open()
        group = (one.domain, one.task_type, one.approaches)
        for cell in np.unique(one.cells).tolist():
            if (*group, cell) not in seen:
                seen.add((*group, cell))
                for approach in one.approaches:
                    yield pattern_id(one.domain, one.task_type, approach, reader.numbered(cell))


def _day_after(time_s: int) -> int:
    """Return a moment rounded up to a whole day."""
    return min(-(-time_s // _DAY_S) * _DAY_S, _LATEST)
