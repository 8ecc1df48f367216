"""The outcome judge: measures an outcome against a benchmark, volatility and costs. Needs no key.

Pure; used by ``machines``. An outcome within the band of luck gets no verdict, because calling a
coin's fall a success would teach the memory to repeat it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from swarm_runtime.core.knowledge import REWARD_SCALE

__all__ = ["LUCK_BAND", "Judgement", "judge"]

#: Excess reward, in standard deviations of the outcome, within which no verdict is given.
LUCK_BAND = 0.1
#: Excess rewards are cut at this many standard deviations, so that one crash can't rule a mean.
_LARGEST = 8.0
#: A daily volatility below this is taken as this: prices that never moved say nothing.
_SMALLEST_VOLATILITY = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """What the judge found, for n subjects and K candidates.

    Attributes
    ----------
    excess : ndarray of int32, shape (n, K)
        (return - benchmark) / (volatility·√bars), times REWARD_SCALE, rounded.
    verdict : ndarray of int8, shape (n, K)
        1 success, -1 failure, 0 within the band of luck.
    """

    excess: npt.NDArray[np.int32]
    verdict: npt.NDArray[np.int8]


def judge(
    net_return: npt.NDArray[np.float64],
    benchmark: npt.NDArray[np.float64],
    volatility: npt.NDArray[np.float64],
    bars: int,
) -> Judgement:
    """Judge outcomes.

    Parameters
    ----------
    net_return : ndarray of float64, shape (n, K)
        Return over the block on the capital set aside, after fees and slippage.
    benchmark : ndarray of float64, shape (n,)
        What choosing without knowledge would have returned: the mean over all candidates.
    volatility : ndarray of float64, shape (n,)
        Standard deviation of one bar's return, known *before* the block.
    bars : int (>= 1)
        Length of the block.

    Returns
    -------
    Judgement
        Where an outcome can't be told (a number is not finite) its excess is 0, without a verdict.
    """
    unit = np.maximum(volatility, _SMALLEST_VOLATILITY) * np.sqrt(float(bars))
    excess = np.clip((net_return - benchmark[:, None]) / unit[:, None], -_LARGEST, _LARGEST)
    excess = np.where(np.isfinite(excess), excess, 0.0)
    verdict = (excess > LUCK_BAND).astype(np.int8) - (excess < -LUCK_BAND).astype(np.int8)
    return Judgement(np.rint(excess * REWARD_SCALE).astype(np.int32), verdict)
