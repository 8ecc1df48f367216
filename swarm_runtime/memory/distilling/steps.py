"""Reading the steps of tries: what was decisive, what tries share, what separates them. Pure.

Everything here counts and compares words; nothing is understood. A step that tells of trouble is
recognised by a short list of words that are not denied before them ("no errors" is none); the
verdict comes from the judge, never from these words.

Above: ``distil``. Below: ``generalise``, ``item_rules``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from swarm_runtime.memory.distilling.generalise import (
    Generaliser,
    clean_text,
    gives_orders,
    shortened,
)
from swarm_runtime.memory.distilling.item_rules import say_the_same
from swarm_runtime.memory.records.contexts import ContextReader, normal_text
from swarm_runtime.memory.records.trajectory import Context, Trajectory

__all__ = [
    "Separating",
    "Told",
    "difference_words",
    "place_words",
    "separating",
    "shared_steps",
    "told",
]

#: Steps that are read of one try: the first and the last half of this many.
_MOST_STEPS = 40
#: Characters of a step that are quoted.
_QUOTED = 120
#: Things that separate, in one item.
_MOST_SEPARATING = 3
#: By how much the shares of tries that have it must differ.
_LEAST_DIFFERENCE = 0.5
#: What separates less well than the best by more than this is left out.
_MARGIN = 0.25

_TROUBLE = re.compile(
    r"\b(?:errors?|exceptions?|traceback|fail(?:s|ed|ure|ures|ing)?|crash(?:es|ed)?|denied|refused"
    r"|rejected|forbidden|unauthori[sz]ed|time[ds]?[ -]?out|timeouts?|unavailable|unreachable"
    r"|missing|not found|invalid|wrong|broken|stuck|too many requests|rate limit(?:ed)?"
    r"|overload(?:ed)?|conflict|deadlock|out of memory|unable|cannot|can't|could not|couldn't"
    r"|did not|didn't"
    r"|no longer|lost|stale|duplicate[sd]?|blocked|captcha|stopped out|drawdown)\b",
    re.I,
)
_DENIED = re.compile(
    r"\b(?:no|not|without|zero|0|never|none|fixed|fixes|resolved|solved|recovered from|handled"
    r"|avoid(?:s|ed|ing)?|prevent(?:s|ed|ing)?|cleared|past|got over)\s+(?:\w+\s+){0,2}$",
    re.I,
)
_SAYS_WHY = re.compile(
    r"\b(?:because|since|so that|therefore|due to|thanks to|worked|works|helped|succeed(?:s|ed)?"
    r"|passed|resolved|fixed|solved|recovered|completed)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Told:
    """A try as its steps tell it.

    Attributes
    ----------
    id, approach : str
    verdict : int
    size : float
        Of the outcome, without its sign.
    steps : list of str
        Generalised, each once, as parts of a sentence.
    trouble : frozenset of str
        Those of them that tell of trouble.
    """

    id: str
    approach: str
    verdict: int
    size: float
    steps: list[str]
    trouble: frozenset[str]

    def decisive(self, steps: Sequence[str]) -> str | None:
        """Return the step that tells best why the try ended as it did; None if none tells."""
        if self.verdict < 0:
            found = [one for one in steps if one in self.trouble]
            if found:
                return found[0]
        else:
            found = [one for one in steps if _SAYS_WHY.search(one) and one not in self.trouble]
            if found:
                return found[-1]
        return steps[-1] if len(steps) > 1 else None

    def recoveries(self) -> list[tuple[str, str]]:
        """Return pairs of a step that tells of trouble and the next one, which doesn't."""
        return [
            (first, second)
            for first, second in itertools.pairwise(self.steps)
            if first in self.trouble and second not in self.trouble
        ]


def told(trajectory: Trajectory, general: Generaliser, repeated: Sequence[str]) -> Told:
    """Read a try.

    Steps that give orders to a reader, that say nothing, or that repeat one of some texts are left
    out.
    """
    steps: list[str] = []
    trouble: set[str] = set()
    raw = trajectory.steps
    if len(raw) > _MOST_STEPS:
        raw = raw[: _MOST_STEPS // 2] + raw[-_MOST_STEPS // 2 :]
    for step in raw:
        text = clean_text(step)
        if gives_orders(text) or any(_repeats(text, one) for one in repeated):
            continue
        phrase = _phrase(general.text(text))
        if len(re.findall(r"[^\W\d_]{2,}", phrase)) < 2 or phrase in steps:
            continue
        steps.append(phrase)
        if _tells_of_trouble(text):
            trouble.add(phrase)
    return Told(
        id=trajectory.id,
        approach=trajectory.approach.replace("_", " "),
        verdict=trajectory.verdict,
        size=abs(trajectory.excess),
        steps=steps,
        trouble=frozenset(trouble),
    )


def _repeats(text: str, known: str) -> bool:
    first, second = normal_text(text), normal_text(known)
    if len(second.split()) > 3 and (second in first or (len(first) > 40 and first in second)):
        return True
    return say_the_same(text, known)


def _tells_of_trouble(text: str) -> bool:
    return any(not _DENIED.search(text[: match.start()]) for match in _TROUBLE.finditer(text))


def _phrase(text: str) -> str:
    """Return a step as part of a sentence: no ends of sentences in it."""
    joined = re.sub(r"[.!?…]+(?=\s|$)", ";", text).strip(" ;:,.")
    joined = re.sub(r"\s*;[\s;]*", "; ", joined).strip(" ;")
    first = joined.split(" ", 1)[0]
    if first[1:] == first[1:].lower() and len(first) > 1:
        joined = joined[:1].lower() + joined[1:]
    return shortened(joined, _QUOTED).rstrip("…").rstrip(" ;:,")


_Has = Callable[[Told, str], bool]


@dataclass(frozen=True, slots=True)
class Separating:
    """Something that these tries have and those lack.

    Attributes
    ----------
    text : str
    difference : float
        Of the shares of these and of those that have it.
    tries : tuple of Told
        All that have it.
    """

    text: str
    difference: float
    tries: tuple[Told, ...]


def shared_steps(accounts: Sequence[Told]) -> list[str]:
    """Return the steps that two thirds of the tries have, in the order of the most striking one."""
    best = max(accounts, key=lambda one: (one.size, one.id))
    needed = max(2, -(-2 * len(accounts) // 3))
    return [step for step in best.steps if sum(_has(one, step) for one in accounts) >= needed]


def separating(these: Sequence[Told], those: Sequence[Told]) -> list[Separating]:
    """Return what these tries have and those lack: steps, and where none does, runs of words."""
    steps = sorted({step for one in these for step in one.steps})
    found = _ranked(steps, these, those, _has)
    if not found:
        runs = sorted({run for one in these for run in _runs(one)})
        found = _ranked(runs, these, those, lambda one, run: run in _runs(one))
    kept: list[Separating] = []
    for one in found:
        if kept and one.difference < kept[0].difference - _MARGIN:
            break
        if not any(say_the_same(one.text, other.text) for other in kept):
            kept.append(one)
        if len(kept) == _MOST_SEPARATING:
            break
    return kept


def _ranked(
    texts: Sequence[str], these: Sequence[Told], those: Sequence[Told], has: _Has
) -> list[Separating]:
    scored: list[tuple[float, bool, int, str, tuple[Told, ...]]] = []
    for text in texts:
        with_it = [one for one in these if has(one, text)]
        others = [one for one in those if has(one, text)]
        difference = len(with_it) / len(these) - len(others) / len(those)
        if difference >= _LEAST_DIFFERENCE:
            told_of = not any(text in one.trouble for one in with_it)
            scored.append((-difference, told_of, -len(text), text, (*with_it, *others)))
    ranked = sorted(scored, key=lambda one: one[:4])
    return [Separating(text, -negative, tries) for negative, _, _, text, tries in ranked]


def _has(one: Told, step: str) -> bool:
    return step in one.steps or any(say_the_same(step, other) for other in one.steps)


def _runs(one: Told) -> frozenset[str]:
    """Return the runs of two to four words in the steps."""
    found: set[str] = set()
    for step in one.steps:
        words = step.split()
        for length in (2, 3, 4):
            found.update(" ".join(words[at : at + length]) for at in range(len(words) - length + 1))
    return frozenset(found)


def place_words(
    contexts: Sequence[Context], vocabulary: frozenset[str], reader: ContextReader
) -> str:
    """Return what all of some contexts have in common, without anything that names a task."""
    parts: list[str] = []
    for name in sorted(set.intersection(*(set(one) for one in contexts))):
        words = {_value_words(name, one[name], vocabulary, reader) for one in contexts}
        only = words.pop()
        if not words and only:
            parts.append(f"{name.replace('_', ' ')} is {only}")
    return " and ".join(parts)


def difference_words(
    these: Sequence[Context],
    those: Sequence[Context],
    vocabulary: frozenset[str],
    reader: ContextReader,
) -> str:
    """Return in which features these contexts differ from all of those; may be empty."""
    parts: list[str] = []
    for name in sorted(set.intersection(*(set(one) for one in (*these, *those)))):
        first, second = [one[name] for one in these], [one[name] for one in those]
        numbers = [value for value in (*first, *second) if not isinstance(value, str)]
        title = name.replace("_", " ")
        if len(numbers) == len(first) + len(second):
            low, high = _range(first), _range(second)
            if low[0] > high[1]:
                parts.append(f"{title} is higher")
            elif low[1] < high[0]:
                parts.append(f"{title} is lower")
            continue
        words = {_value_words(name, value, vocabulary, reader) for value in first}
        others = {_value_words(name, value, vocabulary, reader) for value in second}
        if not words & others and "" not in words:
            parts.append(f"{title} is {' or '.join(sorted(words))}")
    return " and ".join(parts)


def _range(values: Sequence[float | str]) -> tuple[float, float]:
    numbers = [float(value) for value in values]
    return min(numbers), max(numbers)


def _value_words(
    name: str, value: float | str, vocabulary: frozenset[str], reader: ContextReader
) -> str:
    """Return a context's value in general words; empty if it belongs to one task."""
    if isinstance(value, str):
        words = normal_text(value).split()
        general = Generaliser((), vocabulary)
        plain = bool(words) and len(words) <= 3 and not general.is_name(value)
        return normal_text(value) if plain else ""
    place = reader.bin(name, value)
    if place is not None:
        return reader.words(((name, place),))[name]
    return _size_words(value)


_SIZES = (
    (1e9, "in the billions or more"),
    (1e6, "in the millions"),
    (1e3, "in the thousands"),
    (1e2, "in the hundreds"),
    (1e1, "in the tens"),
    (1e0, "a few"),
    (1e-1, "some tenths"),
    (1e-2, "some hundredths"),
    (1e-3, "some thousandths"),
)


def _size_words(value: float) -> str:
    size = abs(value)
    if size < 1e-3:
        return "about zero"
    words = next(words for least, words in _SIZES if size >= least)
    return f"negative, {words}" if value < 0 else words
