"""The processor's prefetch of an array's row, for kernels that read rows in an order that they know before."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

CACHE_LINE = 64  # bytes; where it is more, a row is asked for more often than needed


@intrinsic
def prefetch_row(typingctx, array, row):
    """Asks for all bytes of array[row] (2 dimensions, rows contiguous) to be brought near; nothing is read."""
    if not (isinstance(array, types.Array) and array.ndim == 2 and array.layout == "C"):
        raise TypingError("prefetch_row: an array of two dimensions in C order")

    def generate(context, builder, signature, arguments):
        held = context.make_array(signature.args[0])(context, builder, arguments[0])
        word, flag, pointer = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()
        name = "llvm.prefetch.p0i8"
        ask = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [pointer, flag, flag, flag]), name
        )
        stride = builder.extract_value(held.strides, 0)
        begin = builder.add(builder.ptrtoint(held.data, word), builder.mul(stride, arguments[1]))
        with cgutils.for_range_slice(builder, word(0), stride, word(CACHE_LINE), word) as (at, _):
            place = builder.inttoptr(builder.add(begin, at), pointer)
            builder.call(ask, [place, flag(0), flag(2), flag(1)])  # to read, into the second cache, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate
