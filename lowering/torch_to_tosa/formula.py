"""Formulas over TOSA values: Python's operators on `Term`s build the ops.

The second half is the numerics that several ops share: logarithms near 1, arc tangents, square
roots, quotients that are right to the last bit. They are made for f32 and pass NaN on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np

from tosaic.dialects.bindings import ir
from tosaic.dialects.builder import Builder
from tosaic.dialects.types import element_of, i, is_float, is_signless_integer, shape_of

Operand = Union["Term", float]


@dataclass(frozen=True, eq=False)
class Term:
    """A tensor value in a formula; numbers become constants of its element type."""

    b: Builder
    value: ir.Value

    @property
    def element(self) -> ir.Type:
        """The element type."""
        return element_of(self.value)

    def like(self, other: Operand) -> Term:
        """Return `other` as a term."""
        if isinstance(other, Term):
            return other
        return Term(self.b, self.b.splat(self.value, other))

    def apply(self, name: str) -> Term:
        """Return the elementwise op `tosa.<name>` of this."""
        return Term(self.b, self.b.unary(f"tosa.{name}", self.value))

    def with_(self, name: str, other: Operand) -> Term:
        """Return the elementwise op `tosa.<name>` of this and `other`."""
        return Term(self.b, self.b.binary(f"tosa.{name}", self.value, self.like(other).value))

    def __add__(self, other: Operand) -> Term:
        return self.with_("add", other)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Term:
        return self.with_("sub", other)

    def __rsub__(self, other: Operand) -> Term:
        return self.like(other) - self

    def __mul__(self, other: Operand) -> Term:
        return Term(self.b, self.b.mul(self.value, self.like(other).value))

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Term:
        if not isinstance(other, Term):
            return self * (1.0 / other)
        return self * other.apply("reciprocal")

    def __rtruediv__(self, other: Operand) -> Term:
        inverse = self.apply("reciprocal")
        return inverse if other == 1 else inverse * other

    def __neg__(self) -> Term:
        return Term(self.b, self.b.negate(self.value))

    def __abs__(self) -> Term:
        return self.apply("abs")

    def _compare(self, name: str, x: Operand, y: Operand) -> Term:
        left, right = self.like(x).value, self.like(y).value
        return Term(self.b, self.b.compare(f"tosa.{name}", left, right))

    def __gt__(self, other: Operand) -> Term:
        return self._compare("greater", self, other)

    def __ge__(self, other: Operand) -> Term:
        return self._compare("greater_equal", self, other)

    def __lt__(self, other: Operand) -> Term:
        return self._compare("greater", other, self)

    def __le__(self, other: Operand) -> Term:
        return self._compare("greater_equal", other, self)

    def equals(self, other: Operand) -> Term:
        """Return where both are equal; NaN never is."""
        return self._compare("equal", self, other)

    def differs(self, other: Operand) -> Term:
        """Return where they are not equal; NaN always is."""
        return ~self.equals(other)

    @property
    def _logic(self) -> str:
        return "logical" if is_signless_integer(self.element, 1) else "bitwise"

    def __invert__(self) -> Term:
        return self.apply(f"{self._logic}_not")

    def __and__(self, other: Operand) -> Term:
        return self.with_(f"{self._logic}_and", other)

    def __or__(self, other: Operand) -> Term:
        return self.with_(f"{self._logic}_or", other)

    def __xor__(self, other: Operand) -> Term:
        return self.with_(f"{self._logic}_xor", other)

    def where(self, then: Operand, otherwise: Operand) -> Term:
        """Return `then` where this i1 term is true, else `otherwise`; one of them is a term."""
        model = then if isinstance(then, Term) else otherwise
        assert isinstance(model, Term)
        x, y = model.like(then).value, model.like(otherwise).value
        return Term(self.b, self.b.select(self.value, x, y))

    def clamp(self, low: float | None, high: float | None) -> Term:
        """Return this limited to [low, high]."""
        if is_signless_integer(self.element) and not is_signless_integer(self.element, 8, 16):
            limited = self  # TOSA's CLAMP takes no i32
            if low is not None:
                limited = limited.maximum(low)
            return limited if high is None else limited.minimum(high)
        return Term(self.b, self.b.clamp(self.value, low, high))

    def maximum(self, other: Operand) -> Term:
        """Return the larger; NaN wins."""
        return self.with_("maximum", other)

    def minimum(self, other: Operand) -> Term:
        """Return the smaller; NaN wins."""
        return self.with_("minimum", other)

    def ignoring_nan(self, name: str, other: Operand) -> Term:
        """Return `tosa.maximum` or `tosa.minimum`, NaN only where both are NaN."""
        result = self.with_(name, other)
        if is_float(self.element):
            mode = ir.Attribute.parse("#tosa.nan_mode<IGNORE>")
            result.value.owner.attributes["nan_mode"] = mode
        return result

    def converted(self, element: ir.Type) -> Term:
        """Return this as PyTorch converts it: to bool whether not 0, to ints towards zero.

        What does not fit small integers wraps around: PyTorch goes through wider ones.
        """
        b, own = self.b, self.element
        if own == element:
            return self
        if is_signless_integer(element, 1):
            wide = self if is_float(own) else self.at_least_i32()
            return wide.differs(0)
        if is_signless_integer(own, 1):
            shape = [1] * len(shape_of(self.value))
            one, zero = (Term(b, b.const(np.full(shape, n), element)) for n in (1, 0))
            return self.where(one, zero)
        if is_float(own) and not is_float(element):
            whole = b.cast(trunc(self).value, compute_type(element))
            return Term(b, b.cast(whole, element))
        return Term(b, b.cast(self.value, element))

    def at_least_i32(self) -> Term:
        """Return bool, i8 and i16, on which TOSA hardly computes, as i32."""
        return Term(self.b, self.b.cast(self.value, compute_type(self.element)))


def compute_type(element: ir.Type) -> ir.Type:
    """Return the type TOSA computes in for `element`: i32 for the small integers and bool."""
    return i(32) if is_signless_integer(element, 1, 8, 16) else element


def polynomial(x: Term, coefficients: Sequence[float]) -> Term:
    """Return the polynomial of `x`, highest power first, by Horner's rule."""
    total = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        total = (total + coefficient) * x
    return total + coefficients[-1]


# --- parts of numbers ----------------------------------------------------------------------------


def trunc(x: Term) -> Term:
    """Round towards zero; keeps the sign of zero."""
    return (x < 0).where(x.apply("ceil"), x.apply("floor"))


def rounded(x: Term) -> Term:
    """Round half to even."""
    whole = trunc(x)
    part = abs(x - whole)
    half = whole * 0.5
    odd = half.apply("floor").differs(half)
    up = (part > 0.5) | (part.equals(0.5) & odd)
    return up.where(whole + (x < 0).where(x.like(-1), 1), whole)


def sign_bit(x: Term) -> Term:
    """Whether `x` is negative; -0.0 is."""
    return (x < 0) | (x.apply("reciprocal") < 0) if is_float(x.element) else x < 0


def signed(magnitude: Term, negative: Term) -> Term:
    """Return `magnitude`, negated where `negative`."""
    return negative.where(-magnitude, magnitude)


# --- exponentials and roots ----------------------------------------------------------------------


# What exp takes without overflow or a denormal result.
_EXPONENT_LIMIT = 87.0


def power(x: Term, y: Term) -> Term:
    """``x ** y`` of x that are at least 0.

    TOSA leaves POW undefined where an operand or the result is NaN, infinite or 0 ** 0: there it is
    exp(y log(x)), which is right at the edges and less precise between them.
    """
    exponent = y * log(x)
    inside = abs(exponent) < _EXPONENT_LIMIT
    size = inside.where(x, 1).with_("pow", inside.where(y, 1))
    unit = x.equals(1) | y.equals(0)
    return unit.where(1, inside.where(size, exp(exponent)))


def power_of(base: float, y: Term) -> Term:
    """``base ** y`` of a positive number."""
    if base == 1:
        return y.like(1.0) + (y - y).clamp(0, 0)
    exponent = y * math.log(base)
    inside = abs(exponent) < _EXPONENT_LIMIT
    return inside.where(y.like(base).with_("pow", inside.where(y, 1)), exp(exponent))


def sqrt(x: Term) -> Term:
    """The square root; TOSA has none, and this is right for zeros, infinity and NaN."""
    return x.apply("rsqrt").apply("reciprocal")


def square_root(x: Term) -> Term:
    """The square root of what cannot be negative but by rounding."""
    return sqrt(x.clamp(0, None))


def exp(x: Term) -> Term:
    """The exponential."""
    return x.apply("exp")


def log(x: Term) -> Term:
    """The natural logarithm."""
    return x.apply("log")


def expm1(x: Term) -> Term:
    """``exp(x) - 1``; near 0 its Taylor series."""
    series = polynomial(x, [1 / math.factorial(n) for n in range(8, 0, -1)]) * x
    return (abs(x) < 0.5).where(series, exp(x) - 1)


def sinh(x: Term) -> Term:
    """The hyperbolic sine; near 0 its Taylor series."""
    square = x * x
    series = polynomial(square, [1 / math.factorial(n) for n in range(9, 0, -2)]) * x
    a = abs(x)
    root = exp(a * 0.5)
    return (a < 1).where(series, signed(root * 0.5 * root - exp(-a) * 0.5, x < 0))


def log1p(x: Term) -> Term:
    """``log(1 + x)``; what 1 + x loses is added to first order."""
    u = x + 1
    lost = (x - (u - 1)) / u
    return log(u) + (abs(x) < 1).where(lost, x.like(0.0))


def log1p_exp(x: Term) -> Term:
    """``log(1 + exp(x))`` without overflow."""
    return x.clamp(0, None) + log1p(exp(-abs(x)))


def cosh(x: Term) -> Term:
    """The hyperbolic cosine; the square keeps exp from overflowing first."""
    a = abs(x)
    root = exp(a * 0.5)
    return root * 0.5 * root + exp(-a) * 0.5


# --- inverse functions ---------------------------------------------------------------------------
# Polynomials: S. Moshier's Cephes library (asinf, atanf), for the ranges given.

_ASIN = (4.2163199048e-2, 2.4181311049e-2, 4.5470025998e-2, 7.4953002686e-2, 1.6666752422e-1)
_ATAN = (8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1)


def _asin_parts(x: Term) -> tuple[Term, Term]:
    """Return (a > 1/2, asin of a or of sqrt((1 - a) / 2)) for a = abs(x)."""
    a = abs(x)
    large = a > 0.5
    square = large.where((1 - a) * 0.5, a * a)
    root = large.where(sqrt(square), a)  # NaN beyond 1
    return large, root + root * square * polynomial(square, _ASIN)


def asin(x: Term) -> Term:
    """The arc sine."""
    large, part = _asin_parts(x)
    return signed(large.where(math.pi / 2 - part * 2, part), x < 0)


def acos(x: Term) -> Term:
    """The arc cosine, precise near 1 too."""
    large, part = _asin_parts(x)
    outer = (x < 0).where(math.pi - part * 2, part * 2)
    return large.where(outer, math.pi / 2 - signed(part, x < 0))


def _atan_unit(t: Term) -> Term:
    """The arc tangent on [0, 1]."""
    large = t > math.tan(math.pi / 8)
    t = large.where((t - 1) / (t + 1), t)
    square = t * t
    part = polynomial(square, _ATAN) * square * t + t
    return part + large.where(t.like(math.pi / 4), 0)


def atan(x: Term) -> Term:
    """The arc tangent."""
    a = abs(x)
    large = a > 1
    part = _atan_unit(large.where(1 / a, a))
    return signed(large.where(math.pi / 2 - part, part), x < 0)


def atan2(y: Term, x: Term) -> Term:
    """The angle of the point (x, y), with the signs of zeros."""
    a, c = abs(x), abs(y)
    small, large = a.minimum(c), a.maximum(c)
    diagonal = (large > 0).where(large.like(1.0), 0)  # both infinite, or both zero
    part = _atan_unit(a.equals(c).where(diagonal, small / large))
    part = (c > a).where(math.pi / 2 - part, part)
    part = sign_bit(x).where(math.pi - part, part)
    return signed(part, sign_bit(y))


def asinh(x: Term) -> Term:
    """The inverse hyperbolic sine."""
    a = abs(x)
    large = a > 1e6
    near = log1p(a + a * a / (square_root(a * a + 1) + 1))
    return signed(large.where(log(a) + math.log(2), near), x < 0)


def acosh(x: Term) -> Term:
    """The inverse hyperbolic cosine."""
    t = x - 1
    near = log1p(t + sqrt(t) * square_root(t + 2))
    return (x > 1e6).where(log(x) + math.log(2), near)


def atanh(x: Term) -> Term:
    """The inverse hyperbolic tangent."""
    a = abs(x)
    return signed(log1p(a * 2 / (1 - a)) * 0.5, x < 0)


# --- error functions -----------------------------------------------------------------------------
# erfc: Press et al., "Numerical Recipes", 1992, section 6.2, relative error below 1.2e-7.
# erfinv: M. Giles, "Approximating the erfinv function", 2011, single precision.

_ERFC = (
    *(0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807),
    *(-0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223),
)
_ERFINV_INNER = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087),
    *(-0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
_ERFINV_OUTER = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773),
    *(-0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)


def erfc(x: Term) -> Term:
    """The complementary error function."""
    a = abs(x)
    t = 1 / (a * 0.5 + 1)
    part = t * exp(polynomial(t, _ERFC) - a * a)
    return (x < 0).where(2 - part, part)


def erfinv(x: Term) -> Term:
    """The inverse error function."""
    w = -log((1 - x) * (1 + x))
    inner = polynomial(w - 2.5, _ERFINV_INNER)
    outer = polynomial(square_root(w) - 3, _ERFINV_OUTER)
    factor = (w < 5).where(inner, outer)
    return x * abs(x).equals(1).where(x.like(math.inf), factor)


# --- quotients -----------------------------------------------------------------------------------


def _halves(x: Term) -> tuple[Term, Term]:
    """Split f32 `x` into two terms of 12 bits (T. Dekker, 1971)."""
    scaled = x * 4097.0
    high = scaled - (scaled - x)
    return high, x - high


def _residual(a: Term, q: Term, b: Term) -> Term:
    """Return ``a - q * b``; exact where the result is small."""
    (qh, ql), (bh, bl) = _halves(q), _halves(b)
    return (((a - qh * bh) - qh * bl) - ql * bh) - ql * bl


def quotient(a: Term, b: Term) -> Term:
    """Return ``a / b`` as a division rounds it; a * (1 / b) is off by one bit at times."""
    first = a / b
    better = first + _residual(a, first, b) / b
    return better.equals(better).where(better, first)


def whole_quotient(a: Term, b: Term) -> tuple[Term, Term]:
    """Return (q, r) of magnitudes with ``|a| = q |b| + r``, ``0 <= r < |b|``; floats."""
    a, b = abs(a), abs(b)
    # Splitting would overflow for huge operands; a power of two changes nothing else.
    unit = (a.maximum(b) > 2.0**100).where(a.like(2.0**-32), 1.0)
    x, y = a * unit, b * unit
    q = (x / y).apply("floor")
    r = _residual(x, q, y)
    rest = (r / y).apply("floor")  # of a quotient that has more bits than q
    q, r = q + rest, _residual(r, rest, y)
    below, above = r < 0, r >= y
    q = q + above.where(q.like(1), 0) - below.where(q.like(1), 0)
    r = above.where(r - y, below.where(r + y, r))
    r = r / unit
    less = a < b
    return less.where(q.like(0), q), less.where(a, r)


def integer_quotient(a: Term, b: Term) -> tuple[Term, Term]:
    """Return (q, r) with ``a = q b + r``, q rounded towards zero; i32."""
    q = a.with_("intdiv", b)
    return q, a - q * b
