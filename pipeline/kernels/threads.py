"""Calls that do not depend on each other, on several threads of one process; and what tells libraries how many to use.

For kernels and libraries that release the interpreter's lock.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def side_by_side(work: Callable[[int], T], items: Sequence[int], threads: int) -> list[T]:
    """The results in the order of the items."""
    if threads == 1 or len(items) < 2:
        return [work(i) for i in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, items))


@contextmanager
def environment(given: Mapping[str, str]) -> Iterator[None]:
    """These variables for processes that are started, and pools that are made, inside."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
