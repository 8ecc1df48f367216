"""Commands that ask a bank and change nothing.

Above: ``bank``. Below: ``memory.bank``; ``words`` prints what it answers.
"""

from __future__ import annotations

from typing import Annotated

import typer

from swarm_runtime.cli.bank import words
from swarm_runtime.cli.bank.arguments import (
    AsOf,
    Bank,
    ContextJson,
    ContextPairs,
    ContextText,
    Count,
    Domain,
    TaskTypeFilter,
    bank_file,
    context_of,
    moment,
    names_of,
    now_s,
    opened,
    share,
    whole,
)
from swarm_runtime.cli.bank.group import app, notes
from swarm_runtime.cli.bank.lookups import (
    found_in,
    in_space,
    pattern_named,
    refuse_unknown,
    remark_on_names,
)
from swarm_runtime.cli.shared import AsJson, print_json
from swarm_runtime.errors import ConfigError

__all__ = ["audit", "dedupe", "explain", "items", "judgements", "recommend", "search", "stats"]

#: In place of "all": more items than these belong to no type of task.
_ALL = 1_000_000


@app.command(
    epilog=notes(
        "swarm bank stats bank.db",
        keys="path uuid format size_bytes counts patterns agents space kept_from_s task_types",
    )
)
def stats(bank: Bank, as_json: AsJson = False) -> None:
    """Say what a bank holds: records by kind, types of task, size; nothing is derived for it."""
    from swarm_runtime.memory.log.overview import overview
    from swarm_runtime.memory.plain import plain

    path = bank_file(bank)
    with opened(bank):
        found = overview(path)
    if as_json:
        print_json(plain(found))
    else:
        words.print_overview(found)


@app.command(
    epilog=notes(
        "swarm bank search bank.db -c site=example.org -c when=afternoon",
        "swarm bank search bank.db --task-type fetch --min-confidence 0.5 --min-usage 3",
        "swarm bank search bank.db --text 'fetch a page' --known-from 2023-11-01 --count 3 --json",
        keys="pattern similarity score confidence sentence",
        many=True,
    )
)
def search(
    bank: Bank,
    pairs: ContextPairs = None,
    text: ContextText = None,
    context_json: ContextJson = None,
    task_type: TaskTypeFilter = None,
    domain: Domain = None,
    approach: Annotated[
        str | None, typer.Option("--approach", metavar="NAME", help="Only this approach.")
    ] = None,
    minimum_confidence: Annotated[
        float, typer.Option("--min-confidence", parser=share, metavar="SHARE", help="From 0 to 1.")
    ] = 0.0,
    minimum_usage: Annotated[
        int,
        typer.Option(
            "--min-usage", parser=whole(0, 2**31), metavar="NUMBER", help="Outcomes at least."
        ),
    ] = 0,
    known_from: Annotated[
        int | None,
        typer.Option(
            "--known-from", parser=moment, metavar="TIME", help="Newest outcome from then on."
        ),
    ] = None,
    known_until: Annotated[
        int | None,
        typer.Option(
            "--known-until", parser=moment, metavar="TIME", help="Newest outcome by then."
        ),
    ] = None,
    count: Count = 10,
    diversity: Annotated[
        float | None,
        typer.Option(
            "--diversity",
            parser=share,
            metavar="SHARE",
            help="1 goes by similarity alone, less by difference too; memory.diversity if unset.",
            show_default=False,
        ),
    ] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Find patterns by context, behind filters; without a context the most confident ones.

    In the bank of a run a context names features of its space by word or number, as many as you
    like: -c trend=rising.
    """
    from swarm_runtime.memory.plain import plain
    from swarm_runtime.memory.state.search import Filters

    context = context_of(pairs, text, context_json)
    filters = Filters(
        task_type, domain, approach, minimum_confidence, minimum_usage, known_from, known_until
    )
    with opened(bank) as asked:
        found = found_in(asked, context, filters, count, diversity, as_of)
        if not found:
            refuse_unknown(bank, asked, task_type, domain, approach)
    if as_json:
        print_json(plain(found))
    else:
        words.print_found(found, of_context=context is not None)


@app.command(
    epilog=notes(
        "swarm bank recommend bank.db --task-type fetch --candidates mirror,origin"
        " -c site=example.org -c when=afternoon",
        "swarm bank recommend bank.db --task-type fetch -c site=example.org --explain",
        "swarm bank recommend bank.db --task-type fetch --candidates mirror,origin"
        " --as-of 2023-11-15 --json",
        keys="approach recommended reason why propensity confidence candidates evidence as_of_s"
        " formula scores",
    )
)
def recommend(
    bank: Bank,
    task_type: Annotated[str, typer.Option("--task-type", metavar="NAME", help="Of the task.")],
    candidates: Annotated[
        str | None,
        typer.Option(
            "--candidates",
            metavar="A,B",
            help="Approaches to choose from; all that were ever tried if unset.",
            show_default=False,
        ),
    ] = None,
    pairs: ContextPairs = None,
    text: ContextText = None,
    context_json: ContextJson = None,
    domain: Domain = None,
    as_of: AsOf = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show every candidate, and the evidence.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say which approach to take, and why; or abstain where nothing is known well enough."""
    from swarm_runtime.memory.plain import plain

    context = context_of(pairs, text, context_json) or {}
    names = None if candidates is None else names_of("--candidates", candidates)
    with opened(bank) as asked:
        known = asked.approaches(task_type, domain=domain)
        if names is None and not known:
            refuse_unknown(bank, asked, task_type, domain, None)
            raise ConfigError("--candidates", None, "no approach was ever tried; name some")
        answer = asked.recommend(
            task_type,
            in_space(asked, context),
            names or known,
            now_s() if as_of is None else as_of,
            domain=domain,
            explain=explain,
        )
        remark_on_names(bank, asked, task_type, domain, names or known, known)
    if as_json:
        print_json(plain(answer))
    else:
        words.print_recommendation(answer, explained=explain)


@app.command(
    epilog=notes(
        "swarm bank explain bank.db 501a8b17847fe37b",
        "swarm bank explain bank.db 501a8b --most 5 --json",
        keys="pattern sentence outcomes links credit",
    )
)
def explain(
    bank: Bank,
    pattern: Annotated[
        str,
        typer.Argument(metavar="PATTERN", help="A pattern's id, or as much of it as only one has."),
    ],
    most: Annotated[
        int,
        typer.Option(
            "--most",
            "-n",
            parser=whole(0, 100_000),
            metavar="NUMBER",
            help="Outcomes that are named.",
        ),
    ] = 20,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Say what a pattern knows, which outcomes it rests on, what it is linked to, and its worth."""
    from swarm_runtime.memory.plain import plain

    with opened(bank) as asked:
        id_ = pattern_named(asked, pattern, as_of)
        found = asked.explain(id_, as_of=as_of, most=most)
        links = asked.insight.links(id_, as_of_s=as_of)
        credit = asked.insight.credit(as_of_s=as_of).get(id_)
    if as_json:
        print_json({**plain(found), "links": plain(links), "credit": plain(credit)})
    else:
        words.print_explanation(found, links, credit)


@app.command(
    epilog=notes(
        "swarm bank items bank.db --task-type fetch",
        "swarm bank items bank.db --task-type fetch -c site=example.org --experiences 2 --json",
        keys="item similarity support given propensity sentence",
        many=True,
    )
)
def items(
    bank: Bank,
    task_type: Annotated[str, typer.Option("--task-type", metavar="NAME", help="Of the task.")],
    pairs: ContextPairs = None,
    text: ContextText = None,
    context_json: ContextJson = None,
    domain: Domain = None,
    experiences: Annotated[
        int,
        typer.Option(
            "--experiences",
            parser=whole(1, _ALL),
            metavar="NUMBER",
            help="How many bring their items.",
        ),
    ] = 1,
    minimum_similarity: Annotated[
        float,
        typer.Option(
            "--min-similarity",
            parser=share,
            metavar="SHARE",
            help="Tasks less similar have nothing to say.",
        ),
    ] = 0.3,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Show what is worth knowing for a task, in words; without a context all that is known."""
    from swarm_runtime.memory.plain import plain

    context = context_of(pairs, text, context_json)
    at_s = now_s() if as_of is None else as_of
    if context is None:
        experiences, minimum_similarity = _ALL, -1.0
    with opened(bank) as asked:
        found = asked.items(
            task_type,
            context or {},
            at_s,
            domain=domain,
            experiences=experiences,
            minimum_similarity=minimum_similarity,
        )
        if not found:
            refuse_unknown(bank, asked, task_type, domain, None)
    if as_json:
        print_json(plain(found))
    else:
        words.print_items(found, of_context=context is not None)


@app.command(
    epilog=notes(
        "swarm bank audit bank.db",
        "swarm bank audit bank.db --as-of 2023-12-31 --json",
        keys="counts size_bytes patterns places mean_confidence doubtful_share single_share"
        " outcomes_by_agent weights newest_s findings",
    )
)
def audit(bank: Bank, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Say how good the knowledge is, whose it is, and what should be looked at."""
    from swarm_runtime.memory.plain import plain

    with opened(bank) as asked:
        found = asked.upkeep.audit(as_of)
    if as_json:
        print_json(plain(found))
    else:
        words.print_audit(found)


@app.command(
    epilog=notes(
        "swarm bank judgements bank.db --count 5",
        "swarm bank judgements bank.db --task-type fetch --json",
        keys="trajectory task_type approach agent judge verdict confidence reason known_at_s"
        " cost_usd",
        many=True,
    )
)
def judgements(
    bank: Bank,
    task_type: TaskTypeFilter = None,
    count: Count = 20,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """List how single tries were judged, the newest first: with their outcome, and again later."""
    from swarm_runtime.memory.plain import plain

    with opened(bank) as asked:
        found = asked.insight.judgements(task_type=task_type, as_of_s=as_of, most=count)
        if not found:
            refuse_unknown(bank, asked, task_type, None, None)
    if as_json:
        print_json(plain(found))
    else:
        words.print_judgements(found)


@app.command(
    epilog=notes(
        "swarm bank dedupe bank.db",
        "swarm bank dedupe bank.db --task-type fetch --json",
        keys="groups contradictions",
    )
)
def dedupe(
    bank: Bank, task_type: TaskTypeFilter = None, as_of: AsOf = None, as_json: AsJson = False
) -> None:
    """List groups of patterns that say much the same, and contradictions; nothing is merged.

    Contexts that are near and outcomes that agree make patterns alike; near contexts in which one
    surely pays and the other surely doesn't contradict each other.
    """
    from swarm_runtime.memory.plain import plain

    with opened(bank) as asked:
        patterns = {one.id: one for one in asked.patterns(task_type, as_of=as_of)}
        if not patterns:
            refuse_unknown(bank, asked, task_type, None, None)
        groups = [
            ids
            for ids in asked.insight.duplicates(as_of_s=as_of)
            if all(one in patterns for one in ids)
        ]
        contradictions = [
            one
            for one in asked.insight.links(as_of_s=as_of)
            if one.relation == "contradicts" and (one.first in patterns or one.second in patterns)
        ]
    if as_json:
        print_json({"groups": plain(groups), "contradictions": plain(contradictions)})
    else:
        words.print_duplicates(groups, contradictions, patterns)
