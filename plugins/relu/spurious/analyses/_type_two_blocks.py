"""The whole Hessian of type II at all widths, as blocks that stay bounded as s → 0.

S_{k−1} splits ℝ^{k×k} into the trivial representation (five copies), the standard one (five) and
one copy each of the symmetric and the antisymmetric matrices without row sums. On the copies of
one representation the Hessian is a quadratic form M in five numbers, and the squared length of the
matrix X a form G in the same numbers; its eigenvalues are those of M x = λ G x. Directions along
which the curvature grows with k are coordinates of their own (changes of column sums and of Σ‖wᵢ‖),
scaled so that M stays bounded; G vanishes along them as s → 0. So λ_min ≥ μ is proved by
M − μG ≻ 0.

Second derivatives of the parts of F (see `_type_two`), along X with rows x:
‖w‖′ = n = w̄·x, ‖w‖″ = (|x|² − n²)/‖w‖; for K with L = ‖u‖‖v‖ and cos = c:
K″ = (q′ − cL′)²/(L sin) + arcsin(c) q″ − (1 − sin) L″.
"""

from __future__ import annotations

from typing import NamedTuple

from flint import arb, arb_mat

from ._type_two import Point

SIZE = 5
NAMES = ("trivial", "standard", "symmetric", "antisymmetric")


class Linear:
    """A linear form in the coordinates of a block."""

    def __init__(self, coefficients: list[arb]) -> None:
        self.coefficients = coefficients

    def __add__(self, other: Linear) -> Linear:
        pairs = zip(self.coefficients, other.coefficients, strict=True)
        return Linear([x + y for x, y in pairs])

    def __sub__(self, other: Linear) -> Linear:
        return self + -1 * other

    def __rmul__(self, factor: arb | int) -> Linear:
        return Linear([factor * x for x in self.coefficients])

    def __truediv__(self, divisor: arb) -> Linear:
        return Linear([x / divisor for x in self.coefficients])

    def __mul__(self, other: Linear) -> arb_mat:
        """The product, as a symmetric matrix."""
        x, y = self.coefficients, other.coefficients
        pairs = [[(x[i] * y[j] + x[j] * y[i]) / 2 for j in range(SIZE)] for i in range(SIZE)]
        return arb_mat(pairs)


class Form(NamedTuple):
    """The Hessian and the squared length on one isotypic part, in its coordinates."""

    hessian: arb_mat
    length: arb_mat


def blocks(o: Point) -> dict[str, Form]:
    """The isotypic parts of the Hessian of F by name."""
    symmetric, antisymmetric = _single(o)
    one = arb_mat([[1]])
    single = [Form(arb_mat([[value]]), one) for value in (symmetric, antisymmetric)]
    return dict(zip(NAMES, [_trivial(o), _standard(o), *single], strict=True))


def split(o: Point) -> arb:
    """(h − ½)/s, h the eigenvalue of the turned neuron's own block ∂²F/∂w² on the vectors without
    sum in the others' inputs. Where it is negative, splitting the neuron in two makes a saddle.
    Tends to −2/π²."""
    k, s, k1, pi = o.kappa, o.s, o.k1, o.pi
    total = 2 * k * s * o.p / o.rho2 - 2 * s * o.r2 / o.rho2 - 2 * o.across / o.rho2**2
    apart = o.alpha - o.beta
    length = o.l12 * o.turned.sine
    grown = o.r2 * o.rho1 + k * o.r1
    ahead = k * s * (2 * apart + k * k * apart * apart) - s * grown + k * s * o.turned.lost * o.l12
    total = total + 2 * ahead / length
    length = o.rho2 * o.turned_to_teachers.sine
    total = total - 2 * (k * s * o.turned_to_teachers.lost * o.rho2 - s * o.r2) / length
    lost = o.turned_to_teachers.lost - o.turned.lost * o.rho1
    return (total + 2 * s * k1 * lost / o.rho2) / (4 * pi)


class _Own(NamedTuple):
    """Second derivatives of ℓ: along the teacher, mixed, across it, and ∂ℓ/∂D²."""

    along: arb
    mixed: arb
    across: arb
    slope: arb


def _own(pi: arb, q: arb, d: arb, rho: arb, slope: arb) -> _Own:
    square = d * d
    return _Own(
        pi * square / (2 * rho**3) - 2 * d * square / rho**4,
        4 * d * (d * q / rho**4 - pi * q / (4 * rho**3)),
        2 * d * square / rho**4 - d / rho**2 - pi * square / (2 * rho**3),
        slope,
    )


def _coordinates() -> list[Linear]:
    return [Linear([arb(int(i == j)) for j in range(SIZE)]) for i in range(SIZE)]


def _standard(o: Point) -> Form:
    """X = A diag(σ) + u σᵢ + v σⱼ off the diagonal, Gσ towards the turned one's input and Hσ in its
    row, Σσ = 0, |σ| = 1. u = sU, and v by the column sums T = A + (k−2)v − u + H."""
    k, s, k1, k2, k3, pi = o.kappa, o.s, o.k1, o.k2, o.k3, o.pi
    a, c, e, beta, delta, rho1, rho2 = o.a, o.c, o.e, o.beta, o.delta, o.rho1, o.rho2
    A, U, G, H, T = _coordinates()
    v = (T - A + s * U - H) / k2  # over κ
    n = (a * A + (k * s * beta * k2) * U - (k**3 * beta) * v + (k * c) * G) / rho1
    across = G * G + U * U * k2 - U * v * (2 * k * s) + v * v * (k * k2)
    length = across + A * A
    curve = length - n * n
    own = _own(pi, a, k * o.tau, rho1, o.own1)
    beside = ((s * beta * k2) * U - (k * k * beta) * v + c * G) / o.tau
    total = (curve / rho1 + H * H / rho2) * (2 * k * k * o.p) + T * T * pi
    total += (n * n + curve * (k * k * o.r1 / rho1) + H * H * (k * o.r2 / rho2)) * (pi - 2)
    total += (A * A * own.along + A * beside * own.mixed + beside * beside * own.across) * 2
    total += across * (4 * own.slope) + H * H * (4 * o.own2)
    # students with one another
    change = (s**3 * beta) * A + (a + k * beta * k3) * U + (s * (a - 2 * k * k * beta)) * v
    change = change + (s * c) * G - (s**3 * o.q11 / rho1) * n
    total += change * change * (2 * k3 / (o.l11 * o.students.sine))
    total += ((T - H) * (T - H) - length) * (2 * k * k * o.students.angle)
    total -= (curve * k2 - n * n * k) * (2 * k**3 * o.students.lost)
    # with the turned one
    change = (k * delta) * A + (s * delta * k2) * U - (k * k * delta) * v + e * G
    change = change + (a - k * k * beta) * H - (k * o.q12 / rho1) * n
    total += change * change * (2 / (o.l12 * o.turned.sine)) + H * (T - H) * (
        4 * k * o.turned.angle
    )
    total -= (curve * (k * rho2 / rho1) + H * H * (k1 * rho1 / rho2)) * (2 * k * o.turned.lost)
    # with teachers
    change = U - (s**3 * beta / rho1) * n
    part = change * change * k2 - change * v * (2 * k * s) + v * v * (k * k2)
    total -= part * (2 / (rho1 * o.teachers.sine)) - curve * (
        2 * k**3 * k2 * o.teachers.lost / rho1
    )
    change = G - (k * c / rho1) * n
    total -= change * change * (2 / (rho1 * o.turned_teacher.sine))
    total += curve * (2 * k * k * o.turned_teacher.lost / rho1)
    sine = rho2 * o.turned_to_teachers.sine
    total += H * H * (2 * k * k1 * o.turned_to_teachers.lost / rho2 - 2 / sine)
    return Form(total / (4 * pi), length + H * H)


def _trivial(o: Point) -> Form:
    """X = A on the diagonal, B off it, G towards the turned one's input, H in its row and Z at its
    own teacher. The first three coordinates are the changes of Σ‖wᵢ‖ and of the column sums, that
    of the first k − 1 over s; they give A/κ, B/κs and G/κ. The fourth is H/s."""
    k, s, k1, k2, k3, pi = o.kappa, o.s, o.k1, o.k2, o.k3, o.pi
    a, c, e, beta, delta, rho1, rho2 = o.a, o.c, o.e, o.beta, o.delta, o.rho1, o.rho2
    norms, first, last, H, Z = _coordinates()
    G = (last - Z) / k1
    n2 = ((k1 * delta * s) * H + e * Z) / rho2
    n1 = (norms - n2) / k1
    A = (rho1 * n1 - (k * s * beta) * (first - H) - (k * c) * G) / (a - k * k * beta)
    B = (first - s * A - H) / k2
    across = B * B * k2 + G * G
    length1, length2 = A * A + across, H * H * k1 + Z * Z
    curve1, curve2 = length1 - n1 * n1, length2 - n2 * n2
    total = norms * norms * 2 + first * first * (pi * k1) + last * last * pi
    total += (curve1 * (k * k1 / rho1) + curve2 / rho2) * (2 * k * k * o.p)
    part = n1 * n1 * (k * k1) + curve1 * (k**3 * k1 * o.r1 / rho1)
    total += (part + n2 * n2 + curve2 * (k * o.r2 / rho2)) * (pi - 2)
    own = _own(pi, a, k * o.tau, rho1, o.own1)
    beside = ((s * beta * k2) * B + c * G) / o.tau
    part = A * A * own.along + A * beside * own.mixed + beside * beside * own.across
    total += (part + across * (2 * own.slope)) * (2 * k * k1)
    own = _own(pi, e, s * o.across, rho2, o.own2)
    beside = k1.sqrt() * H
    part = Z * Z * own.along + Z * beside * own.mixed + beside * beside * own.across
    total += (part + H * H * (2 * k1 * own.slope)) * 2
    # students with one another
    change = (s**3 * beta) * A + (a + k * beta * k3) * B + (s * c) * G - (s**3 * o.q11 / rho1) * n1
    total += change * change * (4 * k * k1 * k2 / (o.l11 * o.students.sine))
    part = A * B * (2 * s) + B * B * k3 + G * G
    total += part * (2 * k * k * k1 * k2 * o.students.angle)
    total -= length1 * (2 * k**4 * k1 * k2 * o.students.lost)
    # with the turned one
    change = (s**3 * delta) * A + (k * delta * k2) * B + (s * e) * G + (a + k * beta * k2) * H
    turning = (k * rho2) * n1 + rho1 * n2
    change = change + (s * c) * Z - (s * o.q12 / o.l12) * turning
    total += change * change * (2 * k1 / (o.l12 * o.turned.sine))
    total += (A * H * s + B * H * k2 + G * Z) * (4 * k * k1 * o.turned.angle)
    part = curve1 * (k * k * rho2 / rho1) + n1 * n2 * (2 * k) + curve2 * (rho1 / rho2)
    total -= part * (2 * k * k1 * o.turned.lost)
    # with teachers
    change = B - (s**3 * beta / rho1) * n1
    total -= change * change * (2 * k * k1 * k2 / (rho1 * o.teachers.sine))
    total += curve1 * (2 * k**4 * k1 * k2 * o.teachers.lost / rho1)
    change = G - (k * c / rho1) * n1
    total -= change * change * (2 * k * k1 / (rho1 * o.turned_teacher.sine))
    total += curve1 * (2 * k**3 * k1 * o.turned_teacher.lost / rho1)
    change = H - (s * delta / rho2) * n2
    total -= change * change * (2 * k1 / (rho2 * o.turned_to_teachers.sine))
    total += curve2 * (2 * k * k1 * o.turned_to_teachers.lost / rho2)
    return Form(total / (4 * pi), length1 * (k * k1) + length2)


def _single(o: Point) -> tuple[arb, arb]:
    """The eigenvalues on the symmetric and on the antisymmetric matrices."""
    k, k2, rho1 = o.kappa, o.k2, o.rho1
    common = (2 * k * k * o.p + (o.pi - 2) * k * k * o.r1) / rho1 + 4 * o.own1
    common -= 2 * k * k * (o.students.angle + k * k2 * o.students.lost)
    common += 2 * k * k * (o.turned_teacher.lost - o.turned.lost * o.rho2) / rho1
    common += 2 * k**3 * k2 * o.teachers.lost / rho1 - 2 / (rho1 * o.teachers.sine)
    pairs = 4 * (o.a - k * k * o.beta) ** 2 / (o.l11 * o.students.sine)
    return (common + pairs) / (4 * o.pi), common / (4 * o.pi)
