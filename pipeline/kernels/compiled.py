"""How kernels are compiled that call each other a lot: without counting references to their arrays.

Counted at every call, references took half the time of a page's tree. Such kernels make no arrays; their callers pass
all that they write to. `_nrt` is numba's own switch for it.
"""

from functools import partial

from numba import njit

# Called from Python, and kept on disk
kernel = partial(njit, cache=True, nogil=True, _nrt=False)  # pyright: ignore[reportCallIssue]
# Called by kernels only, which hold its code
part = partial(njit, nogil=True, _nrt=False, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # pyright: ignore
