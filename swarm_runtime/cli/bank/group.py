"""The group ``swarm bank``, and how the help of its commands is laid out.

Above: the modules of its commands.
"""

from __future__ import annotations

import typer
from rich.markup import escape

__all__ = ["app", "notes"]

_SETTINGS = (
    "BANK is a bank's file, or the folder of a run: then its bank, with the run's settings."
    " Elsewhere settings come from the environment, e.g."
    " SWARM_MEMORY__CONFIDENCE_THRESHOLD=0.7. A bank that is in use may be asked and changed:"
    " whoever writes waits for others. Times are ISO dates and times, in UTC where they don't say"
    " otherwise (a date is its first second), whole seconds since 1970, or `now`."
)

app = typer.Typer(
    name="bank",
    help="The memory alone: record outcomes of any kind of task, ask what worked, and why.",
    epilog=_SETTINGS,
    no_args_is_help=True,
)


def notes(*examples: str, keys: str, many: bool = False) -> str:
    """Return the end of a command's help: examples, and what ``--json`` prints.

    Parameters
    ----------
    *examples : str
        Each is a whole command line; a test runs them.
    keys : str
        Of the object, separated by spaces; a test compares them with what is printed.
    many : bool
        Whether it is a list of such objects.
    """
    lines = [f"[bold]{escape(one)}[/]" for one in examples]
    what = "a list of objects" if many else "an object"
    lines.append(f"--json prints {what} with the keys {', '.join(keys.split())}.")
    return "\n\n".join(["Examples:", *lines])
