"""Commands that carry knowledge from one bank to another: export, import, keygen.

Above: ``bank``. Below: ``memory.import_export``, ``memory.bundle_file``, ``memory.signing``.
"""

from __future__ import annotations

import contextlib
import gzip
import secrets
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from swarm_runtime import __version__
from swarm_runtime.cli.bank import words
from swarm_runtime.cli.bank.arguments import Bank, bank_file, now_s, readable
from swarm_runtime.cli.bank.group import app, notes
from swarm_runtime.cli.shared import AsJson, print_json, print_line, remark, working
from swarm_runtime.errors import ConfigError, StoreError, UserError

if TYPE_CHECKING:
    from swarm_runtime.memory.log.store import SqliteStore
    from swarm_runtime.memory.travel.bundle import Bundle
    from swarm_runtime.memory.travel.import_export import Imported

__all__ = ["export", "import_", "keygen"]

_KEY_BYTES = 32

Replace = Annotated[bool, typer.Option("--replace", help="Write over a bundle that is there.")]


@app.command(
    epilog=notes(
        "swarm bank export bank.db pages.bundle --sign my.key",
        "swarm bank export bank.db anonymous.bundle --anonymise --keep-text site --compress --json",
        keys="bundle size_bytes records left_out signed_by anonymised",
    )
)
def export(
    bank: Bank,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The bundle to write.")],
    sign: Annotated[
        str | None, typer.Option("--sign", metavar="KEY", help="A private key, see keygen.")
    ] = None,
    anonymise: Annotated[
        bool,
        typer.Option("--anonymise", help="Without names, steps, reasons and texts in contexts."),
    ] = False,
    keep_texts: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-text", metavar="NAME", help="Of contexts, keep texts of this name; repeatable."
        ),
    ] = None,
    keep_items: Annotated[
        bool, typer.Option("--keep-items", help="Keep items, with their texts as they are.")
    ] = False,
    compress: Annotated[bool, typer.Option("--compress", help="Write gzip.")] = False,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Write all that is recorded into one signed file that another bank can check and import."""
    if not anonymise and (keep_texts or keep_items):
        option = "--keep-text" if keep_texts else "--keep-items"
        raise UserError(f"{option}: only what is anonymised (--anonymise) leaves anything out")
    from swarm_runtime.memory.exchange import Exchange
    from swarm_runtime.memory.log.store import SqliteStore
    from swarm_runtime.memory.travel.signing import read_key

    path, target = bank_file(bank), Path(file)
    key = None if sign is None else read_key(sign)
    with readable(target):
        if target.is_dir():
            raise ConfigError("FILE", file, "is a folder; name a file in it")
        if replace and target.exists() and not _is_bundle(target):
            raise ConfigError("FILE", file, "is there already, and no bundle; name another file")
    with (
        contextlib.closing(SqliteStore(path)) as store,
        working(f"exporting {path}"),
        readable(target),
    ):
        done = Exchange(store).export(
            target,
            made_at_s=now_s(),
            producer=f"swarm-runtime {__version__}",
            key=key,
            # It is forgotten here: nobody can find a name out by trying names.
            pseudonym_key=secrets.token_bytes(_KEY_BYTES) if anonymise else None,
            keep_texts=keep_texts or (),
            keep_items=keep_items,
            compress=compress,
            overwrite=replace,
        )
    if as_json:
        print_json(
            {
                "bundle": file,
                "size_bytes": done.size_bytes,
                "records": done.records,
                "left_out": done.left_out,
                "signed_by": done.signed_by,
                "anonymised": anonymise,
            }
        )
        return
    print_line(f"{file}: {words.plural(done.records, 'record')}, {words.size(done.size_bytes)}")
    for kind, gone in done.left_out.items():
        print_line(f"left out: {gone} of kind {kind}")
    if key is None:
        remark("nobody vouches for this bundle: it is not signed (--sign)")


@app.command(
    "import",
    epilog=notes(
        "swarm bank import other.db signed.bundle --trusted trusted.keys",
        "swarm bank import other.db unsigned.bundle --unsigned --origin them --json",
        keys="new known late left_out trusted signed_by",
    ),
)
def import_(
    bank: Bank,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The bundle to read.")],
    trusted: Annotated[
        str | None,
        typer.Option(
            "--trusted", metavar="KEYS", help="A file with the public keys you trust, one a line."
        ),
    ] = None,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Take it although nobody you trust has signed it.")
    ] = False,
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin", metavar="NAME", help="Put a name before their agents and ids: strangers."
        ),
    ] = None,
    only_what_fits: Annotated[
        bool, typer.Option("--only-what-fits", help="Leave out what doesn't fit, and say what.")
    ] = False,
    revocations: Annotated[
        bool, typer.Option("--revocations/--no-revocations", help="Take what they revoked.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Record what a bundle holds, all or nothing; the bank is made if it is missing.

    All of it is checked first. Doing so twice changes nothing.
    """
    from swarm_runtime.memory.log.store import SqliteStore
    from swarm_runtime.memory.log.turns import await_turn
    from swarm_runtime.memory.travel.bundle_file import read_bundle

    path, source = bank_file(bank, make=True), Path(file)
    with readable(source), working(f"checking {file}"):
        if source.is_dir():
            raise ConfigError("FILE", file, "is a folder; name a file in it")
        bundle = read_bundle(source, trusted=trusted, allow_unsigned=unsigned)
    chosen = (origin, only_what_fits, revocations)
    with working(f"importing {file}"):
        if path.exists():
            await_turn(path, remark)
        else:
            # What can't be taken must not leave an empty bank behind.
            with contextlib.closing(SqliteStore(":memory:")) as trial:
                _taken(trial, bundle, *chosen)
        with contextlib.closing(SqliteStore(path)) as store:
            done = _taken(store, bundle, *chosen)
    if as_json:
        print_json(
            {
                "new": done.new,
                "known": done.known,
                "late": done.late,
                "left_out": list(done.left_out),
                "trusted": bundle.trusted,
                "signed_by": list(bundle.signed_by),
            }
        )
        return
    late = f", {done.late} too late" if done.late else ""
    print_line(f"{words.plural(done.new, 'new record')}, {done.known} here already{late}")
    for what in done.left_out:
        print_line(f"left out: {what}")


@app.command(epilog=notes("swarm bank keygen new.key --name me", keys="key public line"))
def keygen(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Of the private key to make.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Whose it is.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key to sign bundles with; the line in FILE.pub is for those who are to trust it."""
    from swarm_runtime.memory.travel.signing import generate_key

    with readable(Path(file)):
        line = generate_key(file, name)
    if as_json:
        print_json({"key": file, "public": f"{file}.pub", "line": line})
    else:
        print_line(f"{file}: keep it secret; others trust {file}.pub:")
        print_line(line)


def _is_bundle(path: Path) -> bool:
    """Return whether a file begins like a bundle, compressed or not."""
    from swarm_runtime.memory.travel.bundle import FORMAT

    for opened in (Path.open, gzip.open):
        with (
            opened(path, "rb") as file,
            contextlib.suppress(gzip.BadGzipFile, EOFError, zlib.error),
        ):
            if file.read(len(FORMAT)) == FORMAT.encode():
                return True
    return False


def _taken(
    store: SqliteStore,
    bundle: Bundle,
    origin: str | None,
    only_what_fits: bool,
    revocations: bool,
) -> Imported:
    """Record a bundle; UserError where another record has the name of one of its."""
    from swarm_runtime.memory.exchange import Exchange

    try:
        return Exchange(store).take(
            bundle,
            origin=origin,
            only_what_fits=only_what_fits,
            revocations="all" if revocations else "none",
        )
    except StoreError as problem:
        if "another content" not in problem.reason:
            raise
        raise UserError(
            f"{bundle.name}: {problem.reason}; nothing was recorded (--origin keeps names apart)"
        ) from None
