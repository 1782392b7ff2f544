"""Copies of pieces of arrays, by a loop: of an assignment of slices numba compiles the error's message, for seconds."""

from gristmill.pipeline.kernels.compiled import kernel


@kernel
def copied(target, at, source, start, end):
    """Copies source[start:end] to target[at:]; the place behind it."""
    for i in range(start, end):
        target[at + i - start] = source[i]
    return at + end - start
