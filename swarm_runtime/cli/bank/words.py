"""What a bank answered, as sentences and short tables for people.

Above: the modules of the commands. Below: ``shared``, which prints.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from swarm_runtime.cli.shared import print_line, print_table

if TYPE_CHECKING:
    from swarm_runtime.memory.choice.recommendation import Recommendation
    from swarm_runtime.memory.distilling.links import Related
    from swarm_runtime.memory.log.overview import Overview
    from swarm_runtime.memory.state.judgements import Judgement
    from swarm_runtime.memory.state.patterns import Explanation, Pattern
    from swarm_runtime.memory.state.search import Found
    from swarm_runtime.memory.state.shelf import FoundItem
    from swarm_runtime.memory.trust.credit import Uplift
    from swarm_runtime.memory.upkeep import Audit

__all__ = [
    "plural",
    "print_audit",
    "print_duplicates",
    "print_explanation",
    "print_found",
    "print_items",
    "print_judgements",
    "print_overview",
    "print_recommendation",
    "size",
    "when",
]

_VERDICTS = {1: "success", -1: "failure", 0: "abstains"}
#: Groups, members and links that are printed; JSON has all.
_LISTED = 20
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def when(seconds: int | None) -> str:
    """Return a moment in UTC; as seconds where no calendar has it."""
    if seconds is None:
        return "–"
    try:
        return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, OSError, ValueError):
        return f"{seconds} s"


def size(count: int) -> str:
    """Return bytes in the unit that people read."""
    value = float(count)
    for unit in _UNITS:
        if value < 1_000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1_000
    raise AssertionError("the last unit holds everything")


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def print_overview(found: Overview) -> None:
    """Print what a bank's file holds."""
    print_line(
        f"{found.path}: {size(found.size_bytes)}, format {found.format},"
        f" {plural(found.agents, 'agent')}, {plural(found.patterns, 'pattern')} of single tries"
    )
    counts = [f"{name} {count}" for name, count in sorted(found.counts.items()) if count]
    print_line(f"records: {', '.join(counts) or 'none'}")
    if found.space is not None:
        print_line(f"space of contexts: {', '.join(found.space)}")
    if found.kept_from_s is not None:
        print_line(f"single tries known by {when(found.kept_from_s)} are kept as statistics alone")
    if found.task_types:
        print_table(
            ("Task type", "Tries", "Batches", "Folded", "Agents", "Known from", "Until", "Domain"),
            [
                (
                    one.task_type,
                    str(one.trajectories),
                    str(one.experiences),
                    str(one.folded),
                    str(one.agents),
                    when(one.first_known_s),
                    when(one.last_known_s),
                    one.domain,
                )
                for one in found.task_types
            ],
            numbers=4,
        )


def print_found(found: Sequence[Found], *, of_context: bool) -> None:
    """Print patterns that were found."""
    if not found:
        print_line("No pattern passes.")
        return
    heads = (
        "Pattern",
        "Similar",
        "Confidence",
        "Excess σ",
        "Outcomes",
        "Task",
        "Approach",
        "Where",
    )
    print_table(
        heads,
        [
            (
                one.pattern.id,
                f"{one.similarity:.2f}" if of_context else "–",
                f"{one.confidence.value:.2f}",
                _excess(one.pattern),
                str(one.pattern.outcomes),
                one.pattern.task_type,
                one.pattern.approach,
                _where(one.pattern.context),
            )
            for one in found
        ],
        numbers=4,
    )


def _excess(pattern: Pattern) -> str:
    """Return a mean with the half of its 95 % interval."""
    low, high = pattern.interval
    return f"{pattern.mean_excess:+.2f} ± {(high - low) / 2.0:.2f}"


def print_recommendation(found: Recommendation, *, explained: bool) -> None:
    """Print what to do, and why; with every candidate and the evidence."""
    if found.approach is not None:
        print_line(found.approach, style="bold")
    print_line(found.why)
    if not explained:
        return
    print_line("")
    print_table(
        ("Candidate", "Outcomes", "Excess σ", "Lower bound", "Confidence"),
        [
            (
                one.approach,
                f"{one.outcomes:.1f}",
                f"{one.mean:+.2f}",
                f"{one.lower_bound:+.2f}" if one.outcomes else "–",
                f"{one.confidence.value:.2f}",
            )
            for one in found.candidates
        ],
        numbers=4,
    )
    if found.evidence:
        print_line("")
        print_table(
            ("Evidence", "Similar", "Outcomes", "Success", "Excess σ", "Agents", "Newest", "Where"),
            [
                (
                    one.pattern_id,
                    f"{one.similarity:.2f}",
                    str(one.trials),
                    f"{one.successes} of {one.successes + one.failures}",
                    f"{one.mean_excess:+.2f}",
                    str(len(one.agents)),
                    when(one.last_known_s)[:10],
                    _where(one.context),
                )
                for one in found.evidence
            ],
            numbers=5,
        )


def print_explanation(found: Explanation, links: Sequence[Related], credit: Uplift | None) -> None:
    """Print what a pattern knows, its outcomes, its links and what it was worth."""
    print_line(found.sentence)
    print_line(f"found by {_some(found.pattern.agents)}")
    if credit is not None:
        print_line(credit.sentence("this pattern"))
    for one in links[:_LISTED]:
        print_line(_link(one, found.pattern.id))
    if len(links) > _LISTED:
        print_line(f"and {len(links) - _LISTED} more links")
    if found.outcomes:
        print_line("")
        print_table(
            ("Outcome", "Excess σ", "Verdict", "Known at", "Agent", "Subject", "How"),
            [
                (
                    one.source,
                    f"{one.excess:+.2f}",
                    _VERDICTS[one.verdict],
                    when(one.known_at_s),
                    one.agent,
                    one.subject,
                    "carried out" if one.actual else "computed afterwards",
                )
                for one in found.outcomes
            ],
            numbers=1,
        )


def print_duplicates(
    groups: Sequence[Sequence[str]],
    contradictions: Sequence[Related],
    patterns: Mapping[str, Pattern],
) -> None:
    """Print groups of patterns that are alike, and contradictions."""
    for at, ids in enumerate(groups[:_LISTED], start=1):
        print_line(f"group {at}, {len(ids)} alike:")
        for id_ in ids[:_LISTED]:
            print_line(f"  {_named(id_, patterns)}")
        if len(ids) > _LISTED:
            print_line(f"  and {len(ids) - _LISTED} more")
    for one in contradictions[:_LISTED]:
        print_line(f"contradiction, strength {one.strength:.2f}{_sayers(one)}:")
        for id_ in (one.first, one.second):
            print_line(f"  {_named(id_, patterns)}")
    print_line(
        f"{plural(len(groups), 'group')} of near duplicates,"
        f" {plural(len(contradictions), 'contradiction')}; nothing was merged"
    )


def _named(id_: str, patterns: Mapping[str, Pattern]) -> str:
    if id_ not in patterns:
        return id_
    one = patterns[id_]
    return (
        f"{id_} {one.approach!r} at {one.task_type}: {one.mean_excess:+.2f} σ,"
        f" {plural(one.outcomes, 'outcome')}; {_where(one.context)}"
    )


def _link(one: Related, id_: str) -> str:
    other = one.second if one.first == id_ else one.first
    verb = {"similar": "is like", "contradicts": "contradicts"}.get(
        one.relation, "is derived from" if one.first == id_ else "is the source of"
    )
    return f"{verb} {other}, strength {one.strength:.2f}{_sayers(one)}"


def _sayers(one: Related) -> str:
    return f", said by {_some(one.said_by)}" if one.said_by else ""


def print_items(found: Sequence[FoundItem], *, of_context: bool) -> None:
    """Print what is worth knowing."""
    if not found:
        print_line("Nothing is worth knowing for a task like this." if of_context else "No items.")
    for one in found:
        near = f"{one.similarity:.2f} similar: " if of_context else ""
        print_line(f"- {near}{one.sentence()}")


def print_audit(found: Audit) -> None:
    """Print how good a bank is."""
    mean = "–" if found.patterns == 0 else f"{found.mean_confidence:.2f}"
    print_line(
        f"{plural(found.patterns, 'pattern')} in {plural(found.places, 'context')},"
        f" {size(found.size_bytes)}; mean confidence {mean}, {found.doubtful_share:.0%} below 0.5,"
        f" {found.single_share:.0%} rest on one outcome; newest {when(found.newest_s)}"
    )
    if found.outcomes_by_agent:
        print_line("")
        print_table(
            ("Agent", "Outcomes", "Counts"),
            [
                (agent, str(count), f"{found.weights.get(agent, 1.0):.0%}")
                for agent, count in found.outcomes_by_agent.items()
            ],
            numbers=2,
        )
    print_line("")
    for one in found.findings:
        print_line(f"- {one}")
    if not found.findings:
        print_line("Nothing needs to be looked at.")


def print_judgements(found: Sequence[Judgement]) -> None:
    """Print verdicts on single tries."""
    if not found:
        print_line("No judgements.")
        return
    print_table(
        ("Try", "Sure", "Verdict", "Known at", "Judge", "Task", "Approach", "Agent", "Reason"),
        [
            (
                one.trajectory,
                f"{one.confidence:.2f}",
                _VERDICTS[one.verdict],
                when(one.known_at_s),
                one.judge,
                one.task_type,
                one.approach,
                one.agent,
                one.reason,
            )
            for one in found
        ],
        numbers=1,
    )


def _where(context: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {word}" for name, word in sorted(context.items())) or "anywhere"


def _some(names: Iterable[str], most: int = 5) -> str:
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
