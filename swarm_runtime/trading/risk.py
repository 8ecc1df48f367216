"""Risk limits: how much an account may hold, when it is stopped, and why it was cut, in words.

``broker`` applies them and reports every cut as an event here. Imports errors alone.

The limits work in three places:

* An *order* is sized so that its symbol stays within ``max_position``, and its account within
  ``max_leverage``. Where several orders compete for the leverage left, all shrink in proportion.
* A *position that has grown* past a limit by more than ``DRIFT_BAND`` (at the last close) is cut
  back to the limit at the next fill. Without the band a position that sits at its limit would be
  trimmed by a few lots after every bar that goes its way, and the fees would eat it.
* After a *drawdown* of ``max_drawdown`` from the peak of equity (at a close) the account is
  flattened at the next fill and stays flat for ``pause_bars`` bars. Then the peak is counted
  anew, and the account takes up the targets that stand.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from swarm_runtime.errors import ConfigError

__all__ = ["DRIFT_BAND", "NO_LIMIT", "RiskCode", "RiskEvents", "RiskLimits"]

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: How far, relative to a limit, a position may drift past it before it is cut back.
DRIFT_BAND = 0.05
#: A limit that never binds. Finite, because infinity times an equity of 0 is not a number.
NO_LIMIT = 1e9


class RiskCode(enum.IntEnum):
    """Which limit cut."""

    #: An order asked for more than ``max_position`` in a symbol.
    ORDER_POSITION = 0
    #: An order asked for more than was left of ``max_leverage``.
    ORDER_LEVERAGE = 1
    #: A position had grown past ``max_position``.
    DRIFT_POSITION = 2
    #: The account's positions had grown past ``max_leverage``.
    DRIFT_LEVERAGE = 3
    #: Equity had fallen by ``max_drawdown``.
    DRAWDOWN = 4


@dataclass(frozen=True, slots=True, eq=False)
class RiskLimits:
    """The limits of A accounts.

    Attributes
    ----------
    max_position : ndarray of float64, shape (A,)
        Largest |position| in one symbol, as a fraction of equity.
    max_leverage : ndarray of float64, shape (A,)
        Largest sum of |positions|, as a multiple of equity.
    max_drawdown : ndarray of float64, shape (A,)
        Fall from the peak of equity at which the account is flattened.
    pause_bars : ndarray of int64, shape (A,)
        How long it then stays flat.
    """

    max_position: Floats
    max_leverage: Floats
    max_drawdown: Floats
    pause_bars: Integers

    @classmethod
    def uniform(
        cls,
        count: int,
        *,
        max_position: float = NO_LIMIT,
        max_leverage: float = NO_LIMIT,
        max_drawdown: float = NO_LIMIT,
        drawdown_pause_bars: int = 1,
    ) -> RiskLimits:
        """Return the same limits for all accounts; what is left out has no limit.

        Raises
        ------
        ConfigError
            If a limit isn't positive, or the pause is shorter than a bar.
        """
        for name, value in (
            ("max_position", max_position),
            ("max_leverage", max_leverage),
            ("max_drawdown", max_drawdown),
        ):
            if not value > 0:
                raise ConfigError(name, value, "must be above 0")
        if drawdown_pause_bars < 1:
            raise ConfigError("drawdown_pause_bars", drawdown_pause_bars, "must be at least 1")

        def column(value: float) -> Floats:
            return np.full(count, min(float(value), NO_LIMIT))

        return cls(
            column(max_position),
            column(max_leverage),
            column(max_drawdown),
            np.full(count, drawdown_pause_bars, np.int64),
        )

    def take(self, rows: slice | Sequence[int] | npt.NDArray[np.intp]) -> RiskLimits:
        """Return the limits of some accounts, in the order asked for."""
        return RiskLimits(*(array[rows] for array in _arrays(self)))

    @staticmethod
    def concatenate(parts: Sequence[RiskLimits]) -> RiskLimits:
        """Return the limits of all parts' accounts, one after the other."""
        columns = zip(*(_arrays(part) for part in parts), strict=True)
        return RiskLimits(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True, slots=True, eq=False)
class RiskEvents:
    """What limits cut, in the order (account, bar, symbol).

    Attributes
    ----------
    account : ndarray of int64, shape (E,)
    bar : ndarray of int64, shape (E,)
        Bar in which the cut took effect.
    symbol : ndarray of int64, shape (E,)
        Index of the symbol; -1 for a limit on the whole account.
    code : ndarray of int64, shape (E,)
        A ``RiskCode``.
    asked : ndarray of float64, shape (E,)
        What was asked for, or reached by drift: a signed fraction of equity (short is negative);
        for a drawdown the fall from the peak.
    allowed : ndarray of float64, shape (E,)
        What was granted, in the same unit; for a drawdown its limit.
    """

    account: Integers
    bar: Integers
    symbol: Integers
    code: Integers
    asked: Floats
    allowed: Floats

    def __len__(self) -> int:
        return len(self.account)

    def explain(self, event: int, symbols: Sequence[str]) -> str:
        """Return in words what was cut, and why.

        Parameters
        ----------
        event : int
            Index of the event.
        symbols : sequence of str, length S

        Examples
        --------
        ``AAPL cut from 0.62 to 0.50 of equity: the order is beyond max_position``
        """
        code = RiskCode(int(self.code[event]))
        asked, allowed = float(self.asked[event]), float(self.allowed[event])
        if code is RiskCode.DRAWDOWN:
            return (
                f"all positions closed and trading paused: equity is {asked:.1%} below its peak, "
                f"max_drawdown is {allowed:.1%}"
            )
        if code is RiskCode.DRIFT_LEVERAGE:
            return (
                f"all positions cut from {asked:.2f} to {allowed:.2f} of equity: "
                "together they had grown past max_leverage"
            )
        reason = {
            RiskCode.ORDER_POSITION: "the order is beyond max_position",
            RiskCode.ORDER_LEVERAGE: "the order is beyond what is left of max_leverage",
            RiskCode.DRIFT_POSITION: "the position had grown past max_position",
        }[code]
        symbol = symbols[int(self.symbol[event])]
        side = "short " if asked < 0 else ""
        return f"{side}{symbol} cut from {abs(asked):.2f} to {abs(allowed):.2f} of equity: {reason}"


def _arrays(columns: RiskLimits) -> list[npt.NDArray[Any]]:
    return [getattr(columns, field.name) for field in fields(columns)]
