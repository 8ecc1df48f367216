"""What a task taught, in items that another task can use, found by rules alone. Pure.

From one try: why it succeeded or failed (the step that says so, and what led there), and what got
it over trouble on the way. From several tries at one task, set against each other: the steps and
the approach that the successes share and the failures lack, the other way round, and the features
of the context in which they differ: when to use it, and when not. At most three items. What belongs
to the task alone is generalised away (``generalise``), and all items keep ``item_rules``.

It abstains rather than fill the memory with junk: without a verdict (it may have been luck),
without steps that say anything, and where the steps only repeat an item that the agent was given.
What says nearly the same as a known item isn't said again, but supports it: a copy of the known
item, with the new sources, under the same statement.

Steps are texts by anybody. Nothing they say is followed; they are matched and quoted.

Above: ``bank``. Below: ``steps``, ``generalise``, ``item_rules``. A distiller that asks a language
model has to pass ``item_rules.check_items`` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarm_runtime.memory.distilling.generalise import Generaliser, shortened
from swarm_runtime.memory.distilling.item_rules import (
    LONGEST,
    MOST_ITEMS,
    check_items,
    item_text,
    say_the_same,
)
from swarm_runtime.memory.distilling.steps import (
    Told,
    difference_words,
    place_words,
    separating,
    shared_steps,
    told,
)
from swarm_runtime.memory.records.annotations import Item, ItemKind
from swarm_runtime.memory.records.contexts import ContextReader
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = ["Contrast", "Distilled", "distil"]

_NO_FAILURE = "Not known: no try like this was seen to fail."
_NO_SUCCESS = "Not known: no try like this was seen to succeed."


@dataclass(frozen=True, slots=True)
class Contrast:
    """Something that tries with one end have and tries with the other lack.

    Attributes
    ----------
    text : str
        A step, a run of words, or an approach.
    successes_with, failures_with : int
    successes, failures : int
        Of how many.
    """

    text: str
    successes_with: int
    failures_with: int
    successes: int
    failures: int


@dataclass(frozen=True, slots=True)
class Distilled:
    """What was distilled.

    Attributes
    ----------
    items : tuple of Item
        New ones, at most three.
    support : tuple of Item
        Known statements from new sources.
    contrasts : tuple of Contrast
        The counts behind contrasting items.
    why_not : str
        Why there is nothing; empty if there is something.
    """

    items: tuple[Item, ...] = ()
    support: tuple[Item, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    why_not: str = ""


def distil(
    trajectories: Sequence[Trajectory],
    *,
    agent: str = "rules",
    known: Sequence[Item] = (),
    recalled: Sequence[Item] = (),
    vocabulary: frozenset[str] = frozenset(),
    reader: ContextReader | None = None,
) -> Distilled:
    """Distil items from one try, or from several tries at one task.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        In any order; one that comes twice counts once. Several must share task, task type and
        domain.
    agent : str
        Who distils.
    known : sequence of Item
        Of the same task type, e.g. those nearest to the task: what says the same supports them.
    recalled : sequence of Item
        That the agents were given for this task: what they repeat of them is not taken for new,
        and supports nothing.
    vocabulary : frozenset of str
        Words that belong to no task alone; see ``generalise.recurring_words``.
    reader : ContextReader or None
        Has words for the numbers of a declared space; None: none is declared.

    Raises
    ------
    ValueError
        If there is no trajectory, or they are not tries at one task.
    """
    tries = [one for _, one in sorted({one.id: one for one in trajectories}.items())]
    _one_task(tries)
    judged = [one for one in tries if one.verdict]
    if not judged:
        return Distilled(why_not="no verdict says success or failure: that may be luck")
    general = Generaliser(tries, vocabulary)
    repeated = [part for item in recalled for part in (item.title, item.description, item.content)]
    accounts = [told(one, general, repeated) for one in judged]
    writer = _Writer(judged, agent, vocabulary, reader or ContextReader())
    good = [one for one in accounts if one.verdict > 0]
    bad = [one for one in accounts if one.verdict < 0]
    contrasts: list[Contrast] = []
    if good and bad:
        drafts = _contrasting(good, bad, writer, contrasts)
    else:
        drafts = _alone(good or bad, writer)
    # What doesn't keep the rules is no item: with an approach that is called like an order, say.
    passed = [one for one in drafts if not check_items([one], judged, vocabulary=vocabulary)]
    return _merged(passed[:MOST_ITEMS], known, recalled, tuple(contrasts))


def _one_task(tries: Sequence[Trajectory]) -> None:
    if not tries:
        raise ValueError("trajectories: at least one is needed")
    first = tries[0]
    for one in tries[1:]:
        if not one.task or (one.task, one.task_type, one.domain) != (
            first.task,
            first.task_type,
            first.domain,
        ):
            raise ValueError(f"trajectories: {first.id!r} and {one.id!r} are not tries at one task")


class _Writer:
    """Puts findings into items that keep their lengths."""

    def __init__(
        self,
        tries: Sequence[Trajectory],
        agent: str,
        vocabulary: frozenset[str],
        reader: ContextReader,
    ) -> None:
        self._tries = {one.id: one for one in tries}
        self._agent = agent
        self._vocabulary = vocabulary
        self._reader = reader
        self.kind = tries[0].task_type.replace("_", " ")

    def item(
        self,
        learnt_from: ItemKind,
        sources: Sequence[Told],
        *,
        title: str,
        description: str,
        content: str,
        when: str,
        when_not: str,
    ) -> Item:
        """Return an item; its context is that of the source with the most striking outcome."""
        used = [self._tries[one.id] for one in sources]
        striking = max(used, key=lambda one: (abs(one.excess), one.id))
        return Item(
            task_type=striking.task_type,
            title=shortened(title, LONGEST["title"]),
            description=shortened(description, LONGEST["description"]),
            content=shortened(content, LONGEST["content"]),
            when=shortened(when, LONGEST["when"]),
            when_not=shortened(when_not, LONGEST["when_not"]),
            learnt_from=learnt_from,
            sources=tuple(one.id for one in used),
            context=striking.context,
            agent=self._agent,
            known_at_s=max(one.known_at_s for one in used),
            domain=striking.domain,
        )

    def where(self, sources: Sequence[Told]) -> str:
        """Return in what context all of some tries took place."""
        words = place_words(
            [self._tries[one.id].context for one in sources], self._vocabulary, self._reader
        )
        return f"At {self.kind} tasks{', where ' + words if words else ''}."

    def differing(self, these: Sequence[Told], those: Sequence[Told]) -> str:
        """Return in which features of the context these tries differ from those; may be empty."""
        return difference_words(
            [self._tries[one.id].context for one in these],
            [self._tries[one.id].context for one in those],
            self._vocabulary,
            self._reader,
        )


def _alone(accounts: Sequence[Told], writer: _Writer) -> list[Item]:
    """Return items from tries that all ended alike."""
    common = shared_steps(accounts) if len(accounts) > 1 else []
    best = max(accounts, key=lambda one: (one.size, one.id))
    sources = accounts if common else [best]
    steps = common or best.steps
    decisive = best.decisive(steps)
    if decisive is None:
        return []
    before = steps[: steps.index(decisive)][-3:]
    led = f" Before that: {'; then '.join(before)}." if before else ""
    approach = best.approach
    all_of_them = f" in all {'successes' if best.verdict > 0 else 'failures'}" if common else ""
    if best.verdict < 0:
        return [
            writer.item(
                "failure",
                sources,
                title=f"How {approach} fails: {decisive}",
                description=f"At {writer.kind}, {approach} failed{all_of_them} after: {decisive}.",
                content=f"Because of this it failed: {decisive}.{led} Look out for it before going"
                " on, or take another approach.",
                when=writer.where(sources),
                when_not=_NO_SUCCESS,
            )
        ]
    drafts = [
        writer.item(
            "success",
            sources,
            title=f"How {approach} succeeds: {decisive}",
            description=f"At {writer.kind}, {approach} succeeded{all_of_them} by: {decisive}.",
            content=f"Because of this it succeeded: {decisive}.{led}",
            when=writer.where(sources),
            when_not=_NO_FAILURE,
        )
    ]
    for trouble, remedy in best.recoveries()[: MOST_ITEMS - 1]:
        if remedy == decisive and not before:
            continue
        drafts.append(
            writer.item(
                "success",
                [best],
                title=f"Out of trouble: {remedy}",
                description=f"At {writer.kind}, what helped after {trouble} was: {remedy}.",
                content=f"Because of this the trouble was overcome: {remedy}. The trouble was:"
                f" {trouble}.",
                when=f"{writer.where([best])} After: {trouble}.",
                when_not=_NO_FAILURE,
            )
        )
    return drafts


def _contrasting(
    good: Sequence[Told], bad: Sequence[Told], writer: _Writer, contrasts: list[Contrast]
) -> list[Item]:
    """Return items from tries set against each other."""
    drafts: list[Item] = []
    sources = [*good, *bad]
    better, worse = writer.differing(good, bad), writer.differing(bad, good)
    when = writer.where(good)[:-1] + (f"; better where {better}" if better else "") + "."
    when_not = f"Where {worse}." if worse else "Not known: the contexts of both kinds were alike."

    def count(text: str, with_it: Sequence[Told]) -> None:
        ids = {one.id for one in with_it}
        contrasts.append(
            Contrast(
                text,
                sum(one.id in ids for one in good),
                sum(one.id in ids for one in bad),
                len(good),
                len(bad),
            )
        )

    helped, hurt = separating(good, bad), separating(bad, good)
    if helped:
        for one in helped:
            count(one.text, one.tries)
        texts = "; ".join(one.text for one in helped)
        drafts.append(
            writer.item(
                "contrast",
                sources,
                title=f"What the successes did: {helped[0].text}",
                description=f"At {writer.kind}, tries that succeeded did this and tries that failed"
                f" did not: {helped[0].text}.",
                content=f"Because only the tries that succeeded did it, do this: {texts}.",
                when=when,
                when_not=when_not,
            )
        )
    if hurt:
        for one in hurt:
            count(one.text, one.tries)
        texts = "; ".join(one.text for one in hurt)
        drafts.append(
            writer.item(
                "contrast",
                sources,
                title=f"What the failures had: {hurt[0].text}",
                description=f"At {writer.kind}, this was seen in tries that failed and not in tries"
                f" that succeeded: {hurt[0].text}.",
                content=f"Because only the tries that failed had it, avoid this: {texts}.",
                when=when,
                when_not=when_not,
            )
        )
    won, lost = ({one.approach for one in side} for side in (good, bad))
    if not won & lost:
        first, second = " or ".join(sorted(won)), " or ".join(sorted(lost))
        count(first, good)
        drafts.append(
            writer.item(
                "contrast",
                sources,
                title=f"{first} rather than {second}",
                description=f"At {writer.kind}, {first} succeeded where {second} failed.",
                content=f"Because {second} failed at the same task at which {first} succeeded, take"
                f" {first} first.",
                when=when,
                when_not=when_not,
            )
        )
    return drafts


def _merged(
    drafts: Sequence[Item],
    known: Sequence[Item],
    recalled: Sequence[Item],
    contrasts: tuple[Contrast, ...],
) -> Distilled:
    """Keep what is new; what is known already supports what is known."""
    items: list[Item] = []
    support: list[Item] = []
    for draft in drafts:
        if any(_same(draft, one) for one in [*recalled, *items]):
            continue
        twins = sorted((one for one in known if _same(draft, one)), key=lambda one: one.id)
        if not twins:
            items.append(draft)
            continue
        known_from = {source for one in twins for source in one.sources}
        fresh = tuple(source for source in draft.sources if source not in known_from)
        if fresh:
            # The wording that most sources stand behind; of those, the smallest statement.
            twin = min(twins, key=lambda one: (-len(one.sources), one.statement))
            support.append(
                replace(
                    twin,
                    sources=draft.sources,
                    context=draft.context,
                    agent=draft.agent,
                    known_at_s=max(draft.known_at_s, twin.known_at_s),
                )
            )
    why_not = ""
    if not items and not support:
        why_not = "the steps say nothing that isn't known" if drafts else "the steps say nothing"
    return Distilled(tuple(items), tuple(support), contrasts if items else (), why_not)


def _same(first: Item, second: Item) -> bool:
    kinds = [(one.domain, one.task_type, one.learnt_from) for one in (first, second)]
    return kinds[0] == kinds[1] and say_the_same(item_text(first), item_text(second))
