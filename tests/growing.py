"""Whether the CPU time of a call grows as its input or faster, told apart from the machine's noise.

Noise only ever adds time, so of several runs the least is taken, and a call that looks worse than linear is run again,
both sizes in turn: a linear call is seen to be one as soon as both sizes had a quiet moment, a quadratic call never is.
"""

import time
from collections.abc import Callable
from math import inf

TIMES = 4
MOST = 9  # times the CPU time for TIMES the input: a linear call takes 4, a quadratic one 16
FLOOR_S = 0.02  # a call that takes less for the larger input is not told from noise
ROUNDS = 12


def linear(call: Callable[[int], object], size: int) -> None:
    """Asserts that call(TIMES * size) takes less than MOST times the CPU time of call(size)."""
    small, large = inf, inf
    for _ in range(ROUNDS):
        small = min(small, cpu_seconds(call, size), cpu_seconds(call, size))
        large = min(large, cpu_seconds(call, TIMES * size))
        if large < max(FLOOR_S, MOST * max(small, FLOOR_S / TIMES)):
            return
    raise AssertionError(f"{large:.3f} s for {TIMES} times the input of {small:.3f} s, at best of {ROUNDS} tries")


def cpu_seconds(call: Callable[[int], object], size: int) -> float:
    begun = time.process_time()
    call(size)
    return time.process_time() - begun
