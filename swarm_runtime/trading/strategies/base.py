"""What a strategy is: one small class with candidate parameter sets and one causal function.

An agent chooses, round by round and symbol by symbol, one of its kind's parameter sets or staying
flat. All that a strategy says goes through ``checked_targets``, so a user's mistake ends in one
clear line and never in an order. Below: ``bars``, ``orders``. Beside: the built-in kinds. Above:
``registry`` (finds strategies), ``lookahead`` (holds them to the past), the broker.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import StrategyError
from swarm_runtime.trading.bars import Bars
from swarm_runtime.trading.orders import OrderStyle

__all__ = [
    "Parameters",
    "Strategy",
    "approach_name",
    "checked_style",
    "checked_targets",
    "fault",
    "raw_targets",
]

Floats = npt.NDArray[np.float64]
#: One candidate: names to numbers.
Parameters = Mapping[str, int | float]


class Strategy(ABC):
    """Base of all strategies.

    A whole strategy of one's own, in a file ``my.py``, traded as ``my.py:Crossover``::

        import numpy as np
        from swarm_runtime.trading.rolling import window_mean
        from swarm_runtime.trading.strategies import Strategy

        class Crossover(Strategy):
            parameters = ({"fast_bars": 10, "slow_bars": 50}, {"fast_bars": 20, "slow_bars": 100})

            def target_position(self, bars, parameters):
                fast = window_mean(bars.close, parameters["fast_bars"])
                return np.where(fast > window_mean(bars.close, parameters["slow_bars"]), 1.0, 0.0)

    Attributes
    ----------
    kind : str
        Its name in reports and in the memory; the class's name in snake case unless set.
    parameters : tuple of mappings from str to int or float
        The candidates among which an agent chooses (staying flat is always one more).
    """

    kind: ClassVar[str]
    parameters: ClassVar[tuple[Parameters, ...]]

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        if "kind" not in cls.__dict__:
            cls.kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @abstractmethod
    def target_position(self, bars: Bars, parameters: Parameters) -> Floats:
        """Return the position wanted after each bar's close.

        Parameters
        ----------
        bars : Bars, T times and S symbols
        parameters : mapping from str to int or float
            One element of ``self.parameters``.

        Returns
        -------
        ndarray of float64, shape (T, S), in [-1, 1]
            1 is fully long, -1 fully short. Row t may rest on bars <= t alone, and is traded at
            the open of t+1; ``swarm check-strategy`` tells whether it keeps to that. Use few
            distinct values: every change is a trade.
        """

    def order_style(self, parameters: Parameters) -> OrderStyle:
        """Return how changes of the target are traded; market orders unless overridden."""
        return OrderStyle()


def approach_name(kind: str, parameters: Parameters) -> str:
    """Return a candidate's name.

    >>> approach_name("momentum", {"lookback_bars": 50})
    'momentum(lookback_bars=50)'
    """
    numbers = (
        # The base types' own repr: NumPy's scalars, which are floats too, say np.float64(...).
        f"{name}={float.__repr__(value) if isinstance(value, float) else int.__repr__(value)}"
        for name, value in parameters.items()
    )
    return f"{kind}({', '.join(numbers)})"


def checked_targets(strategy: Strategy, bars: Bars, parameters: Parameters) -> Floats:
    """Return a strategy's targets, or say what is wrong with them.

    Before a symbol's first bar its target is set to 0; nothing else is changed. The strategy gets
    arrays that can't be written to, so it can't spoil the bars of others.

    Returns
    -------
    ndarray of float64, shape (T, S), finite, in [-1, 1]
        An array of its own.

    Raises
    ------
    StrategyError
        If the strategy raises, or returns another shape, something that is not a number, or a
        value outside [-1, 1]; names the parameters and the first offending row.
    """
    targets = raw_targets(strategy, bars, parameters)
    wrong = ~(np.abs(targets) <= 1.0)  # so that NaN is wrong too
    if wrong.any():
        row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise StrategyError(
            approach_name(strategy.kind, parameters),
            f"target_position returned {float(targets[row, column])!r} for "
            f"{bars.symbols[column]} at {bars.times[row].astype('datetime64[s]').item():%Y-%m-%d}"
            f" (row {row}); a target is a finite number from -1 to 1",
        )
    return targets


def raw_targets(strategy: Strategy, bars: Bars, parameters: Parameters) -> Floats:
    """Return what ``checked_targets`` does, whatever the values are; they may be NaN.

    Raises
    ------
    StrategyError
        If the strategy raises, or returns another shape, or something that is not a number.
    """
    name = approach_name(strategy.kind, parameters)
    try:
        with np.errstate(all="ignore"):
            targets = np.asarray(strategy.target_position(_read_only(bars), parameters))
    except (Exception, SystemExit) as error:
        raise StrategyError(name, fault(error, _source_file(strategy))) from None
    shape = (bars.count, len(bars.symbols))
    if targets.shape != shape:
        raise StrategyError(
            name,
            f"target_position returned shape {targets.shape}, but {bars.count} bars of "
            f"{len(bars.symbols)} symbols need {shape}",
        )
    if targets.dtype.kind not in "fiub":
        raise StrategyError(
            name, f"target_position returned an array of {targets.dtype}, not of numbers"
        )
    listed = np.logical_or.accumulate(bars.tradable, axis=0)
    # + 0.0 turns -0.0, another bit pattern for the same target, into 0.0.
    return np.where(listed, targets.astype(np.float64), 0.0) + 0.0


def checked_style(strategy: Strategy, parameters: Parameters) -> OrderStyle:
    """Return a strategy's order style.

    Raises
    ------
    StrategyError
        If the strategy raises, or returns anything but an ``OrderStyle`` of sensible numbers.
    """
    name = approach_name(strategy.kind, parameters)
    try:
        style = strategy.order_style(parameters)
    except (Exception, SystemExit) as error:
        raise StrategyError(name, fault(error, _source_file(strategy))) from None
    if not isinstance(style, OrderStyle):
        raise StrategyError(name, f"order_style returned {style!r}, not an OrderStyle")
    for field in OrderStyle.__slots__:
        if field.endswith("_bps"):
            value = getattr(style, field)
            if not (isinstance(value, int | float) and math.isfinite(value) and value >= 0):
                raise StrategyError(
                    name, f"order_style returned {field} = {value!r}; it is a number >= 0"
                )
    life: object = style.good_for_bars
    if not (isinstance(life, int) and life >= 1):
        raise StrategyError(
            name, f"order_style returned good_for_bars = {life!r}; it is a whole number >= 1"
        )
    return style


def fault(error: BaseException, filename: str | None) -> str:
    """Return one line on what was raised, and on which line of the user's file.

    The innermost line *of that file* is named: an error deep inside NumPy was caused there.
    """
    where = ""
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if filename is not None and step.tb_frame.f_code.co_filename == filename:
            where = f" ({filename}, line {step.tb_lineno})"
        step = step.tb_next
    text = " ".join(str(error).split())
    return f"raised {type(error).__name__}{f': {text}' if text else ''}{where}"


def _source_file(strategy: Strategy) -> str | None:
    code = getattr(type(strategy).target_position, "__code__", None)
    return getattr(code, "co_filename", None)


def _read_only(bars: Bars) -> Bars:
    view = bars.rows(0, bars.count)
    for field in ("times", "open", "high", "low", "close", "volume", "tradable"):
        getattr(view, field).flags.writeable = False
    return view
