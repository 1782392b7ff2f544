"""How kernels are compiled: by numba's njit, once per machine and once per types of their arguments.

A *part* is called by kernels only, which hold its code: it has no entry from Python and no file of its own. Bare ones
do not count references to their arrays, which at every call took half the time of a page's tree: they make no arrays,
and their callers pass all that they write to. `_nrt` is numba's own switch for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numba import njit
from numba.core.types import Type, unliteral


def compiler(**options: Any) -> Callable[[Callable], Any]:
    """njit with these options. A literal number that a kernel hands over is a number.

    Of a variable that begins as 0 numba at first knows just that, and would compile what is called with it for the
    literal 0 and then for any number: a third of the time of `text_stats.measure`.
    """

    def compiled(function: Callable) -> Any:
        dispatcher: Any = njit(**options)(function)
        template = dispatcher.get_call_template

        def of_plain(args: Sequence[Type], kws: Mapping[str, Type]) -> object:
            return template(tuple(map(unliteral, args)), {name: unliteral(kind) for name, kind in kws.items()})

        dispatcher.get_call_template = of_plain
        return dispatcher

    return compiled


kernel = compiler(cache=True, nogil=True)
inlined = compiler(cache=True, nogil=True, inline="always")
bare_kernel = compiler(cache=True, nogil=True, _nrt=False)
bare_part = compiler(nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)
