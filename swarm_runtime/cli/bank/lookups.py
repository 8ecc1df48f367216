"""What the commands of a bank look up: mistyped names, parts of ids, words of a declared space.

Above: ``questions``, ``changes``. Below: ``memory.bank``, ``memory.overview``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm_runtime.cli.bank.arguments import bank_file, hint
from swarm_runtime.cli.shared import remark
from swarm_runtime.errors import ConfigError

if TYPE_CHECKING:
    from swarm_runtime.memory.bank import ReasoningBank
    from swarm_runtime.memory.records.trajectory import Context
    from swarm_runtime.memory.state.search import Filters, Found

__all__ = ["found_in", "in_space", "pattern_named", "refuse_unknown", "remark_on_names"]


def pattern_named(bank: ReasoningBank, given: str, as_of_s: int | None) -> str:
    """Return the id of the pattern that an id, or its beginning, names.

    Raises
    ------
    ConfigError
        If there is none, or several.
    """
    try:
        return bank.explain(given, as_of=as_of_s, most=0).pattern.id
    except ConfigError:
        ids = [one.id for one in bank.patterns(as_of=as_of_s)]
    near = [one for one in ids if given and one.startswith(given.lower())]
    if len(near) == 1:
        return near[0]
    if near:
        raise ConfigError(
            "PATTERN", given, f"{len(near)} patterns begin with it, e.g. {near[0]} and {near[1]}"
        )
    raise ConfigError(
        "PATTERN", given, f"nothing is known of a pattern of this id.{hint(given, ids)}"
    )


def found_in(
    bank: ReasoningBank,
    context: Context | None,
    filters: Filters,
    count: int,
    diversity: float | None,
    as_of_s: int | None,
) -> list[Found]:
    """Return patterns of open contexts and of the declared space, whichever are asked about."""
    from swarm_runtime.memory.state.cell_search import in_words, search_cells

    space = bank.space
    features = {one.name for one in space.features} if space is not None else set()
    found: list[Found] = []
    if space is not None and (context is None or features & context.keys()):
        found = search_cells(bank.patterns(as_of=as_of_s), space, context or {}, filters, count)
        if context is not None:
            return found
    found += bank.search(
        context,
        task_type=filters.task_type,
        domain=filters.domain,
        approach=filters.approach,
        minimum_confidence=filters.minimum_confidence,
        minimum_usage=filters.minimum_usage,
        known_from_s=filters.known_from_s,
        known_until_s=filters.known_until_s,
        count=count,
        diversity=diversity,
        as_of=as_of_s,
    )
    if not found and space is not None and context:
        # What is no feature of the space was most likely meant to be one.
        in_words(context, space)
    if context is None:
        found.sort(key=lambda one: (-one.confidence.value, one.pattern.id))
    return found[:count]


def in_space(bank: ReasoningBank, context: dict[str, float | str]) -> Context:
    """Return a context as the bank's space wants it: words of its features as numbers."""
    from swarm_runtime.memory.state.cell_search import in_numbers

    space = bank.space
    if space is None:
        return context
    missing = sorted({one.name for one in space.features} - context.keys())
    if missing and len(missing) < len(space.features):
        raise ConfigError(
            "--context",
            ", ".join(sorted(context)),
            f"the bank's space also has {', '.join(missing)}; name all of its features",
        )
    return in_numbers(context, space)


def refuse_unknown(
    bank: str,
    asked: ReasoningBank,
    task_type: str | None,
    domain: str | None,
    approach: str | None,
) -> None:
    """Raise ConfigError where nothing was found because a name was never recorded."""
    from swarm_runtime.memory.log.overview import names_in

    names = names_in(bank_file(bank))
    for option, value, known in (
        ("--task-type", task_type, names.task_types),
        ("--domain", domain, names.domains),
    ):
        if value is not None and known and value not in known:
            raise ConfigError(option, value, f"nothing is recorded of it.{hint(value, known)}")
    if approach is not None:
        wanted = names.task_types if task_type is None else (task_type,)
        known = tuple(sorted({one for kind in wanted for one in asked.approaches(kind)}))
        if known and approach not in known:
            raise ConfigError(
                "--approach", approach, f"nothing is recorded of it.{hint(approach, known)}"
            )


def remark_on_names(
    bank: str,
    asked: ReasoningBank,
    task_type: str,
    domain: str | None,
    candidates: list[str],
    known: list[str],
) -> None:
    """Say which names were never recorded: a cold start, or a mistake."""
    if not known:
        try:
            refuse_unknown(bank, asked, task_type, domain, None)
        except ConfigError as problem:
            remark(str(problem))
        return
    for name in candidates:
        if name not in known:
            remark(f"--candidates: nothing is recorded of {name!r}.{hint(name, known)}")
