"""A small bank of tries at fetching pages, for tests of the doors; the same one every time."""

from __future__ import annotations

from pathlib import Path

from swarm_runtime.memory.bank import ReasoningBank
from swarm_runtime.memory.records.annotations import Item, Verdict
from swarm_runtime.memory.records.lines import try_to_json
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["MIRROR", "START_S", "make_bank", "page_tries", "write_lines"]

#: The pattern of the mirror.
MIRROR = "501a8b17847fe37b"
#: 2023-11-14 22:13:20.
START_S = 1_700_000_000


def page_tries(count: int = 8, *, prefix: str = "run1") -> list[Trajectory]:
    """Return tries of a mirror, which works, and of the origin, which does not."""
    return [
        Trajectory(
            id=f"{prefix}/{2 * at + place}",
            agent=f"scraper-{1 + at % 2}",
            task_type="fetch",
            approach=approach,
            context={"site": "example.org", "when": "afternoon"},
            known_at_s=START_S + 3_600 * at,
            excess=excess,
            verdict=verdict,
            domain="web",
            steps=("asked", "waited"),
        )
        for at in range(count)
        for place, (approach, excess, verdict) in enumerate(
            [("mirror", 1.0, 1), ("origin", -1.0, -1)]
        )
    ]


def make_bank(path: Path, *, tries: list[Trajectory] | None = None) -> None:
    """Write a bank with tries, a later verdict and an item."""
    with ReasoningBank.open(path) as bank:
        bank.record_many(page_tries() if tries is None else tries)
        bank.note(
            [
                Verdict(
                    "v1", "run1/1", "auditor", 0, START_S + 86_400, confidence=0.9, reason="a guess"
                ),
                Item(
                    task_type="fetch",
                    title="Prefer the mirror",
                    description="The origin is slow in the afternoon.",
                    content="Ask the mirror first.",
                    when="the site has a mirror",
                    when_not="the page changes every minute",
                    learnt_from="contrast",
                    sources=("run1/0", "run1/1"),
                    context={"site": "example.org", "when": "afternoon"},
                    agent="scraper-1",
                    known_at_s=START_S + 90_000,
                    domain="web",
                ),
            ]
        )


def write_lines(path: Path, tries: list[Trajectory]) -> None:
    """Write tries as lines of JSON."""
    path.write_text("".join(f"{try_to_json(one)}\n" for one in tries), encoding="utf-8")
