"""Commands that keep a bank's file whole and safe: verify, rebuild, backup, restore, vacuum.

Above: ``bank``. Below: ``memory.upkeep``, ``memory.backups``.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarm_runtime.cli.bank import words
from swarm_runtime.cli.bank.arguments import Bank, bank_file, opened, readable, whole, written_to
from swarm_runtime.cli.bank.group import app, notes
from swarm_runtime.cli.shared import AsJson, in_one_line, print_json, print_line, remark, working
from swarm_runtime.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from swarm_runtime.memory.upkeep import Checked

__all__ = ["backup", "rebuild", "restore", "vacuum", "verify"]

_CHECKED = "ok problem records patterns outcomes vectors"


@app.command(epilog=notes("swarm bank verify bank.db", keys=_CHECKED))
def verify(bank: Bank, as_json: AsJson = False) -> None:
    """Read everything, check it, and compare it with what answers are from. Exits 4 on damage.

    With --json the damage is in the object too, so that a watch can read it.
    """
    path = bank_file(bank)
    try:
        with opened(bank) as asked, working(f"verifying {path}"):
            found = asked.upkeep.verify()
    except StoreError as problem:
        if as_json:
            print_json(
                {"ok": False, "problem": in_one_line(str(problem)), **dict.fromkeys(_COUNTS)}
            )
        _name_backups(path)
        raise
    _show(found, as_json, "sound")


@app.command(epilog=notes("swarm bank rebuild bank.db", keys=_CHECKED))
def rebuild(bank: Bank, as_json: AsJson = False) -> None:
    """Throw away all that was derived, derive it anew from the log, and verify."""
    path = bank_file(bank)
    with written_to(bank) as changed, working(f"rebuilding {path}"):
        found = changed.upkeep.rebuild()
    _show(found, as_json, "derived anew")


@app.command(
    epilog=notes(
        "swarm bank backup bank.db copy.db",
        "swarm bank backup bank.db --folder backups --keep 3 --json",
        keys="backup size_bytes",
    )
)
def backup(
    bank: Bank,
    copy: Annotated[
        str | None,
        typer.Argument(metavar="COPY", help="The file to write."),
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder", metavar="DIR", help="Or under the next number in a folder, made if missing."
        ),
    ] = None,
    keep: Annotated[
        int,
        typer.Option(
            "--keep",
            parser=whole(1, 1_000_000),
            metavar="NUMBER",
            help="Backups that stay in the folder.",
        ),
    ] = 3,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over a bank that is there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a consistent copy, checked and whole, while others read and write."""
    from swarm_runtime.memory.log.store import SqliteStore

    if (copy is None) == (folder is None):
        raise ConfigError("COPY", copy, "give either a file, or a folder with --folder")
    path = bank_file(bank)
    if copy is not None:
        with readable(Path(copy)):
            # Whoever mixes the two up must not lose the bank to its backup.
            if Path(copy).is_file() and not replace:
                raise ConfigError("COPY", copy, "is there already; --replace writes over it")
    with contextlib.closing(SqliteStore(path)) as store, working(f"backing {path} up") as progress:
        if copy is not None:
            made = Path(copy)
            with readable(made):
                store.backup(made, progress)
        else:
            with readable(Path(str(folder))):
                made = store.backup_in_turn(str(folder), keep, progress)
    count = made.stat().st_size
    if as_json:
        print_json({"backup": str(made), "size_bytes": count})
    else:
        print_line(f"backed up to {made} ({words.size(count)})")


@app.command(
    epilog=notes(
        "swarm bank restore new.db --from backup.db",
        "swarm bank restore bank.db --from backup.db --replace --json",
        keys="bank restored_from put_aside",
    )
)
def restore(
    bank: Bank,
    source: Annotated[str, typer.Option("--from", metavar="BACKUP", help="A backup, or any bank.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Put the bank that is there aside; it is not deleted.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in a bank's place, after checking it. What is there stays unless --replace."""
    from swarm_runtime.memory.log.backups import restore as put_back

    path = bank_file(bank, make=True)
    if path.exists() and not replace:
        raise ConfigError("BANK", str(path), "is there already; --replace puts it aside")
    with readable(path), working(f"restoring {path}") as progress:
        aside = put_back(source, path, replace=replace, progress=progress)
    if as_json:
        put_aside = None if aside is None else str(aside)
        print_json({"bank": str(path), "restored_from": source, "put_aside": put_aside})
        return
    print_line(f"restored {path} from {source}")
    if aside is not None:
        print_line(f"what was there is {aside}")


@app.command(epilog=notes("swarm bank vacuum bank.db", keys="freed_bytes size_bytes"))
def vacuum(bank: Bank, as_json: AsJson = False) -> None:
    """Give back the room of what was deleted."""
    path = bank_file(bank)
    with written_to(bank) as changed, working(f"vacuuming {path}"):
        freed = changed.upkeep.vacuum()
    count = path.stat().st_size
    if as_json:
        print_json({"freed_bytes": freed, "size_bytes": count})
    else:
        print_line(f"{words.size(max(freed, 0))} given back; {words.size(count)} are left")


_COUNTS = ("records", "patterns", "outcomes", "vectors")


def _show(found: Checked, as_json: bool, what: str) -> None:
    counts = {name: getattr(found, name) for name in _COUNTS}
    if as_json:
        print_json({"ok": True, "problem": None, **counts})
        return
    print_line(
        f"{what}: {words.plural(found.records, 'record')} as they were written;"
        f" {words.plural(found.patterns, 'pattern')}, {words.plural(found.outcomes, 'outcome')} and"
        f" {words.plural(found.vectors, 'vector')} agree with them"
    )


def _name_backups(path: Path) -> None:
    """Say which backups lie beside a bank."""
    from swarm_runtime.memory.log.backups import backups_in

    with contextlib.suppress(OSError):
        if found := backups_in(path.parent, path.name):
            remark(f"the newest backup beside it is {found[-1]}")
