"""What of a log goes into a bundle, and what of a bundle into a log. Pure.

An import is looked at whole before anything is recorded, and is recorded in one commit; doing so
twice changes nothing. The bundle's embeddings are derived anew, so neither the dimension nor the
embedder has to be the bank's. Experiences need the bank's own space of contexts (a bank that has
none takes the bundle's) and leave no gap in an agent's epochs; everything else fits everywhere,
though with another space patterns go by other ids, so usages, links and tombstones that name
patterns may find nothing to speak of.

Above: ``bank``. Below: ``bundle``, ``pseudonyms``, ``log``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.errors import ConfigError, RunFolderError, did_you_mean
from swarm_runtime.memory.log.protocol import SPACE, ExperienceStore, Position
from swarm_runtime.memory.records.annotations import Annotation, Tombstone
from swarm_runtime.memory.records.pattern import ContextSpace
from swarm_runtime.memory.records.trajectory import Trajectory
from swarm_runtime.memory.travel.bundle import Bundle, Contents, checked_space
from swarm_runtime.memory.travel.pseudonyms import with_origin

__all__ = ["Imported", "Recorder", "contents_of", "import_bundle"]


class Recorder(Protocol):
    """What a bundle is recorded in: a part of ``log.ExperienceStore``."""

    @property
    def late(self) -> int:
        """How many trajectories were passed over, since retention may have let go of them."""
        ...

    def setting(self, key: str) -> str | None:
        """Return what the log says of itself under a key."""
        ...

    def set_setting(self, key: str, value: str) -> None:
        """Note something about the log."""
        ...

    def view(self) -> View:
        """Return how many epochs of each agent are here."""
        ...

    def record_all(
        self,
        sealed: Sequence[Sealed],
        trajectories: Sequence[Trajectory],
        annotations: Sequence[Annotation],
    ) -> int:
        """Record all of them in one commit, or none; return how many were new."""
        ...


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a bundle.

    Attributes
    ----------
    new : int
        Records that were recorded.
    known : int
        Records that were here already.
    late : int
        Trajectories that were passed over: retention may have let go of them.
    left_out : tuple of str
        What was not taken, and why, in words.
    """

    new: int
    known: int
    late: int
    left_out: tuple[str, ...]


def contents_of(log: ExperienceStore) -> Contents:
    """Return all records of a log, from one state of it.

    What retention let go of has left only counters, which stay where they are.
    """
    experiences: list[Sealed] = []
    trajectories: list[Trajectory] = []
    annotations: list[Annotation] = []
    with log.reading():
        position = Position()
        while True:
            records, end = log.since(position)
            if end == position:
                break
            for one in records:
                if isinstance(one, Experience):
                    experiences.append(one.seal())
                elif isinstance(one, Trajectory):
                    trajectories.append(one)
                else:
                    annotations.append(one)
            position = end
    return Contents(tuple(experiences), tuple(trajectories), tuple(annotations))


def import_bundle(
    log: Recorder,
    bundle: Bundle,
    *,
    origin: str | None = None,
    only_what_fits: bool = False,
    revocations: Literal["all", "none"] = "all",
) -> Imported:
    """Record a bundle's contents: all of them, or nothing.

    Parameters
    ----------
    log : Recorder
    bundle : Bundle
        As ``bundle_file.read_bundle`` gave it: checked.
    origin : str or None
        A name to put before agents and ids (``pseudonyms.with_origin``); None: they stay as they
        are, as between banks of one owner. The same bundle under two origins counts twice.
    only_what_fits : bool
        Whether to leave out what doesn't fit, instead of refusing the bundle.
    revocations : str
        ``all``; ``none``: no tombstone is taken.

    Raises
    ------
    ConfigError
        If the space differs, or the origin can't be a name.
    RunFolderError
        If there would be a gap in an agent's epochs.
    StoreError
        If a record is here under the same name with another content, or the disk refuses. Then
        nothing was recorded.
    """
    if revocations not in ("all", "none"):
        allowed = did_you_mean(revocations, ("all", "none"))
        raise ConfigError("revocations", revocations, f"not allowed.{allowed}")
    space = bundle.header.space
    contents = bundle.contents
    left_out: list[str] = []
    if revocations == "none":
        kept = tuple(one for one in contents.annotations if not isinstance(one, Tombstone))
        _note(left_out, len(contents.annotations) - len(kept), "tombstones", "as asked for")
        contents = replace(contents, annotations=kept)
    if origin is not None:
        declared = None if space is None else checked_space(space)
        contents, gone = with_origin(contents, origin, declared)
        for kind, count in gone.items():
            _note(
                left_out, count, f"of kind {kind}", "they are revoked, or revoke what isn't theirs"
            )
    own = log.setting(SPACE)
    if contents.experiences and own is not None and own != space:
        if not only_what_fits:
            raise ConfigError("space", bundle.name, _difference(own, space))
        _note(left_out, len(contents.experiences), "experiences", "their space is another one")
        contents = replace(contents, experiences=())
    contents = _without_gaps(bundle.name, contents, log.view(), only_what_fits, left_out)
    if contents.experiences and own is None and space is not None:
        log.set_setting(SPACE, space)
    late = log.late
    new = log.record_all(contents.experiences, contents.trajectories, contents.annotations)
    late = log.late - late
    known = sum(contents.counts().values()) - new - late
    return Imported(new, known, late, tuple(left_out))


def _without_gaps(
    name: str, contents: Contents, view: View, only_what_fits: bool, left_out: list[str]
) -> Contents:
    """Return contents without experiences that begin later than the log's end."""
    first: View = {}
    for one in contents.experiences:
        first[one.agent] = min(one.epoch, first.get(one.agent, one.epoch))
    gaps = {agent for agent, epoch in first.items() if epoch > view.get(agent, 0) + 1}
    if not gaps:
        return contents
    agent = min(gaps)
    reason = (
        f"its experiences of {agent} begin with epoch {first[agent]}, the bank's end with"
        f" {view.get(agent, 0)}"
    )
    if not only_what_fits:
        raise RunFolderError(name, f"{reason}; import what lies between first")
    kept = tuple(one for one in contents.experiences if one.agent not in gaps)
    _note(left_out, len(contents.experiences) - len(kept), "experiences", reason)
    return replace(contents, experiences=kept)


def _note(left_out: list[str], count: int, what: str, why: str) -> None:
    if count:
        left_out.append(f"{count} {what}: {why}")


def _difference(own: str, theirs: str | None) -> str:
    """Return in words how two spaces differ."""
    if theirs is None:
        return "the bundle has no space, and the bank has one"
    here, there = _features(checked_space(own)), _features(checked_space(theirs))
    parts = [f"no {name} in the bundle" for name in here if name not in there]
    parts += [f"no {name} in the bank" for name in there if name not in here]
    parts += [
        f"{name} is cut at {there[name]} in the bundle and at {here[name]} in the bank"
        for name in here
        if name in there and here[name] != there[name]
    ]
    if not parts:
        parts = ["the features' order or words"]
    return (
        f"differs from the bank's ({'; '.join(parts)}), so experiences can't be taken; import only"
        " what fits, or into a bank with that space"
    )


def _features(space: ContextSpace) -> dict[str, tuple[float, ...]]:
    return {feature.name: feature.edges for feature in space.features}
