"""Numbers side by side in a vector of the processor: what `Compiled` functions compute with.

numba leaves it to its compiler to find vectors in loops, which it misses where it cannot tell that
two arrays are apart. Here a vector is a value: it is loaded, computed with and stored, and a
processor whose vectors are shorter takes several. Sums, differences, products, quotients, square
roots and sizes are exactly rounded, or exact, on all of them; nothing is contracted or reordered.
Imported by what compiles, as numba takes long to import.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, lower_cast, models, register_model

from nnflow.base.compiled import LANES

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)
_MASK = ir.VectorType(ir.IntType(1), LANES)
_SINGLE = ir.Constant(ir.IntType(32), 0)
_BYTES = 8


class Vector(types.Type):
    """The type of `LANES` float64 side by side."""

    def __init__(self):
        super().__init__(name=f"Vector{LANES}")

    def can_convert_from(self, context, other):
        """A number stands for a vector of it."""
        from numba.core.typeconv import Conversion

        return Conversion.safe if isinstance(other, types.Float) else None


class Mask(types.Type):
    """The type of `LANES` truth values side by side."""

    def __init__(self):
        super().__init__(name=f"Mask{LANES}")


VECTOR, MASK = Vector(), Mask()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _VECTOR)


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, _MASK)


@lower_cast(types.Float, Vector)
def _spread(context, builder, given, wanted, value):
    number = context.cast(builder, value, given, types.float64)
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, _SINGLE)
    places = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), places)


def _operation(function, result, lower):
    """Let numba take `function` of two vectors, or of a vector and a number."""

    @infer_global(function)
    class _Typing(AbstractTemplate):
        def generic(self, arguments, named):
            vectors = [isinstance(each, Vector) for each in arguments]
            numbers = [isinstance(each, types.Float) for each in arguments]
            if len(arguments) == 2 and any(vectors) and sum(vectors) + sum(numbers) == 2:
                return signature(result, VECTOR, VECTOR)
            return None

    @lower_builtin(function, Vector, Vector)
    def _lowered(context, builder, form, arguments):
        return lower(builder, *arguments)


for _functions, _name in (
    ((operator.add, operator.iadd), "fadd"),
    ((operator.sub, operator.isub), "fsub"),
    ((operator.mul, operator.imul), "fmul"),
    ((operator.truediv, operator.itruediv), "fdiv"),
):
    for _function in _functions:
        _operation(
            _function, VECTOR, lambda builder, a, b, name=_name: getattr(builder, name)(a, b)
        )
for _function, _sign in ((operator.lt, "<"), (operator.gt, ">")):
    _operation(_function, MASK, lambda builder, a, b, sign=_sign: builder.fcmp_ordered(sign, a, b))


@infer_global(operator.neg)
class _Negation(ConcreteTemplate):
    cases = [signature(VECTOR, VECTOR)]


@lower_builtin(operator.neg, Vector)
def _negated(context, builder, form, arguments):
    return builder.fneg(arguments[0])


def _of_one(name):
    """An LLVM instruction of one number, or of a vector."""

    @intrinsic
    def instruction(context, value):
        kind = value if isinstance(value, Vector) else types.float64

        def lower(context, builder, form, arguments):
            shape = context.get_value_type(kind)
            ending = f"v{LANES}f64" if kind is VECTOR else "f64"
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(shape, [shape]), f"llvm.{name}.{ending}"
            )
            return builder.call(function, arguments)

        return kind(kind), lower

    return instruction


square_root = _of_one("sqrt")
magnitude = _of_one("fabs")


@intrinsic
def power_of_two(context, exponent):
    kind = exponent if isinstance(exponent, Vector) else types.float64

    def lower(context, builder, form, arguments):
        shape = context.get_value_type(kind)
        whole = ir.VectorType(ir.IntType(64), LANES) if kind is VECTOR else ir.IntType(64)

        def constant(number_type, number):
            spread = [number] * LANES if kind is VECTOR else number
            return ir.Constant(number_type, spread)

        # the last bits of the mantissa of n + 1.5 · 2⁵² are n: they go where an exponent is
        shifted = builder.fadd(arguments[0], constant(shape, 1.5 * 2.0**52))
        bits = builder.shl(builder.bitcast(shifted, whole), constant(whole, 52))
        return builder.bitcast(builder.add(bits, constant(whole, 1023 << 52)), shape)

    return kind(kind), lower


@intrinsic
def lane_sums(context, a, b, c, d, e, f, g, h):
    if not all(isinstance(each, Vector) for each in (a, b, c, d, e, f, g, h)):
        return None

    def lower(context, builder, form, arguments):
        """The upper halves are added to the lower ones, of two vectors in one, and so on."""
        left, half = list(arguments), LANES
        while len(left) > 1:
            half //= 2
            lower = [start + j for start in range(0, LANES, 2 * half) for j in range(half)]
            lower += [LANES + place for place in lower]
            upper = [place + half for place in lower]
            left = [
                builder.fadd(*(_shuffled(builder, x, y, places) for places in (lower, upper)))
                for x, y in zip(left[::2], left[1::2], strict=True)
            ]
        return left[0]

    return VECTOR(*[VECTOR] * LANES), lower


def _shuffled(builder, first, second, places):
    """A vector of what lies at these places of two, one after the other."""
    return builder.shuffle_vector(
        first, second, ir.Constant(ir.VectorType(ir.IntType(32), LANES), places)
    )


@intrinsic
def choose(context, condition, yes, no):
    kind = VECTOR if isinstance(condition, Mask) else types.float64

    def lower(context, builder, form, arguments):
        return builder.select(*arguments)

    return kind(condition, kind, kind), lower


def _holds_vectors(array):
    """Is it the type of arrays (row, LANES) that lie in memory row by row?"""
    kind = (types.float64, 2, "C")
    return isinstance(array, types.Array) and (array.dtype, array.ndim, array.layout) == kind


@intrinsic
def load_row(context, array, row):
    if not _holds_vectors(array):
        return None

    def lower(context, builder, form, arguments):
        return builder.load(_place(context, builder, form, arguments), align=_BYTES)

    return VECTOR(array, types.intp), lower


@intrinsic
def store_row(context, array, row, value):
    if not _holds_vectors(array):
        return None

    def lower(context, builder, form, arguments):
        builder.store(arguments[2], _place(context, builder, form, arguments), align=_BYTES)
        return context.get_dummy_value()

    return types.void(array, types.intp, VECTOR), lower


def _place(context, builder, form, arguments):
    """Where the given row of an array (row, LANES) begins."""
    array = context.make_array(form.args[0])(context, builder, arguments[0])
    first = builder.mul(arguments[1], ir.Constant(arguments[1].type, LANES))
    number = builder.gep(array.data, [first])
    return builder.bitcast(number, _VECTOR.as_pointer())


__all__ = [
    "choose",
    "lane_sums",
    "load_row",
    "magnitude",
    "power_of_two",
    "square_root",
    "store_row",
]
