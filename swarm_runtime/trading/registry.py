"""Finds strategies by name: the built-in kinds, and classes in users' files.

A user's file is read once, where the run starts, and travels as text: a worker on another machine
builds the same class without having the file. Below: ``strategies``, ``config`` (the kinds). The
only module of ``trading`` besides ``data`` that reads files.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from swarm_runtime.config import KINDS
from swarm_runtime.errors import StrategyError, did_you_mean
from swarm_runtime.trading.strategies import BUILT_IN, Strategy, approach_name
from swarm_runtime.trading.strategies.base import fault

__all__ = ["LoadedStrategy", "StrategySource", "load_source", "load_strategy"]


@dataclass(frozen=True, slots=True)
class StrategySource:
    """All that is needed to build a strategy, on any machine; small, and safe to pickle.

    Attributes
    ----------
    name : str
        The strategy as the user named it.
    filename : str or None
        The user's file, as named; None for a built-in kind.
    class_name : str or None
        The class in that file; None for its only strategy, and for a built-in kind.
    text : str or None
        The file's text; None for a built-in kind.
    """

    name: str
    filename: str | None = None
    class_name: str | None = None
    text: str | None = None

    def build(self) -> Strategy:
        """Return a new instance of the strategy.

        A user's text is run in a fresh module. It may import installed packages; a file beside it
        would not be there on another machine.

        Raises
        ------
        StrategyError
            If the text can't be run, the class isn't there, or it is no usable strategy; names
            the line at fault where there is one.
        """
        if self.text is None or self.filename is None:
            if self.name not in BUILT_IN:
                raise StrategyError(self.name, _unknown_kind(self.name))
            return BUILT_IN[self.name]()
        module = _run(self.name, self.filename, self.text)
        return _instance(self.name, self.filename, _find_class(self, module))


@dataclass(frozen=True, slots=True)
class LoadedStrategy:
    """A strategy that is ready to be asked.

    Attributes
    ----------
    source : StrategySource
    strategy : Strategy
    """

    source: StrategySource
    strategy: Strategy

    @property
    def kind(self) -> str:
        """The strategy's kind."""
        return self.strategy.kind

    @property
    def approaches(self) -> tuple[str, ...]:
        """The names of its candidates, in their order."""
        return tuple(approach_name(self.kind, one) for one in self.strategy.parameters)


def load_strategy(name: str) -> LoadedStrategy:
    """Return the strategy called ``name``.

    Parameters
    ----------
    name : str
        A built-in kind, ``path/to/file.py:ClassName``, or ``path/to/file.py`` when the file holds
        one strategy.

    Raises
    ------
    StrategyError
        If there is none, or it can't be used.
    """
    source = load_source(name)
    return LoadedStrategy(source, source.build())


def load_source(name: str) -> StrategySource:
    """Return what ``name`` is built from; reads a user's file, and doesn't run it.

    Raises
    ------
    StrategyError
        If the kind is unknown, or the file can't be read.
    """
    if name in BUILT_IN:
        return StrategySource(name)
    filename, class_name = name, None
    if not name.endswith(".py"):
        filename, _, class_name = name.rpartition(":")
        if not filename.endswith(".py"):
            raise StrategyError(name, _unknown_kind(name))
    if class_name == "":
        raise StrategyError(name, f"name a class after the colon: {filename}:ClassName")
    try:
        text = Path(filename).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StrategyError(name, f"there is no file {Path(filename).absolute()}") from None
    except UnicodeDecodeError as error:
        raise StrategyError(name, f"{filename} is not a text in UTF-8: {error.reason}") from None
    except OSError as error:
        raise StrategyError(name, f"{filename} can't be read: {error.strerror}") from None
    return StrategySource(name, filename, class_name, text)


def _unknown_kind(name: str) -> str:
    return (
        f"no such kind.{did_you_mean(name, KINDS)} "
        "A strategy of your own is named path/to/file.py:ClassName."
    )


def _run(name: str, filename: str, text: str) -> ModuleType:
    """Run a user's text in a fresh module."""
    try:
        code = compile(text, filename, "exec", dont_inherit=True)
    except SyntaxError as error:
        raise StrategyError(
            name, f"{filename}, line {error.lineno}: {error.msg}: {(error.text or '').strip()}"
        ) from None
    except ValueError as error:  # null bytes
        raise StrategyError(name, f"{filename} is no Python: {error}") from None
    # Registered, since dataclasses and pickle look a class's module up by name; the name tells
    # texts apart, so that two users' files never share a module.
    digest = hashlib.sha256(f"{filename}\0{text}".encode()).hexdigest()[:16]
    module = ModuleType(f"swarm_strategy_{digest}")
    module.__file__ = filename
    former = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        if former is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = former
        raise StrategyError(name, f"running {filename} {fault(error, filename)}") from None
    return module


def _find_class(source: StrategySource, module: ModuleType) -> type[Strategy]:
    """Return the class that is meant."""
    name, filename = source.name, source.filename
    own = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Strategy)
        and value.__module__ == module.__name__
    }
    if not own:
        raise StrategyError(
            name,
            f"{filename} defines no strategy: a class that derives from "
            "swarm_runtime.trading.strategies.Strategy",
        )
    if source.class_name is None:
        usable = [key for key, value in own.items() if not inspect.isabstract(value)]
        if len(usable) != 1:
            raise StrategyError(
                name,
                f"{filename} defines {len(own)} strategies; name one as "
                + " or ".join(f"{filename}:{key}" for key in sorted(usable or own)),
            )
        return own[usable[0]]
    if source.class_name in own:
        return own[source.class_name]
    if source.class_name in vars(module):
        raise StrategyError(
            name,
            f"{source.class_name} in {filename} is not a strategy of that file: a class that "
            f"derives from Strategy.{did_you_mean(source.class_name, own)}",
        )
    raise StrategyError(
        name,
        f"there is no class {source.class_name} in {filename}."
        f"{did_you_mean(source.class_name, own)}",
    )


def _instance(name: str, filename: str, found: type[Strategy]) -> Strategy:
    """Return an instance of a user's class, once all it says about itself is right."""
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise StrategyError(name, f"{found.__name__} doesn't define {missing}")
    kind: object = found.kind
    if not isinstance(kind, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", kind):
        raise StrategyError(
            name, f"kind = {kind!r}: small letters, digits and _, starting with a letter"
        )
    if kind in KINDS:
        raise StrategyError(
            name,
            f"kind = {kind!r} is a built-in; what the swarm learns about the two would be mixed "
            "up, so give yours a name of its own",
        )
    _check_parameters(name, kind, getattr(found, "parameters", None))
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise StrategyError(name, f"{found.__name__}() {fault(error, filename)}") from None


def _check_parameters(name: str, kind: str, sets: object) -> None:
    example = 'parameters = ({"lookback_bars": 20}, {"lookback_bars": 50})'
    if isinstance(sets, Mapping):
        raise StrategyError(name, f"parameters is one mapping; put it in a tuple: ({dict(sets)},)")
    if not isinstance(sets, tuple | list) or not sets:
        raise StrategyError(name, f"parameters names no candidates; give some: {example}")
    seen: set[str] = set()
    for one in sets:
        if not isinstance(one, Mapping):
            raise StrategyError(name, f"parameters holds {one!r}, not a mapping: {example}")
        for key, value in one.items():
            if not isinstance(key, str) or not key.isidentifier():
                raise StrategyError(name, f"parameters has a name {key!r} that is no identifier")
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise StrategyError(name, f"parameters: {key} = {value!r} is not a finite number")
        approach = approach_name(kind, one)
        if approach in seen:
            raise StrategyError(name, f"parameters holds {approach} twice")
        seen.add(approach)
