"""Commands of runs: run, resume, report, check-strategy. Thin over ``api``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from swarm_runtime.cli.shared import ERRORS, AsJson, print_json
from swarm_runtime.errors import ConfigError

if TYPE_CHECKING:
    from swarm_runtime.config import Settings

__all__ = ["register"]

_LOOKS_AHEAD = 5

RunDir = Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run's folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands to a group."""
    app.command(
        epilog="Examples: [bold]swarm run[/]   "
        "[bold]swarm run --data prices/ --agents 10 --topology star --memory compare[/]   "
        "[bold]swarm run --shell local --set data.source=placebo --json[/]"
    )(run)
    app.command()(resume)
    app.command()(report)
    app.command("check-strategy")(check_strategy)


def run(
    config: Annotated[str | None, typer.Option(metavar="FILE", help="TOML or YAML file.")] = None,
    preset: Annotated[str | None, typer.Option(help="development, staging or production.")] = None,
    agents: Annotated[int | None, typer.Option(help="Number of agents.")] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Kinds of agents; one's own as path/to/file.py:ClassName."
        ),
    ] = None,
    topology: Annotated[str | None, typer.Option(help="mesh or star.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every choice.")] = None,
    shell: Annotated[str | None, typer.Option(help="ray or local: the same result.")] = None,
    memory: Annotated[str | None, typer.Option(help="on, off or compare.")] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="CSV or Parquet file, or folder; may be repeated."),
    ] = None,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Symbols to trade.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="First date, YYYY-MM-DD.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last date, YYYY-MM-DD.")
    ] = None,
    repair: Annotated[
        bool | None, typer.Option("--repair", help="Mend faults in data files, and say so.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run folder to make.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting, e.g. memory.bound_z=2."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay history with a swarm of learning agents, and report what was found."""
    given: dict[str, Any] = {
        "swarm.agents": agents,
        "swarm.kinds": _words(kinds),
        "swarm.topology": topology,
        "seed": seed,
        "shell": shell,
        "memory.mode": memory,
        "data.source": "files" if data else None,
        "data.paths": data or None,
        "data.symbols": _words(symbols),
        "data.start": start,
        "data.stop": stop,
        "data.repair": repair,
    }
    from swarm_runtime.config import load

    overrides = {name: value for name, value in given.items() if value is not None}
    chosen = load(
        file=config, preset=preset, overrides={**overrides, **_assignments(settings or [])}
    )
    # After the settings: who mistyped one need not wait for the whole program.
    from swarm_runtime import api

    with _progress(chosen) as progress:
        result = api.run(chosen, out=out, progress=progress)
    _show(result.report, result.folder, as_json)


def resume(run_dir: RunDir, as_json: AsJson = False) -> None:
    """Go on with a run that did not come to its end."""
    from swarm_runtime import api

    with _progress(None) as progress:
        result = api.resume(run_dir, progress=progress)
    _show(result.report, result.folder, as_json)


def report(run_dir: RunDir, as_json: AsJson = False) -> None:
    """Print the report of a finished run."""
    from swarm_runtime import api

    _show(api.read_report(run_dir), run_dir, as_json)


def check_strategy(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="path/to/file.py, path/to/file.py:ClassName, or a built-in kind."
        ),
    ],
) -> None:
    """Tell whether a strategy looks ahead: its past must not change with the future."""
    from swarm_runtime import api

    found = api.check_strategy(file)
    typer.echo(str(found))
    if not found.ok:
        raise typer.Exit(_LOOKS_AHEAD)


def _words(text: str | None) -> list[str] | None:
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def _assignments(pairs: list[str]) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ConfigError("--set", pair, "write NAME=VALUE, e.g. --set memory.bound_z=2")
        try:
            found[name] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError):
            found[name] = value
    return found


@contextlib.contextmanager
def _progress(settings: Settings | None) -> Iterator[Callable[[str, int, int], None] | None]:
    """Show a bar per arm on a terminal, and a line per tenth elsewhere."""
    where = "" if settings is None else f" on {settings.shell}"
    if not ERRORS.is_terminal:
        shown: dict[str, int] = {}

        def say(arm: str, done: int, count: int) -> None:
            tenth = done * 10 // count
            if tenth > shown.get(arm, -1):
                shown[arm] = tenth
                print(f"memory {arm}: round {done} of {count}", file=sys.stderr, flush=True)

        yield say
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rounds"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=ERRORS) as bars:
        waiting = bars.add_task(f"starting{where}", total=None)
        tasks: dict[str, Any] = {}

        def draw(arm: str, done: int, count: int) -> None:
            if arm not in tasks:
                bars.update(waiting, visible=False)
                tasks[arm] = bars.add_task(f"memory {arm}", total=count)
            bars.update(tasks[arm], completed=done)

        yield draw


def _show(found: dict[str, Any], folder: Path, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    from swarm_runtime.report.terminal import print_report

    print_report(found, Console(highlight=False))
    typer.echo(f"page   {folder / 'report.html'}")
