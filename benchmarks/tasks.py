"""Tasks as people write them down: what the benchmarks of the bank record and ask for.

Forty kinds of work in eight domains; each kind has its own verbs, things and places, each with
synonyms, so its descriptions lie together and no two are the same. Which approach does well differs
from kind to kind, so there is something to be learnt. All of it follows from a seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["APPROACHES", "DOMAINS", "KINDS", "START_S", "Description", "descriptions", "tries"]

START_S = 1_700_000_000
APPROACHES = ("direct", "in steps", "with retries", "read first", "ask for review")

#: By domain: verbs, things and places of each of its five kinds of work, synonyms side by side.
_WORK: dict[str, tuple[tuple[str, str, str], ...]] = {
    "web": (
        (
            "collect gather scrape harvest",
            "prices|price tags|offers|list prices",
            "of a shop's catalogue|from product pages|of a marketplace|behind a paginated list",
        ),
        (
            "fill complete submit send",
            "the sign-up form|a registration form|the application form|the enrolment page",
            "with a two-factor step|that checks addresses|over three pages|behind a captcha",
        ),
        (
            "follow track monitor watch",
            "shipments|parcels|deliveries|consignments",
            "on a carrier's site|in the tracking portal|by reference number|across two carriers",
        ),
        (
            "download fetch retrieve save",
            "invoices|bills|receipts|statements",
            "from a customer portal|of the last quarter|behind a login|as documents",
        ),
        (
            "book reserve schedule arrange",
            "a meeting room|a desk|a hall|a conference room",
            "in the visitors' calendar|for a whole team|with catering|at short notice",
        ),
    ),
    "api": (
        (
            "refresh renew rotate exchange",
            "access tokens|bearer tokens|credentials|session keys",
            "that expire hourly|of a partner's service|before they run out|for a batch of users",
        ),
        (
            "page walk iterate step",
            "through search results|through a long listing|through audit entries|through events",
            "with a cursor|where rows move|under a rate limit|with missing pages",
        ),
        (
            "call query ask poll",
            "a slow endpoint|a flaky service|an overloaded server|a throttled interface",
            "until the job is done|without exceeding the quota|with back-off|within a deadline",
        ),
        (
            "verify check validate confirm",
            "webhook signatures|callback requests|signed notifications|event hooks",
            "of a payment provider|against replay|with two keys|after a rotation",
        ),
        (
            "translate map convert adapt",
            "an old schema|a legacy payload|version one messages|the former format",
            "to the new contract|for a second consumer|without losing fields|both ways",
        ),
    ),
    "database": (
        (
            "add create build introduce",
            "an index|a covering index|a partial index|a composite key",
            "on a hot table|without locking writers|while users work|on ten million rows",
        ),
        (
            "migrate move copy transfer",
            "customer records|accounts|client rows|user profiles",
            "to a new cluster|between two engines|in chunks|with checksums",
        ),
        (
            "repair restore recover rebuild",
            "a damaged replica|a broken standby|a lagging follower|a corrupt copy",
            "from a snapshot|by replaying the log|after a crash|without downtime",
        ),
        (
            "tune speed optimise rewrite",
            "a slow report|a heavy join|an expensive query|a nightly aggregation",
            "that scans everything|over two years|with stale statistics|on a shared server",
        ),
        (
            "archive purge expire delete",
            "old orders|outdated events|stale sessions|expired logs",
            "by month|under legal hold|in small batches|keeping totals",
        ),
    ),
    "files": (
        (
            "parse read decode interpret",
            "bank statements|account extracts|ledger exports|booking files",
            "with mixed encodings|of several banks|with broken lines|of many gigabytes",
        ),
        (
            "merge join combine unite",
            "spreadsheets|tables|worksheets|workbooks",
            "with differing headers|of four departments|by customer number|with duplicates",
        ),
        (
            "convert transcode render export",
            "slides|presentations|drawings|diagrams",
            "to printable pages|at low resolution|with missing fonts|in one night",
        ),
        (
            "sync mirror replicate back-up",
            "a shared folder|a document tree|the archive|a media library",
            "over a slow link|with renamed files|without deleting|at two sites",
        ),
        (
            "extract pull take lift",
            "tables|figures|totals|line items",
            "from scanned pages|out of reports|from photographed receipts|from old manuals",
        ),
    ),
    "deploy": (
        (
            "roll release ship deploy",
            "a new version|an update|a build|a hotfix",
            "to a tenth of users|behind a switch|during trading hours|with a way back",
        ),
        (
            "scale grow resize widen",
            "the worker pool|the fleet|the cluster|a node group",
            "before a sale|on queue length|within a budget|across zones",
        ),
        (
            "revert undo back-out withdraw",
            "a release|a change|a configuration|a feature",
            "after alarms|that broke logins|without losing data|in two regions",
        ),
        (
            "renew replace reissue install",
            "certificates|keys|host certificates|signing keys",
            "of forty hosts|before midnight|behind a balancer|with a short chain",
        ),
        (
            "drain evict empty vacate",
            "a host|a node|a machine|a rack",
            "for maintenance|with long sessions|that fails its checks|one by one",
        ),
    ),
    "support": (
        (
            "answer reply respond write-back",
            "a complaint|an angry letter|a grievance|a bad review",
            "about a late order|on a double charge|about a rude courier|in three languages",
        ),
        (
            "triage sort route classify",
            "tickets|requests|cases|mails",
            "by urgency|for five teams|after an outage|with attachments",
        ),
        (
            "refund reimburse repay credit",
            "a purchase|an order|a subscription|a booking",
            "past the deadline|paid by voucher|in another currency|that was split",
        ),
        (
            "explain describe outline clarify",
            "a tariff|a contract|a price plan|the terms",
            "to a new customer|to a reseller|in plain words|by telephone",
        ),
        (
            "escalate forward raise hand-over",
            "a fault|a bug|a failure|a defect",
            "to the second line|with full logs|outside of hours|under a service contract",
        ),
    ),
    "finance": (
        (
            "reconcile match balance settle",
            "payments|transfers|remittances|receipts",
            "with open invoices|across three banks|with partial amounts|at month end",
        ),
        (
            "forecast predict project estimate",
            "cash flow|liquidity|demand for cash|weekly balances",
            "with seasonal swings|for a new branch|from two years|under late payers",
        ),
        (
            "detect flag spot find",
            "fraud|odd charges|suspicious spending|unusual cards",
            "within a second|with few labels|at petrol stations|across borders",
        ),
        (
            "hedge cover offset reduce",
            "currency risk|exposure|open positions|rate risk",
            "of export orders|with forwards|over a weekend|within limits",
        ),
        (
            "price value appraise assess",
            "a bond|a loan|a note|a mortgage",
            "with an early call|without quotes|on a thin market|of an unrated issuer",
        ),
    ),
    "research": (
        (
            "summarise condense abstract digest",
            "papers|articles|studies|publications",
            "on one disease|with conflicting results|for laymen|from twenty journals",
        ),
        (
            "replicate reproduce repeat verify",
            "an experiment|a result|a measurement|a benchmark",
            "with open data|on other hardware|with fewer samples|from its appendix",
        ),
        (
            "label annotate tag mark",
            "images|pictures|photographs|frames",
            "of rare birds|with two raters|at night|with vague borders",
        ),
        (
            "cluster group segment partition",
            "survey answers|free text|comments|interview notes",
            "by theme|in several dialects|without a codebook|over five waves",
        ),
        (
            "fit calibrate train estimate",
            "a model|a simulator|a regression|a classifier",
            "on sparse data|with drifting sensors|under a time limit|with missing values",
        ),
    ),
}
DOMAINS = tuple(_WORK)
#: Drawn at once.
_CHUNK = 4_096
_WHOM = (
    "for the northern branch", "for a new client", "for the audit", "for the weekly review",
    "for the night shift", "on behalf of sales", "for the pilot group", "for the head office",
    "after the holidays", "before the launch", "with the intern", "as agreed on Monday",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work.

    Attributes
    ----------
    number : int
    domain : str
    verbs, things, places : tuple of str
        Synonyms.
    """

    number: int
    domain: str
    verbs: tuple[str, ...]
    things: tuple[str, ...]
    places: tuple[str, ...]


KINDS = tuple(
    Kind(number, domain, tuple(verbs.split()), tuple(things.split("|")), tuple(places.split("|")))
    for number, (domain, (verbs, things, places)) in enumerate(
        (domain, work) for domain, kinds in _WORK.items() for work in kinds
    )
)


@dataclass(frozen=True, slots=True)
class Description:
    """A task in words.

    Attributes
    ----------
    text : str
    kind : Kind
    """

    text: str
    kind: Kind


def descriptions(count: int, seed: int) -> Iterator[Description]:
    """Yield descriptions of tasks, all different, and of another seed's too.

    Parameters
    ----------
    count : int
        At most ten million.
    seed : int
        From 0 to 9.
    """
    for first in range(0, count, _CHUNK):
        some = min(_CHUNK, count - first)
        draw = np.random.Generator(np.random.Philox(key=seed, counter=first))
        of_kind = draw.integers(0, len(KINDS), some).tolist()
        words = draw.integers(0, 4, (some, 3)).tolist()
        whom = draw.integers(0, len(_WHOM), some).tolist()
        for at, (number, (verb, thing, place)) in enumerate(zip(of_kind, words, strict=True)):
            kind = KINDS[number]
            # A reference that no two share, spread so that neighbours in time don't look alike.
            reference = ((first + at) * 7_368_787 + 1_234_567) % 10_000_019
            yield Description(
                f"{kind.verbs[verb]} {kind.things[thing]} {kind.places[place]} {_WHOM[whom[at]]},"
                f" reference {seed}{reference:08}",
                kind,
            )


def tries(
    count: int, seed: int = 0, agents: int = 12, first_s: int = START_S
) -> Iterator[Trajectory]:
    """Yield one try at each of so many tasks: so many contexts, and as many patterns.

    Parameters
    ----------
    count : int
    seed : int
    agents : int
        Who tried, in turn.
    first_s : int
        When the first outcome was known; one follows each second.
    """
    # What each approach is worth at each kind of work, in standard deviations.
    worth = np.random.Generator(np.random.Philox(key=20)).normal(size=(len(KINDS), len(APPROACHES)))
    for at, one in enumerate(descriptions(count, seed)):
        if at % _CHUNK == 0:
            draw = np.random.Generator(np.random.Philox(key=10 + seed, counter=at))
            taken = draw.integers(0, len(APPROACHES), _CHUNK).tolist()
            luck = draw.normal(size=_CHUNK).tolist()
        approach = taken[at % _CHUNK]
        excess = float(worth[one.kind.number, approach]) + luck[at % _CHUNK]
        yield Trajectory(
            id=f"run-{seed}/{at:07}",
            agent=f"agent-{at % agents:02}",
            task_type="task",
            approach=APPROACHES[approach],
            context={"task": one.text},
            known_at_s=first_s + at,
            excess=excess,
            verdict=1 if excess > 0.25 else -1 if excess < -0.25 else 0,
            domain=one.kind.domain,
        )
