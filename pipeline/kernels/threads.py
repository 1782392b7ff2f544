"""Calls that do not depend on each other, on several threads of one process; their results in the calls' order.

For kernels and libraries that release the interpreter's lock.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def side_by_side(work: Callable[[int], T], items: Sequence[int], threads: int) -> list[T]:
    if threads == 1 or len(items) < 2:
        return [work(i) for i in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))
