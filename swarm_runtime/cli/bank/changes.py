"""Commands that change what a bank knows: record, revoke, prune, retain.

Whatever would surprise needs a word of its own: pruning and retention say what they would do, and
do it with ``--yes``. Above: ``bank``. Below: ``memory.bank``, ``memory.lines``.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, get_args

import typer

from swarm_runtime.cli.bank import words
from swarm_runtime.cli.bank.arguments import (
    Bank,
    ContextJson,
    ContextPairs,
    ContextText,
    bank_file,
    context_of,
    hint,
    moment,
    now_s,
    number,
    readable,
    share,
    whole,
    written_to,
)
from swarm_runtime.cli.bank.group import app, notes
from swarm_runtime.cli.bank.lookups import pattern_named
from swarm_runtime.cli.shared import AsJson, print_json, print_line, working
from swarm_runtime.errors import ConfigError, DataError, StoreError, UserError, did_you_mean

if TYPE_CHECKING:
    from swarm_runtime.memory.bank import ReasoningBank
    from swarm_runtime.memory.records.lines import Line
    from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["prune", "record", "retain", "revoke"]

_VERDICTS = {"success": 1, "failure": -1, "abstain": 0, "1": 1, "-1": -1, "0": 0}
_SHOWN = 10

Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")]
Now = Annotated[
    int | None,
    typer.Option(
        "--as-of", parser=moment, metavar="TIME", help="In place of now.", show_default=False
    ),
]


@app.command(
    epilog=notes(
        "swarm bank record bank.db --task-type fetch --approach mirror --agent me"
        " -c site=example.org -c hour=14 --verdict success",
        "swarm bank record bank.db --id run9/7 --task-type fetch --approach origin --agent me"
        " --text 'fetch a large page' --verdict failure --excess -1.5 --known-at 2023-11-14T22:00",
        "swarm bank record bank.db tries.jsonl --json",
        keys="given new passed_over ids",
    )
)
def record(
    bank: Bank,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="Tries, one JSON object a line, all or none; - reads them from standard input.",
            show_default=False,
        ),
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Of the try: recording it again changes nothing. Drawn, and printed, if unset.",
            show_default=False,
        ),
    ] = None,
    agent: Annotated[str | None, typer.Option("--agent", metavar="NAME", help="Who tried.")] = None,
    task_type: Annotated[
        str | None, typer.Option("--task-type", metavar="NAME", help="Of the task.")
    ] = None,
    approach: Annotated[
        str | None, typer.Option("--approach", metavar="NAME", help="What was tried.")
    ] = None,
    pairs: ContextPairs = None,
    text: ContextText = None,
    context_json: ContextJson = None,
    verdict: Annotated[
        str | None,
        typer.Option("--verdict", metavar="WORD", help="success, failure or abstain; 1, -1 or 0."),
    ] = None,
    excess: Annotated[
        float | None,
        typer.Option(
            "--excess",
            parser=number,
            metavar="NUMBER",
            help="Reward above the usual, in standard deviations; the verdict if unset.",
            show_default=False,
        ),
    ] = None,
    known_at: Annotated[
        int | None,
        typer.Option(
            "--known-at",
            parser=moment,
            metavar="TIME",
            help="When the outcome was known; now if unset.",
            show_default=False,
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="NAME", help="The field it comes from.")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="Which task it was a try at.")
    ] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option("--step", metavar="TEXT", help="What was done; may be repeated."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Record one try by options, or many as lines of JSON; the bank is made if it is missing.

    A line is {"id": "run1/7", "agent": "me", "task_type": "fetch", "approach": "mirror",
    "context": {"site": "example.org"}, "known_at_s": 1700000000, "verdict": 1}; excess, domain,
    task and steps may follow. Recording a try again changes nothing.
    """
    needed = {
        "--task-type": task_type,
        "--approach": approach,
        "--agent": agent,
        "--verdict": verdict,
    }
    others = {
        "--id": id_,
        "--context": pairs,
        "--text": text,
        "--context-json": context_json,
        "--excess": excess,
        "--known-at": known_at,
        "--domain": domain,
        "--task": task,
        "--step": steps,
    }
    given = [name for name, value in {**needed, **others}.items() if value is not None]
    if file is not None and given:
        raise ConfigError("FILE", file, f"give either a file or one try, not also {given[0]}")
    if file is None and (missing := [name for name, value in needed.items() if value is None]):
        raise UserError(f"{missing[0]} is missing; one try needs {', '.join(needed)}")
    path = bank_file(bank, make=True)
    if file is not None:
        with working("reading tries"):
            lines = _lines(file)
    else:
        chosen = _VERDICTS.get(str(verdict).strip().lower())
        if chosen is None:
            raise ConfigError(
                "--verdict", verdict, f"not allowed.{did_you_mean(verdict, list(_VERDICTS)[:3])}"
            )
        one = _one_try(
            id=secrets.token_hex(8) if id_ is None else id_,
            agent=agent,
            task_type=task_type,
            approach=approach,
            context=context_of(pairs, text, context_json) or {},
            known_at_s=now_s() if known_at is None else known_at,
            excess=chosen if excess is None else excess,
            verdict=chosen,
            domain=domain or "",
            task=task or "",
            steps=tuple(steps or ()),
        )
        lines = [(1, one)]
    tries = [one for _, one in lines]
    with written_to(bank, make=True) as changed, working("recording"):
        try:
            new = changed.record_many(tries)
        except StoreError as problem:
            _refuse_another(path, file, lines, problem)
            raise
        changed.upkeep.tend(now_s())
    ids = len({one.id for one in tries})
    if as_json:
        found = {"given": len(tries), "new": new, "passed_over": ids - new}
        print_json({**found, "ids": [tries[0].id] if file is None else None})
        return
    what = f"try {tries[0].id}" if file is None else words.plural(len(tries), "try", "tries")
    print_line(
        f"{what}: {new} new" + ("" if new == ids else f", {ids - new} here already or too late")
    )


@app.command(
    epilog=notes(
        "swarm bank revoke bank.db agent scraper-2 --reason 'reports success always'",
        "swarm bank revoke bank.db trajectory run1/3 --reason 'the wrong page' --json",
        keys="id target_kind target reason agent known_at_s from_s",
    )
)
def revoke(
    bank: Bank,
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="agent, pattern, trajectory or item.")
    ],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="Its name or id; the beginning of a pattern's.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who revokes; the user if unset.")
    ] = None,
    from_time: Annotated[
        int | None,
        typer.Option(
            "--from",
            parser=moment,
            metavar="TIME",
            help="From when on; if unset for all questions, also about the past.",
            show_default=False,
        ),
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Also what this bank has not seen (yet).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let nothing use what an agent reported, a pattern, a trajectory or an item any more.

    It stays in the log, and everybody who has the file open obeys from the next answer on.
    """
    from swarm_runtime.memory.plain import plain
    from swarm_runtime.memory.records.annotations import ALWAYS, TargetKind, Tombstone

    kinds: tuple[Any, ...] = get_args(TargetKind)
    if kind not in kinds:
        raise ConfigError("KIND", kind, f"can't be revoked.{did_you_mean(kind, kinds)}")
    try:
        Tombstone(kind, target, reason, by or "-", 0)  # type: ignore[arg-type]
    except ValueError as problem:
        raise UserError(str(problem)) from None
    if not reason.strip():
        raise ConfigError("--reason", reason, "say why, in words")
    with written_to(bank) as changed:
        found = target if unseen else _target(changed, bank_file(bank), kind, target)
        tombstone = changed.revoke(
            kind,  # type: ignore[arg-type]
            found,
            agent=by or _user(),
            now_s=now_s(),
            reason=reason,
            from_s=ALWAYS if from_time is None else from_time,
        )
    if as_json:
        print_json(plain(tombstone))
    else:
        since = "" if from_time is None else f" from {words.when(from_time)} on"
        print_line(f"revoked{since}: {kind} {found}; it stays in the log, and nothing uses it")


@app.command(
    epilog=notes(
        "swarm bank prune bank.db --below 0.4",
        "swarm bank prune bank.db --most 1000 --yes --json",
        keys="done patterns trajectories kept",
    )
)
def prune(
    bank: Bank,
    below: Annotated[
        float | None,
        typer.Option(
            "--below",
            parser=share,
            metavar="SHARE",
            help="Confidence; memory.upkeep.prune_below if unset.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        int | None,
        typer.Option(
            "--most",
            parser=whole(0, 2**31),
            metavar="NUMBER",
            help="Patterns that are kept; memory.upkeep.most_patterns if unset.",
            show_default=False,
        ),
    ] = None,
    now: Now = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let go of the patterns that are worth least, with their tries; a dry run without --yes."""
    with written_to(bank) as changed, working("pruning"):
        found = changed.upkeep.prune(
            now_s() if now is None else now, below=below, most=most, pretend=not yes
        )
    if as_json:
        print_json(
            {
                "done": yes,
                "patterns": list(found.patterns),
                "trajectories": found.trajectories,
                "kept": found.kept,
            }
        )
        return
    count = words.plural(len(found.patterns), "pattern")
    if yes:
        tries = words.plural(found.trajectories, "try", "tries")
        print_line(f"let go of {count} with {tries}; {found.kept} kept")
        return
    print_line(f"would let go of {count}, keep {found.kept}; add --yes to do it")
    for id_ in found.patterns[:_SHOWN]:
        print_line(f"  {id_}")
    if len(found.patterns) > _SHOWN:
        print_line(f"  and {len(found.patterns) - _SHOWN} more")


@app.command(
    epilog=notes(
        "swarm bank retain bank.db --days 90",
        "swarm bank retain bank.db --days 30 --yes --json",
        keys="done trajectories until_s",
    )
)
def retain(
    bank: Bank,
    days: Annotated[
        float | None,
        typer.Option(
            "--days",
            parser=number,
            metavar="DAYS",
            help="Age of what is folded; memory.upkeep.retention_days if unset.",
            show_default=False,
        ),
    ] = None,
    now: Now = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Fold old tries into the statistics of their patterns; a dry run without --yes."""
    from swarm_runtime.cli.bank.arguments import settings_of
    from swarm_runtime.memory.log.overview import known_by

    path = bank_file(bank)
    age_days = settings_of(bank).upkeep.retention_days if days is None else days
    if not 0 <= age_days <= _LONGEST_DAYS:
        raise ConfigError("--days", age_days, f"from 0 to {_LONGEST_DAYS}")
    at_s = now_s() if now is None else now
    until_s = at_s - int(age_days * _DAY_S)
    with written_to(bank) as changed, working("folding"):
        count = changed.upkeep.retain(at_s, days=age_days) if yes else known_by(path, until_s)
    if as_json:
        print_json({"done": yes, "trajectories": count, "until_s": until_s})
        return
    tries = words.plural(count, "try", "tries")
    known = f"known by {words.when(until_s)}"
    if yes:
        print_line(f"folded {tries} {known} into statistics")
    else:
        print_line(f"would fold at most {tries} {known}; add --yes to do it")


_DAY_S = 86_400
_LONGEST_DAYS = 1_000_000


# --- tries ---------------------------------------------------------------------------------------


def _one_try(**values: Any) -> Trajectory:
    from swarm_runtime.memory.records.trajectory import Trajectory

    try:
        return Trajectory(**values)
    except ValueError as problem:
        raise UserError(str(problem)) from None


def _lines(file: str) -> list[Line]:
    """Read tries; DataError names the first line that is wrong."""
    from swarm_runtime.memory.records.lines import read_tries

    name = "standard input" if file == "-" else file
    with readable(Path(file)), _stream(file) as stream:
        return list(read_tries(stream, name))


@contextlib.contextmanager
def _stream(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    path = Path(file)
    if path.is_dir():
        raise DataError(file, "is a folder; name a file of JSON lines, or - for standard input")
    with path.open("rb") as stream:
        yield stream


def _refuse_another(path: Path, file: str | None, lines: list[Line], problem: StoreError) -> None:
    """Raise UserError if a try was refused because its id stands for another one in the bank."""
    from swarm_runtime.memory.log.store import SqliteStore

    if "another content" not in problem.reason:
        return
    with contextlib.closing(SqliteStore(path, check=False)) as store:
        here = {one.id: one for one in store.trajectories([one.id for _, one in lines])}
    for number_, one in lines:
        if here.get(one.id, one) != one:
            reason = f"id = {one.id!r}: stands for another try in the bank; nothing was recorded"
            if file is None:
                raise UserError(reason) from None
            source = "standard input" if file == "-" else file
            raise DataError(source, reason, number_) from None


# --- targets -------------------------------------------------------------------------------------


def _user() -> str:
    import getpass

    try:
        return getpass.getuser() or "unknown"
    except (OSError, KeyError):
        return "unknown"


def _target(bank: ReasoningBank, path: Path, kind: str, given: str) -> str:
    """Return what is to be revoked, as the log calls it.

    Raises
    ------
    ConfigError
        If there is no such thing in the bank.
    """
    from swarm_runtime.memory.log.overview import names_in
    from swarm_runtime.memory.log.store import SqliteStore
    from swarm_runtime.memory.records.annotations import Item

    if kind == "pattern":
        return pattern_named(bank, given, None)
    known: set[str] = set()
    with contextlib.closing(SqliteStore(path, check=False)) as store:
        if kind == "trajectory" and store.trajectory(given) is not None:
            return given
        items = [one for one in store.annotations("item") if isinstance(one, Item)]
    if kind == "agent":
        known = {*names_in(path).agents, *(one.agent for one in items)}
    elif kind == "item":
        known = {name for one in items for name in (one.statement, one.id)}
    if given in known:
        return given
    raise ConfigError(
        "TARGET",
        given,
        f"this bank knows no such {kind} (--unseen revokes it all the same).{hint(given, known)}",
    )
