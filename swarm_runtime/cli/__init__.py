"""The command line: ``swarm``. Thin doors over ``api`` and over the bank; no logic of their own.

Results go to standard output, all else to standard error. Exit codes:

====  ===========================================================================================
0     done
1     a fault of the program
2     something the user gave is wrong: one line names it, its value, and what is allowed
3     faults could not be masked, so a run has no result (``swarm resume`` goes on)
4     a bank's file is damaged, no bank, or can't be used now: the line says what to do
5     a strategy looks ahead (``swarm check-strategy``)
130   interrupted
====  ===========================================================================================

``runs`` has the commands of runs, ``bank`` those of the memory alone. Everything heavy is imported
inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from swarm_runtime import __version__
from swarm_runtime.cli import bank, runs
from swarm_runtime.cli.shared import OneLineErrors

__all__ = ["app", "main"]

app = typer.Typer(
    name="swarm",
    help="A learning swarm of trading agents: replays history, with and without a memory.",
    cls=OneLineErrors,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of every command."""


runs.register(app)
app.add_typer(bank.app)


def main() -> None:
    """Run the command line."""
    app(prog_name="swarm")
