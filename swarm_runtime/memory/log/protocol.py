"""What a durable log of outcomes must do, whatever holds it. Pure: a protocol and its values.

The log is the bank's truth. It holds experiences of agents, single tries (trajectories) and what
is said of them (annotations), all immutable and each with an id, so that recording one again
changes nothing. What retention lets go of leaves its counters behind (``FoldedRow``).

Above: ``bank`` and ``derived``, which know no other store. Below: ``store`` (SQLite) implements
it; a server's database may too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from swarm_runtime.core.knowledge import Experience, Sealed, View
from swarm_runtime.memory.log.deltas import Packet
from swarm_runtime.memory.log.seal_index import Seal
from swarm_runtime.memory.records.annotations import Annotation
from swarm_runtime.memory.records.contexts import Cell
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "SPACE",
    "ExperienceStore",
    "FoldedRow",
    "FoldedUsage",
    "PatternName",
    "Position",
    "Progress",
    "Record",
]

#: The setting that holds the declared space of contexts, as ``pattern.space_to_json`` gives it.
SPACE = "space"

#: What the log holds.
Record = Experience | Trajectory | Annotation

#: A pattern: its id, or (domain, task type, approach, cell or its JSON).
PatternName = str | tuple[str, str, str, Cell | str]

#: Told while something long is under way: how much is done, of how much.
Progress = Callable[[int, int], None]


class Position(NamedTuple):
    """How far the log has been read: the last row of each table."""

    experiences: int = 0
    trajectories: int = 0
    annotations: int = 0


class FoldedRow(NamedTuple):
    """What one agent's trajectories taught about one pattern, of those that were let go.

    Attributes
    ----------
    domain, task_type, approach : str
    cell : Cell
    agent : str
    trials, successes, failures : int
    reward, square : int
        Sums of excess rewards and of their squares, in 1/REWARD_SCALE standard deviations.
    first_known_s, last_known_s : int
        When the first and the last of their outcomes were known.
    """

    domain: str
    task_type: str
    approach: str
    cell: Cell
    agent: str
    trials: int
    successes: int
    failures: int
    reward: int
    square: int
    first_known_s: int
    last_known_s: int


class FoldedUsage(NamedTuple):
    """What became of tasks for which something was retrieved, of those that were let go.

    Attributes
    ----------
    target : str
        Id of the pattern, or statement of the item, that was retrieved.
    agent : str
        For whom.
    pattern : str
        Id of the pattern that the trajectory taught.
    given : bool
    used : bool or None
    propensity : float
        As in ``records.Usage``.
    trials, successes, failures, reward, square, first_known_s, last_known_s : int
        Of the tasks' outcomes; as in ``FoldedRow``.
    """

    target: str
    agent: str
    pattern: str
    given: bool
    used: bool | None
    propensity: float
    trials: int
    successes: int
    failures: int
    reward: int
    square: int
    first_known_s: int
    last_known_s: int


class ExperienceStore(Protocol):
    """A durable log of outcomes."""

    # --- writing -----------------------------------------------------------------------------

    def record_all(
        self,
        sealed: Sequence[Sealed] = (),
        trajectories: Sequence[Trajectory] = (),
        annotations: Sequence[Annotation] = (),
    ) -> int:
        """Make all of them durable, in one commit, or none; return how many were new.

        A trajectory that ``let_go`` or ``prune`` may have let go already is passed over, since it
        may be counted in the statistics that they left: see ``late``.

        Raises
        ------
        StoreError
            If one has the name of another one that is here, or leaves a gap in the epochs of its
            agent. Then nothing was recorded.
        """
        ...

    @property
    def late(self) -> int:
        """How many trajectories this handle passed over, since it was opened, as too late."""
        ...

    def set_setting(self, key: str, value: str) -> None:
        """Note something about the log.

        A space (``SPACE``) decides which cell a context lies in, so noting one files anew what is
        here.
        """
        ...

    def keep_embeddings(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """Keep what a sentence model made of texts, by key; one that is here stays."""
        ...

    # --- reading -----------------------------------------------------------------------------

    def reading(self) -> AbstractContextManager[None]:
        """Let everything read inside come from one state, whatever others write meanwhile.

        Who derives something from the folded rows *and* the records needs it: between the two,
        another process may let something go. Nothing can be written inside.
        """
        ...

    def sealed(self, after: View | None = None, until: View | None = None) -> list[Sealed]:
        """Return experiences by (epoch, agent): those above ``after`` and up to ``until``.

        None means: above nothing, up to everything.

        Raises
        ------
        StoreError
            If not everything that ``until`` names is here.
        """
        ...

    def experiences(self, after: View | None = None, until: View | None = None) -> list[Experience]:
        """Return the same, opened."""
        ...

    def since(
        self, position: Position, until: Position | None = None
    ) -> tuple[list[Record], Position]:
        """Return what was added after a position (and up to another), and the position after it.

        At most a chunk at a time: ask again until the position stays the same. In a chunk,
        experiences come first, then trajectories, then annotations.
        """
        ...

    def seals(self, after: Position) -> tuple[Sequence[Seal], Position]:
        """Return seals of trajectories and annotations added after a position, and the next one.

        At most a chunk at a time: ask again until the position stays the same.
        """
        ...

    def packets(self, places: Sequence[int]) -> Sequence[Packet]:
        """Return records by ``Seal.place``; those that are gone are left out."""
        ...

    def epoch_seals(self, view: View) -> dict[str, bytes]:
        """Return the SHA-256 of one epoch of each agent, of those that are here."""
        ...

    def trajectory(self, id_: str) -> Trajectory | None:
        """Return the trajectory of an id; None if there is none, or no longer."""
        ...

    def trajectories(self, ids: Sequence[str]) -> list[Trajectory]:
        """Return those of some trajectories that are here, in the order of the ids."""
        ...

    def tries(self, pattern: PatternName, until_s: int | None = None) -> list[Trajectory]:
        """Return the trajectories of a pattern that were known by a time, by (known_at_s, id)."""
        ...

    def annotations(
        self, kind: str, *, target: str | None = None, until_s: int | None = None
    ) -> list[Annotation]:
        """Return the annotations of a kind that were known by a time, by (known_at_s, id).

        Parameters
        ----------
        kind : str
            See ``records.ANNOTATIONS``.
        target : str or None
            Only what speaks of this: of a verdict or a usage, the trajectory's id; of a link or a
            tombstone, its target; of an item, its type of task.
        until_s : int or None
            None: no limit.

        Raises
        ------
        ValueError
            If there is no such kind.
        """
        ...

    def in_order_of_time(self, until_s: int | None = None) -> Iterator[Experience | Trajectory]:
        """Return tries that were known by a time (None: all), in one canonical order.

        By (known_at_s, epoch, agent); a trajectory counts as epoch 0, further by its id.
        """
        ...

    def folded_rows(self) -> Iterator[FoldedRow]:
        """Return what trajectories that were let go taught, by pattern and agent."""
        ...

    def folded_usage(self) -> Iterator[FoldedUsage]:
        """Return what became of usages whose trajectories were let go, by target."""
        ...

    def view(self) -> View:
        """Return how many epochs of each agent are here."""
        ...

    def setting(self, key: str) -> str | None:
        """Return what the log says of itself under a key."""
        ...

    def embedding(self, model: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return those of some kept embeddings that are here."""
        ...

    def counts(self) -> dict[str, int]:
        """Return how many rows there are of each kind."""
        ...

    def size_bytes(self) -> int:
        """Return how much room the log takes."""
        ...

    # --- whose log, and in which state -------------------------------------------------------

    @property
    def uuid(self) -> str:
        """A name that was drawn when the log was made; its backups have the same one."""
        ...

    def stamp(self) -> tuple[int, int]:
        """Return two numbers that only this handle can compare: equal, then nothing was changed.

        Cheap enough to be asked before each answer. They may differ without a change.
        """
        ...

    def generation(self) -> int:
        """Return a number that grows when something is let go, pruned or filed anew.

        ``since`` tells what was added. What was derived from the log in an earlier generation has
        to be derived again.
        """
        ...

    def fingerprint(self, position: Position) -> str:
        """Return a proof that a state derived at a position belongs to this log.

        It is equal as long as the log has the same name, generation and, sampled, the same records
        up to the position. A log that was restored from an older backup and went on differently
        gives another one.
        """
        ...

    # --- upkeep ------------------------------------------------------------------------------

    def let_go(self, until_s: int) -> int:
        """Fold the trajectories known by a time into statistics, and delete them.

        Their counters stay, by pattern and agent (``folded_rows``). A verdict known by then stands
        for the trajectory's own; what is revoked by then is deleted and not counted. Usages of a
        trajectory are folded with it (``folded_usage``), its verdicts deleted. A trajectory of
        which something became known only later (a verdict, a usage, a tombstone that starts later)
        stays until then. Experiences, items, links and tombstones stay.

        From then on no trajectory known by that time is taken that isn't here (it may be counted
        already), and a verdict on, or a tombstone of, a single trajectory that was let go comes too
        late to change anything; tombstones of agents and patterns still do, for whoever reads.

        It works through the log in several commits. Whoever is interrupted goes on by calling it
        again: nothing is lost or counted twice.

        Returns
        -------
        int
            How many trajectories were let go.
        """
        ...

    def prune(self, patterns: Sequence[PatternName], until_s: int) -> int:
        """Delete the trajectories of some patterns that were known by a time, and their statistics.

        Usages of those trajectories are folded, since they speak of other patterns; what was
        counted of usages of the patterns themselves is deleted. A note stays that none of these
        trajectories is to be taken again; newer ones are.

        Returns
        -------
        int
            How many trajectories were deleted or, folded, forgotten.
        """
        ...

    def kept_from_s(self) -> int | None:
        """Return the time up to which trajectories were let go; None: never."""
        ...

    def vacuum(self) -> int:
        """Give back the room of what was deleted; return how many bytes."""
        ...

    def backup(self, path: str | Path, progress: Progress | None = None) -> None:
        """Write a consistent copy while others read and write.

        The copy appears under its name when it is whole, checked and on the disk.

        Parameters
        ----------
        path : str or Path
            Where; a bank that is there is replaced.
        progress : callable or None
            Told (pages done, pages in all).

        Raises
        ------
        RunFolderError
            If it can't be written, or something is there that is no bank.
        """
        ...

    def backup_in_turn(
        self, folder: str | Path, kept: int, progress: Progress | None = None
    ) -> Path:
        """Back up under the next number in a folder, and delete all but the newest.

        One process should do so at a time.

        Parameters
        ----------
        folder : str or Path
            Made if it is missing.
        kept : int (>= 1)
            How many backups there are at most afterwards.
        progress : callable or None

        Returns
        -------
        Path
            The new backup.
        """
        ...

    def verify(self) -> int:
        """Read everything, check it against its seals; return how many records there are.

        Raises
        ------
        StoreError
            Names the first thing that is wrong.
        """
        ...

    def close(self) -> None:
        """Let go of the file; doing so twice is fine."""
        ...
