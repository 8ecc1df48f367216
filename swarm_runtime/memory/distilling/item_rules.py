"""What every memory item must keep to, whoever distilled it, rules or a language model. Pure.

``check_items`` returns the problems of some items in words; none is a pass. A distiller that asks a
language model runs it over the answer and drops what doesn't pass. The rules are those of the
ReasoningBank paper (arXiv 2509.25140, section 3 and appendix A: at most three items, title, one
sentence, one to three sentences, nothing specific to the task, no overlap), and: when *not* to use
it, no order to whoever reads it in a prompt, and nothing known before its sources were.

Above: ``distil``, ``bank``. Below: ``generalise``, ``records``.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from swarm_runtime.memory.distilling.generalise import Generaliser, gives_orders
from swarm_runtime.memory.records.annotations import Item
from swarm_runtime.memory.records.contexts import normal_text
from swarm_runtime.memory.records.trajectory import Trajectory

__all__ = [
    "ALIKE",
    "LONGEST",
    "MOST_ITEMS",
    "MOST_SENTENCES",
    "alike",
    "check_items",
    "item_text",
    "say_the_same",
    "sentences",
]

#: Items from one trajectory, or from several tries at one task.
MOST_ITEMS = 3
#: Characters of each part of an item.
LONGEST = {"title": 80, "description": 200, "content": 600, "when": 300, "when_not": 300}
#: Sentences of a description and of a content.
MOST_SENTENCES = {"description": 1, "content": 3}
#: From this likeness on, two items say the same.
ALIKE = 0.8

#: Words that items have in common whatever they say.
_FILLING_WORDS = (
    "a an the and or of to in on at by for with from it is was were be been this that these those"
    " then than so as because what works fails worked failed after before not no never always try"
    " tries do did does had has have where when which who"
)
_FILLING = frozenset(_FILLING_WORDS.split())
_END = re.compile(r"[.!?…](?=\s|$)")


def sentences(text: str) -> int:
    """Return how many sentences a text has."""
    return max(len([part for part in _END.split(text) if part.strip()]), 1) if text.strip() else 0


def item_text(item: Item) -> str:
    """Return what an item says, for comparing."""
    return f"{item.title}. {item.description} {item.content}"


def alike(first: str, second: str) -> float:
    """Return how alike two texts are, in [0, 1].

    The mean of two cosines: of the words that carry meaning, and of runs of three characters,
    which makes "retry" and "retries" near. The same wording is 1; a paraphrase is not recognised.
    """
    return 0.5 * (_cosine(_meaning(first), _meaning(second)) + _cosine(_runs(first), _runs(second)))


def say_the_same(first: str, second: str) -> bool:
    """Return whether two texts are alike by at least ALIKE."""
    words = _cosine(_meaning(first), _meaning(second))
    # The other cosine is at most 1.
    return 0.5 * (words + 1.0) >= ALIKE and alike(first, second) >= ALIKE


@functools.lru_cache(maxsize=1_024)
def _meaning(text: str) -> Counter[str]:
    words = re.findall(r"[^\W_]+", normal_text(text))
    return Counter([word for word in words if word not in _FILLING] or words)


@functools.lru_cache(maxsize=1_024)
def _runs(text: str) -> Counter[str]:
    normal = " ".join(_meaning(text).elements())
    padded = f" {normal} "
    return Counter(padded[at : at + 3] for at in range(len(padded) - 2))


def _cosine(first: Counter[str], second: Counter[str]) -> float:
    product = sum(count * second[one] for one, count in first.items() if one in second)
    lengths = math.sqrt(sum(c * c for c in first.values()) * sum(c * c for c in second.values()))
    return product / lengths if lengths else 0.0


def check_items(
    items: Sequence[Item],
    trajectories: Sequence[Trajectory],
    *,
    vocabulary: frozenset[str] = frozenset(),
) -> list[str]:
    """Return what is wrong with items that were distilled from some trajectories.

    Parameters
    ----------
    items : sequence of Item
    trajectories : sequence of Trajectory
        One, or tries at one task.
    vocabulary : frozenset of str
        Words that belong to no task alone; see ``generalise.recurring_words``.

    Returns
    -------
    list of str
        Problems, each naming the item; empty: all is well.
    """
    problems: list[str] = []
    by_id = {one.id: one for one in trajectories}
    general = Generaliser(list(by_id.values()), vocabulary)
    if len(items) > MOST_ITEMS:
        problems.append(f"{len(items)} items: at most {MOST_ITEMS}")
    if items and all(one.verdict == 0 for one in trajectories):
        problems.append("items although no verdict says success or failure: that may be luck")
    for item in items:
        found = _wording(item, general) + _provenance(item, by_id)
        problems += [f"{item.title!r}: {problem}" for problem in found]
    for first, second in itertools.combinations(items, 2):
        if say_the_same(item_text(first), item_text(second)):
            problems.append(f"{first.title!r} and {second.title!r} overlap")
    return problems


def _wording(item: Item, general: Generaliser) -> list[str]:
    found: list[str] = []
    for name, longest in LONGEST.items():
        text: str = getattr(item, name)
        if not text.strip():
            found.append(f"{name} is empty")
        if len(text) > longest:
            found.append(f"{name} has {len(text)} characters: at most {longest}")
        if any(unicodedata.category(one)[0] == "C" for one in text):
            found.append(f"{name} has control characters")
        found += [f"{name} has {one}" for one in general.specifics(text)]
        if gives_orders(text):
            found.append(f"{name} gives orders to its reader")
    for name, most in MOST_SENTENCES.items():
        count = sentences(getattr(item, name))
        if count > most:
            found.append(f"{name} has {count} sentences: at most {most}")
    return found


def _provenance(item: Item, by_id: dict[str, Trajectory]) -> list[str]:
    found: list[str] = []
    unknown = [one for one in item.sources if one not in by_id]
    if unknown:
        found.append(f"sources = {', '.join(unknown)}: not among the trajectories")
    sources = [by_id[one] for one in item.sources if one in by_id]
    verdicts = {one.verdict for one in sources}
    wanted = {"success": {1}, "failure": {-1}, "contrast": {1, -1}}[item.learnt_from]
    if sources and verdicts != wanted:
        found.append(f"learnt_from = {item.learnt_from!r}, but the verdicts are {sorted(verdicts)}")
    for one in sources:
        if (one.task_type, one.domain) != (item.task_type, item.domain):
            found.append(f"its task type or domain is not that of {one.id!r}")
        if item.known_at_s < one.known_at_s:
            found.append(f"known before the outcome of {one.id!r} was")
    if sources and not any(item.context == one.context for one in sources):
        found.append("its context is that of none of its sources")
    return found
