"""Knowledge from one bank to another: by deltas between banks that can talk, or by a signed file.

Both merge by union: in any order, any number of times, to the same content; tombstones win. Above:
``bank`` (``bank.exchange``) and the doors. Below: ``anti_entropy``, ``replica``, ``bundle_file``,
``import_export``, ``pseudonyms``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from swarm_runtime.memory.log.deltas import Reply, Request
from swarm_runtime.memory.log.protocol import SPACE
from swarm_runtime.memory.log.store import SqliteStore
from swarm_runtime.memory.records.pattern import space_from_json
from swarm_runtime.memory.travel.anti_entropy import Exchanged, reconcile
from swarm_runtime.memory.travel.bundle import Bundle, Header
from swarm_runtime.memory.travel.bundle_file import write_bundle
from swarm_runtime.memory.travel.import_export import Imported, contents_of, import_bundle
from swarm_runtime.memory.travel.pseudonyms import Anonymity, anonymised, anonymised_header
from swarm_runtime.memory.travel.replica import Replica
from swarm_runtime.memory.travel.signing import SigningKey

__all__ = ["Exchange", "Exported"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes
    ----------
    size_bytes : int
    records : int
    left_out : dict of str to int
        What anonymising left out, by kind.
    signed_by : str or None
        The public key.
    """

    size_bytes: int
    records: int
    left_out: dict[str, int]
    signed_by: str | None


class Exchange:
    """Gives and takes one log's records.

    Parameters
    ----------
    store : SqliteStore
    """

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.replica = Replica(store)

    def bring(self, other: Exchange) -> Exchanged:
        """Let another bank of this process and this one have what either has."""
        return self.reconcile(other.replica.answer)

    def reconcile(self, ask: Callable[[Request], Reply], *, both_ways: bool = True) -> Exchanged:
        """Fetch what another bank has and this one lacks, and the other way round.

        What travels grows with the difference, not with the banks.

        Parameters
        ----------
        ask : callable
            Carries a request to the other bank's ``exchange.replica.answer``.
        both_ways : bool
            Whether to offer what the other lacks, too.

        Raises
        ------
        ValueError
            If a reply is not what was asked for.
        """
        return reconcile(self.replica, ask, both_ways=both_ways)

    def export(
        self,
        path: str | Path,
        *,
        made_at_s: int,
        producer: str,
        key: SigningKey | None = None,
        pseudonym_key: bytes | None = None,
        keep_texts: Collection[str] = (),
        keep_items: bool = False,
        compress: bool = False,
        overwrite: bool = False,
    ) -> Exported:
        """Write all that is recorded into one file that another bank can check and import.

        Parameters
        ----------
        path : str or Path
        made_at_s : int
        producer : str
            What wrote it, by name and version.
        key : SigningKey or None
            To sign with; None: nobody vouches for it.
        pseudonym_key : bytes or None
            Random bytes that are to be forgotten: with them names, steps, reasons and texts are
            replaced or left out (see ``pseudonyms``). None: everything is as it is.
        keep_texts : collection of str
            Of contexts, the features whose texts stay all the same.
        keep_items : bool
            Whether items stay, with their texts.
        compress, overwrite : bool

        Raises
        ------
        RunFolderError
            If the file can't be written, or is there and is not to be overwritten.
        """
        space = self._store.setting(SPACE)
        header = Header(
            made_at_s=made_at_s,
            producer=producer,
            bank=self._store.uuid,
            space=space,
            kept_from_s=self._store.kept_from_s(),
        )
        contents = contents_of(self._store)
        left_out: dict[str, int] = {}
        if pseudonym_key is not None:
            anonymity = Anonymity(pseudonym_key, frozenset(keep_texts), keep_items)
            declared = None if space is None else space_from_json(space)
            contents, left_out = anonymised(contents, anonymity, declared)
            header = replace(anonymised_header(header), options={"texts": sorted(keep_texts)})
        size_bytes = write_bundle(
            path, header, contents, key=key, compress=compress, replace=overwrite
        )
        signed_by = None if key is None else key.public
        return Exported(size_bytes, sum(contents.counts().values()), left_out, signed_by)

    def take(
        self,
        bundle: Bundle,
        *,
        origin: str | None = None,
        only_what_fits: bool = False,
        revocations: Literal["all", "none"] = "all",
    ) -> Imported:
        """Record what a file holds: all of it, or nothing.

        Parameters
        ----------
        bundle : Bundle
            As ``travel.bundle_file.read_bundle`` gave it: checked, and vouched for.
        origin, only_what_fits, revocations
            See ``travel.import_export.import_bundle``.

        Raises
        ------
        ConfigError
            If it does not fit the bank.
        StoreError
            If a record is here under the same name with another content, or the disk refuses.
        """
        return import_bundle(
            self._store,
            bundle,
            origin=origin,
            only_what_fits=only_what_fits,
            revocations=revocations,
        )
