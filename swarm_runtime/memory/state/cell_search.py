"""Searching the patterns of a declared space, as ``search`` does those of open contexts. Pure.

A cell of the space is named by its words, ``trend=rising``, or by numbers that lie in it. As many
features may be named as one likes: a pattern passes whose cell agrees in all of them. The most
confident come first; there is nothing in between near and far.

Above: the doors. Below: ``pattern``, ``patterns``, ``search``.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

from swarm_runtime.errors import ConfigError, did_you_mean
from swarm_runtime.memory.records.contexts import normal_text
from swarm_runtime.memory.records.pattern import ContextSpace
from swarm_runtime.memory.records.trajectory import Context
from swarm_runtime.memory.state.patterns import Pattern
from swarm_runtime.memory.state.search import Filters, Found

__all__ = ["in_numbers", "in_words", "pattern_passes", "search_cells"]


def in_words(context: Context, space: ContextSpace) -> dict[str, str]:
    """Return a part of a context in the space's words.

    Raises
    ------
    ConfigError
        If a feature isn't the space's, or a word isn't the feature's.
    """
    return {name: space_word(name, value, space) for name, value in context.items()}


def in_numbers(context: Context, space: ContextSpace) -> dict[str, float | str]:
    """Return a context with numbers in place of the space's words.

    Features that aren't the space's stay as they are.

    Raises
    ------
    ConfigError
        If a word isn't the feature's.
    """
    features = {feature.name: feature for feature in space.features}
    found: dict[str, float | str] = dict(context)
    for name, value in context.items():
        if name not in features or not isinstance(value, str):
            continue
        feature = features[name]
        place = feature.words.index(space_word(name, value, space))
        edges = feature.edges
        if not edges:
            found[name] = 0.0
        elif place == 0:
            found[name] = math.nextafter(edges[0], -math.inf)
        else:
            found[name] = edges[place - 1]
    return found


def space_word(name: str, value: float | str, space: ContextSpace) -> str:
    """Return the word for a value of a feature; see ``in_words``."""
    features = {feature.name: feature for feature in space.features}
    if name not in features:
        raise ConfigError(
            f"context.{name}",
            value,
            f"no feature of the bank's space.{did_you_mean(name, features)}",
        )
    feature = features[name]
    if not isinstance(value, str):
        return feature.words[bisect.bisect_right(feature.edges, value)]
    by_normal = {normal_text(word): word for word in feature.words}
    if normal_text(value) not in by_normal:
        raise ConfigError(
            f"context.{name}", value, f"not its word.{did_you_mean(value, feature.words)}"
        )
    return by_normal[normal_text(value)]


def pattern_passes(pattern: Pattern, filters: Filters) -> bool:
    """Return whether a pattern is what filters ask for."""
    return (
        filters.task_type in (None, pattern.task_type)
        and filters.domain in (None, pattern.domain)
        and filters.approach in (None, pattern.approach)
        and pattern.confidence.value >= filters.minimum_confidence
        and pattern.outcomes >= filters.minimum_usage
        and (filters.known_from_s is None or pattern.last_known_s >= filters.known_from_s)
        and (filters.known_until_s is None or pattern.last_known_s <= filters.known_until_s)
    )


def search_cells(
    patterns: Iterable[Pattern],
    space: ContextSpace,
    context: Context,
    filters: Filters,
    count: int,
) -> list[Found]:
    """Return the patterns of a space that pass and whose cell agrees, the most confident first.

    Parameters
    ----------
    patterns : iterable of Pattern
        Those of other contexts are passed over.
    space : ContextSpace
    context : mapping
        Some or all of its features, or none, by word or by number.
    filters : Filters
    count : int

    Raises
    ------
    ConfigError
        As in ``in_words``.
    """
    wanted = in_words(context, space)
    features = {feature.name for feature in space.features}
    passing = [
        one
        for one in patterns
        if one.context.keys() == features
        and all(one.context[name] == word for name, word in wanted.items())
        and pattern_passes(one, filters)
    ]
    passing.sort(key=lambda one: (-one.confidence.value, one.id))
    return [Found(one, 1.0, one.confidence.value, one.confidence) for one in passing[:count]]
