"""Command lines run in this process, many of them: the commands are put together only once.

(``typer.testing.CliRunner`` puts them together for every call, which takes longer than most calls.)
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from swarm_runtime.cli import app

__all__ = ["COMMANDS", "EXAMPLES", "Done", "Run", "call", "one_try", "refused"]

_SWARM: Any = typer.main.get_command(app)
#: The commands of ``swarm bank`` by name.
COMMANDS: dict[str, Any] = _SWARM.commands["bank"].commands


#: Examples of the help: (command, line).
EXAMPLES = [
    (name, line)
    for name, command in COMMANDS.items()
    for line in re.findall(r"\[bold\](swarm bank .*?)\[/\]", command.epilog.replace("\\[", "["))
]


@dataclass(frozen=True)
class Done:
    """What came of a command line; ``error`` is what it should never end with."""

    exit_code: int
    stdout: str
    stderr: str
    error: BaseException | None


def call(*arguments: str, given: bytes = b"") -> Done:
    """Run ``swarm`` with some arguments and standard input."""
    code, error = 0, None
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(given), "utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            _SWARM.main(list(arguments), "swarm")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except Exception as problem:
        code, error = 1, problem
    finally:
        sys.stdin = before
    texts: list[str] = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]
    return Done(code, *texts, error)


#: Runs ``swarm bank``.
Run = Callable[..., Done]


def refused(done: Done, code: int = 2) -> str:
    """Return the one line that says what is wrong."""
    assert done.exit_code == code, done.stdout + done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("swarm: ")
    return line


def one_try(*more: str) -> list[str]:
    needed = ["--task-type", "fetch", "--approach", "mirror", "--agent", "me"]
    return ["record", "bank.db", *needed, "-c", "site=example.org", *more]
