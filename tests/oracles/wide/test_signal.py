"""Signal propagation against a referee's numbers: two independent methods, 25 digits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from studies import AGREE, assert_drawn, complete, module, verdicts
from wide_networks import activation, moments, propagation

from nnflow import Activation, UserError, torch
from nnflow.study.loading import load_study, study_file


def digits(value):
    """Half a unit of the last digit that is written."""
    _, _, decimals = value.partition(".")
    return 0.5 * 10.0 ** -len(decimals)


# σ, α_w, α_h, q*, χ₁, a, ξ_q, c*, b, ξ_c; the referee wrote .1300820923262 for the a of tanh
# (4, .3), which is not e^(−1/ξ_q) of the same row
TABLE = """
tanh 1.3 0.3 0.6070467919093 0.9398074286822 0.4735158698651 1.337667642539
    1 0.9398074286822 16.10817274348
tanh 2.5 0.3 4.079123875282 1.585224765006 0.2339220455826 0.6883414572368
    0.1221037473056 0.8222291727236 5.108918989167
tanh 4 0.3 12.60414949784 2.367261035546 0.1300821023262 0.4902947450770
    0.0296959215803 0.7597436050122 3.639351021509
tanh 1 0.3 0.276299192872 0.700258146603 0.473372825553 1.33712723348
    1 0.700258146603 2.80657454972
tanh 1.5 0.1 0.813322326873 1.129052698664 0.493802749738 1.41719513040
    0.180084211601 0.934856344032 14.8450758433
erf 1 0.3 0.3693531915024 0.8089299833830 0.4652481818034 1.306874711298
    1 0.8089299833830 4.716026519654
erf 1.5 0.2 1.141466051420 1.214300946622 0.3698830522787 1.005461265189
    0.2886546878758 0.8907609932913 8.644601445509
erf 3 0.3 6.983742990380 2.130301607798 0.1423286188834 0.5129213406436
    0.0550589600132 0.7666158297306 3.762659321787
relu 1 0.3 .18 .5 .5 1.44269504088896
    1 .5 1.44269504088896
relu 1.2 0.5 .892857142857143 .72 .72 3.04410234313819
    1 .72 3.04410234313819
leaky_relu 1 0.3 .181818181818182 .505 .505 1.46370698346925
    1 .505 1.46370698346925
leaky_relu 1.2 0.5 .916422287390029 .7272 .7272 3.13918779350574
    1 .7272 3.13918779350574
leaky_relu 1.4 0.1 .980392156862745 .9898 .9898 97.5383613230659
    1 .9898 97.5383613230659
gelu 1 0.3 0.128671774602 0.315071114513 0.342088065564 0.932238324465
    1 0.315071114513 0.865833171291
gelu 1.3 0.5 0.829650906303 0.750126191182 0.808547346984 4.705527165
    1 0.750126191182 3.47809353763
gelu 1.4 0.1 0.0203422474111 0.514389414447 0.526219862492 1.5575446618
    1 0.514389414447 1.5042690749
sine 1.3 0.3 .74428917444191 1.0357108255581 .38142165111618 1.0375060298
    .84394235594911 .96653721744085 29.38111015356
"""
NUMBERS = TABLE.split()
REFERENCE = {tuple(NUMBERS[i : i + 3]): NUMBERS[i + 3 : i + 10] for i in range(0, len(NUMBERS), 10)}


@pytest.mark.parametrize("network", REFERENCE, ids=str)
def test_reference_numbers_to_all_printed_digits(network):
    name, weights, biases = network
    maps = propagation(name, float(weights) ** 2, float(biases) ** 2)
    (point,) = maps.fixed_points()
    correlation = maps.fixed_correlation(point)
    found = [
        point.q,
        point.chi1,
        point.a,
        point.xi_q,
        correlation.c,
        correlation.b,
        correlation.xi_c,
    ]
    assert point.stable
    for number, printed in zip(found, REFERENCE[network], strict=True):
        # the printed digits are rounded; beyond 1e-12 relative float64 and the roots' noise end
        near = digits(printed) + number.error + 2e-13 * abs(number.value)
        assert abs(number.value - float(printed)) <= near, (number, printed)
        assert number.error <= 1e-10 * max(1, abs(number.value))


def test_a_slow_relu():
    """α_w² = 1.96: ξ = −1/ln .98."""
    maps = propagation("relu", 1.96, 0.01)
    (point,) = maps.fixed_points()
    assert point.q.value == pytest.approx(0.5, rel=1e-12)
    assert point.xi_q.value == pytest.approx(-1 / math.log(0.98), rel=1e-12)
    assert maps.correlation(0.5, 0.5) == pytest.approx(0.61681782542334, rel=1e-13)


@pytest.mark.parametrize(
    ("name", "weights", "biases", "c", "image"),
    [
        ("relu", 1, 0.3, 0, 0.6591549430919),
        ("relu", 1, 0.3, 0.5, 0.80449889052211),
        ("relu", 1.2, 0.5, 0.5, 0.71847840235185),
        ("leaky_relu", 1, 0.3, 0.5, 0.79164410132291),
        ("leaky_relu", 1.2, 0.5, 0.5, 0.69996750590499),
        ("leaky_relu", 1.4, 0.1, 0.5, 0.59162243859291),
        ("erf", 1, 0.3, 0.5, 0.6126261355958),
        ("erf", 1.5, 0.2, 0.5, 0.48066531307269),
    ],
)  # fmt: skip
def test_the_correlation_map(name, weights, biases, c, image):
    maps = propagation(name, weights**2, biases**2)
    (point,) = maps.fixed_points()
    assert float(maps.correlation(c, point.q.value)) == pytest.approx(image, abs=6e-14)


def test_three_fixed_points_of_gelu():
    maps = propagation("gelu", 1.99, 0.16)
    points = maps.fixed_points()
    assert [point.stable for point in points] == [True, False, True]
    for point, q, a, chi1 in zip(
        points,
        (1.261710457918, 3.869999657912, 13.44684112930),
        (0.983137771799, 1.003359327106, 0.997829608885),
        (0.933608772032, 1.006093307550, 1.017010403757),
        strict=True,
    ):
        assert point.q.value == pytest.approx(q, rel=1e-12)
        assert (point.a.value, point.chi1.value) == pytest.approx((a, chi1), abs=2e-12)
    last = maps.fixed_correlation(points[-1])
    assert last.c.value == pytest.approx(0.983269091507223, abs=1e-11)
    assert last.b.value == pytest.approx(0.984434285476293, abs=1e-11)
    assert last.xi_c.value == pytest.approx(63.74245085643, abs=1e-6)
    # basins meet at the unstable point
    assert points[0].basin[1] == points[1].q.value == points[2].basin[0]
    attracting = module("_signal").attracting
    assert attracting(points, 2.0) is points[0] and attracting(points, 5.0) is points[2]


def test_a_second_fixed_point_far_away():
    points = propagation("gelu", 2, 0.01).fixed_points()
    assert points[1].q.value == pytest.approx(1404.657, abs=5e-4)
    assert len(propagation("gelu", 2, 0.01).fixed_points((1e-8, 1e3))) == 1


def test_zero_is_stable_for_gelu_and_the_other_one_is_not():
    zero, other = propagation("gelu", 3, 0).fixed_points()
    assert (zero.q.value, zero.stable, other.stable) == (0, True, False)
    assert other.q.value == pytest.approx(0.247067168663, abs=5e-13)
    assert other.a.value == pytest.approx(1.1759057828, abs=5e-11)


def test_a_negative_slope():
    (point,) = propagation("cosine", 3, 0).fixed_points()
    assert point.q.value == pytest.approx(1.5655098600827, abs=5e-13)
    assert point.a.value == pytest.approx(-0.13101972016532, abs=5e-14)
    assert point.chi1.value == pytest.approx(1.4344901399173, abs=5e-13)
    assert point.xi_q.value == pytest.approx(-1 / math.log(0.13101972016532), rel=1e-12)


def test_hard_tanh_has_no_second_derivative():
    (point,) = propagation("hard_tanh", 1.69, 0.09).fixed_points()
    assert point.a.value == pytest.approx(0.3610964836, abs=5e-11)
    assert point.chi1.value == pytest.approx(1.178210739, abs=5e-10)


@pytest.mark.parametrize(("weights", "b"), [(1.2, 0.98420777872), (2.0, 0.88221538874)])
def test_odd_activations_without_biases_decorrelate(weights, b):
    maps = propagation("tanh", weights**2, 0)
    zero, point = maps.fixed_points()
    assert zero.stable is False and point.chi1.value > 1
    found = maps.fixed_correlation(point)
    assert found.c.value == 0 and found.b.value == pytest.approx(b, abs=5e-12)
    with pytest.raises(ValueError, match="does not exist at"):
        maps.fixed_correlation(zero)


def test_lengths_below_the_threshold_remember_correlations():
    """tanh, α_w² = .81, α_h = 0: c_k tends to a limit that depends on c₀, and not to 1."""
    maps = propagation("tanh", 0.81, 0)
    q, c = 1.0, 0.5
    for _ in range(300):
        q, c = float(maps.length(q)), float(maps.correlation(c, q))
        if q < 1e-12:
            break
    assert c == pytest.approx(0.45756823, abs=5e-8)


def test_the_critical_tanh_is_neither_stable_nor_unstable():
    maps = propagation("tanh", 1, 0)
    (zero,) = maps.fixed_points()
    assert zero.q.value == 0 and zero.stable is None and zero.xi_q.value == math.inf
    q = 1.0
    for _ in range(20_000):
        q = float(maps.length(q))
    assert 20_000 * q == pytest.approx(0.5, abs=2e-3)


def test_a_fixed_point_on_the_grid_is_found():
    """ReLU at (1, .05): q* = .1, a point of the grid from 1e-3 to 1e3, where ν(q) − q is 0."""
    (point,) = propagation("relu", 1, 0.05).fixed_points((1e-3, 1e3))
    assert point.q.value == pytest.approx(0.1, rel=1e-14) and point.stable


def test_a_line_of_fixed_points_is_none():
    """ReLU, α_w² = 2, α_h = 0: every q is fixed; rounding makes no roots of it."""
    points = propagation("relu", 2, 0).fixed_points()
    assert [point.q.value for point in points] == [0] and points[0].stable is None
    assert propagation("relu", 3, 0.1).fixed_points() == []
    quadrature = module("_moments").Quadrature(moments("relu").sigma)
    rounded = module("_signal").Propagation(quadrature, 2, 0).fixed_points((0.1, 10))
    assert [point.q.value for point in rounded] == [0]


@pytest.mark.parametrize(
    ("q", "weights", "biases"),
    [
        (0.1, 1.17756909616460, 8.32280424686315e-4),
        (0.5, 1.68797512057754, 0.0380412011112685),
        (1, 2.15330264890279, 0.150964629378553),
        (3, 3.42445663249368, 0.981491417707866),
    ],
)
def test_the_critical_line_of_tanh(q, weights, biases):
    found = module("_signal").critical_line(moments("tanh"), q)
    assert found == pytest.approx((weights, biases), abs=6e-15 * 10, rel=1e-13)


def test_the_critical_line_by_its_bias_variance():
    find = module("_signal").critical_weight_variance
    assert find(moments("tanh"), 0.05) == pytest.approx(1.760954639607, abs=5e-13)
    # erf and sine in closed form, q = 1
    q = 1.0
    for name, weights, biases in (
        ("erf", math.pi * math.sqrt(5) / 4, 1 - math.sqrt(5) / 2 * math.asin(2 / 3)),
        ("sine", 2 / (1 + math.exp(-2 * q)), q - math.tanh(q)),
    ):
        assert find(moments(name), biases) == pytest.approx(weights, rel=1e-12)


def test_slopes_off_a_fixed_point():
    maps = propagation("relu", 3, 0.1)
    assert maps.slopes(1.0)[1].value == 1.5
    assert maps.slope_at_one(1.0) == pytest.approx(1.5 / 1.6)


CLOSED = ("relu", "leaky_relu", "identity", "erf", "sine", "cosine", "gelu")


@given(
    name=st.sampled_from(CLOSED), q1=st.floats(1e-3, 20), q2=st.floats(1e-3, 20),
    c=st.floats(-0.9, 0.9),
)  # fmt: skip
def test_closed_forms_are_quadratures(name, q1, q2, c):
    closed = moments(name)
    quadrature = module("_moments").Quadrature(closed.sigma)
    scale = 1 + q1 + q2
    for found, expected in (
        (closed.single(q1), quadrature.single(q1)),
        (closed.pair(q1, q2, c), quadrature.pair(q1, q2, c)),
    ):
        error = np.abs(found[0] - expected[0])
        assert (error <= 1e-13 * scale).all()
        assert (error <= found[1] + expected[1]).all()  # the bounds hold


@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_next_to_equal_inputs(name):
    """At 1 − c = 1e-10 E σσ is E σ² − q(1 − c)E σ'² to the order 3/2, with no digits lost."""
    one = moments(name)
    gap = 1e-10
    value = one.pair(2.0, 2.0, 1 - gap)[0]
    single = one.single(2.0)[0]
    assert value[0] == pytest.approx(single[0] - 2 * gap * single[1], abs=1e-14)
    assert one.pair(2.0, 2.0, 1.0)[0] == pytest.approx(single[:2], rel=1e-14)


def test_hard_tanh_in_closed_form():
    closed = moments("hard_tanh")
    quadrature = module("_moments").Quadrature(closed.sigma)
    at = np.array([1e-3, 0.1, 1, 10, 100])
    assert np.abs(closed.single(at)[0] - quadrature.single(at)[0]).max() < 1e-14


def test_bounds_of_the_series_hold_where_it_converges_slowly():
    """|z| by Mehler's series near c = 1, against its closed form."""
    closed = moments("leaky_relu", slope=-1.0)
    value, error = module("_moments").Quadrature(closed.sigma).pair(1.0, 1.0, [0.99, 0.9999])
    apart = np.abs(value - closed.pair(1.0, 1.0, [0.99, 0.9999])[0])
    assert (apart <= error).all() and (error[:, 1] > 1e-13).all() and error.max() < 0.1


def test_an_activation_of_somebody_else():
    """Known to automatic differentiation alone: softplus has σ' = logistic."""
    soft = moments("softplus")
    logistic = moments("sigmoid")
    assert soft.single(1.3)[0][1] == pytest.approx(logistic.single(1.3)[0][0], rel=1e-13)
    assert soft.pair(1.3, 0.4, 0.3)[0][1] == pytest.approx(
        logistic.pair(1.3, 0.4, 0.3)[0][0], rel=1e-13
    )


class Growing(Activation):
    def __call__(self, values):
        return torch.exp(values**2)


class Broken(Activation):
    smooth = False

    def __call__(self, values):
        return values.abs()


class Steps(Activation):
    smooth, kinks = False, (0.0, 1.0)

    def __call__(self, values):
        return torch.where(values > 1, values, values.relu() / 2)


class Bent(Activation):
    smooth, kinks = False, (0.0,)

    def __call__(self, values):
        return values.abs()


Growing.name, Broken.name, Steps.name, Bent.name = "growing", "broken", "steps", "bent"


def test_a_second_moment_that_diverges_names_its_length():
    """E e^{2z²} = (1 − 4q)^(−1/2) exists for q < 1/4 only."""
    one = module("_moments").moments(Growing())
    assert one.single(0.1)[0][0] == pytest.approx((1 - 0.4) ** -0.5, rel=1e-12)
    with pytest.raises(UserError, match=r"^activation 'growing': .* diverges at q = 0.25"):
        one.single(0.25)


def test_kinks_must_be_said():
    with pytest.raises(UserError, match="neither `jump` nor `kinks`"):
        module("_moments").moments(Broken())


def test_a_step_has_no_chi1():
    """σ(1−) = ½, σ(1+) = 1: E σ'² is infinite, and automatic differentiation doesn't see it."""
    with pytest.raises(UserError, match=r"^activation 'steps': is not continuous at 1, so that"):
        module("_moments").moments(Steps())
    bent = module("_moments").moments(Bent())
    assert bent.single(0.7)[0] == pytest.approx([0.7, 1, 1], rel=1e-13)


def test_variances_are_not_negative():
    with pytest.raises(UserError, match="bias variances must be finite and not negative"):
        module("_phase_diagram").phase_diagram(moments("relu"), [1.0], [-0.1])
    with pytest.raises(UserError, match="weight variances must be finite"):
        module("_phase_diagram").phase_diagram(moments("relu"), [math.inf], [0.1])
    with pytest.raises(UserError, match="'hard_tanh' has kinks and no closed form"):
        module("_phase_diagram").phase_diagram(moments("hard_tanh"), [4.0], [0.1])


@pytest.mark.parametrize("name", ["tanh", "erf", "relu", "gelu", "sigmoid"])
def test_the_phase_diagram_is_that_of_single_networks(name):
    w, h = np.array([0.5, 1.3, 1.99, 2.3, 4.0]), np.array([0.0, 0.02, 0.16, 1.0])
    found = module("_phase_diagram").phase_diagram(moments(name), w, h)
    signal = module("_signal")
    for i, weights in enumerate(w):
        for j, biases in enumerate(h):
            maps = propagation(name, weights, biases)
            points = maps.fixed_points()
            assert found.count[i, j] == len(points)
            point = signal.attracting(points)
            if point is None:
                assert np.isnan(found.q[i, j]) and found.reason[i, j] == 1
                continue
            assert found.q[i, j] == pytest.approx(point.q.value, rel=1e-10)
            assert found.chi1[i, j] == pytest.approx(point.chi1.value, rel=1e-10)
            assert found.xi_q[i, j] == pytest.approx(point.xi_q.value, rel=1e-10, nan_ok=True)
            if point.q.value == 0:
                assert found.reason[i, j] == 2 and np.isnan(found.c[i, j])
                continue
            pair = maps.fixed_correlation(point)
            assert found.c[i, j] == pytest.approx(pair.c.value, rel=1e-10, abs=1e-10)
            assert found.xi_c[i, j] == pytest.approx(
                pair.xi_c.value, rel=1e-10, abs=pair.xi_c.error
            )


def test_cells_on_the_critical_point_are_named():
    found = module("_phase_diagram").phase_diagram(moments("relu"), [1.0, 2.0], [0.1])
    assert found.reason[:, 0].tolist() == [0, 1]
    line = module("_signal").critical_line(moments("erf"), 1.0)
    found = module("_phase_diagram").phase_diagram(moments("erf"), [line[0]], [line[1]])
    assert found.reason[0, 0] == 3 and found.xi_c[0, 0] == math.inf and found.c[0, 0] == 1


@pytest.mark.parametrize(
    ("pair", "uniform", "gaussian"),
    [((1, 0.5), 0.88750886, 0.86886873), ((1.69, 1), 1.88993265, 1.85636969),
     ((1.69, 0.09), 0.60908691, 0.60704679)],
)  # fmt: skip
def test_uniform_biases_have_another_map(pair, uniform, gaussian):
    # the referee wrote 1.88993263 for the second; 200 Gauss–Legendre nodes by 20,001 equal steps
    # with Brent's root give 1.8899326487
    found = module("_uniform_bias").fixed_length(moments("tanh").sigma, *pair)
    assert found == pytest.approx(uniform, abs=5e-9)
    (point,) = propagation("tanh", *pair).fixed_points()
    assert point.q.value == pytest.approx(gaussian, abs=5e-9)


@pytest.mark.parametrize(("start", "end"), [(0, 43.7197), (0.5, 43.6310), (-1, 43.7631)])
def test_the_critical_relu_converges_as_a_power(start, end):
    """k²(1 − c) at k = 2000; 9π²/2 = 44.413 in the limit."""
    maps, c = propagation("relu", 2, 0), start
    for _ in range(2000):
        c = float(maps.correlation(c, 1.0))
    assert 2000**2 * (1 - c) == pytest.approx(end, abs=5e-5)


def test_the_slope_of_gelu_is_largest_in_the_middle():
    """ν'/α_w² rises to .50429 and falls to ½: why there may be three fixed points. It does so at
    q = 3.375; a referee wrote 3.40."""
    q = np.linspace(0.1, 20, 2000)
    slope = moments("gelu").single(q)[0][2]
    assert slope.max() == pytest.approx(0.50429, abs=5e-6)
    assert q[slope.argmax()] == pytest.approx(3.375, abs=0.006)
    assert moments("gelu").single(1e6)[0][2] == pytest.approx(0.5, abs=1e-6)


def test_the_critical_line_of_tanh_near_its_end():
    """α_h² ≈ (4/3)q³ ≈ (α_w² − 1)³/6."""
    w, h = module("_signal").critical_line(moments("tanh"), 1e-3)
    assert h / (4 / 3 * 1e-9) == pytest.approx(1, abs=0.02)
    assert h / ((w - 1) ** 3 / 6) == pytest.approx(1, abs=0.02)


def test_a_is_the_lectures_formula_where_sigma_is_smooth():
    """a = χ₁ + α_w² E σσ''; for hard tanh, whose σ'' is a distribution, the formula without it
    gives χ₁, which is not a."""
    for name in ("tanh", "erf", "gelu", "sine"):
        maps = propagation(name, 1.69, 0.09)
        (point,) = maps.fixed_points()
        q, sigma = point.q.value, activation(name)
        s = np.linspace(-12, 12, 6001)
        z = torch.as_tensor(np.sqrt(q) * s).requires_grad_(True)
        (slope,) = torch.autograd.grad(sigma(z).sum(), z, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), z)
        weights = np.exp(-(s**2) / 2) / np.sqrt(2 * np.pi) * (s[1] - s[0])
        formula = point.chi1.value + 1.69 * weights @ (sigma(z) * bend).detach().numpy()
        assert formula == pytest.approx(point.a.value, abs=1e-12)
    (point,) = propagation("hard_tanh", 1.69, 0.09).fixed_points()
    assert point.chi1.value - point.a.value > 0.8


def test_gauss_hermite_is_no_substitute():
    """Why not: at α_w = 4, 301 nodes err by 8e-4 in χ₁."""
    x, w = np.polynomial.hermite_e.hermegauss(301)
    slope = 16 * (w @ (1 - np.tanh(np.sqrt(12.604149) * x) ** 2) ** 2) / np.sqrt(2 * np.pi)
    exact = propagation("tanh", 16, 0.09).slopes(12.604149)[1].value
    assert 5e-4 < abs(slope - exact) < 2e-3


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    study = load_study(study_file("signal_propagation", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("signal"))


CORRECTED = {"tanh_fixed_point", "normal_sums"}


def test_every_claim_holds_or_is_corrected(done):
    found = verdicts(done)
    assert {name for name, verdict in found.items() if verdict == "corrected"} == CORRECTED
    assert {found[name] for name in found if name not in CORRECTED} <= AGREE, found


def test_figures_show_data(done):
    figures = ("signal_maps", "signal_phase_diagram", "signal_circle", "signal_answers")
    assert_drawn(done.folder, figures)


def test_the_circle_shrinks_or_crumples(done):
    circle = done.read["signal_maps"]["circle_correlation"]
    ordered, chaotic = (circle.sel(network=f"tanh {w} 0.09", layer=15) for w in ("1", "6.25"))
    assert float(ordered.min()) > 0.97
    c = done.read["signal_fixed_points"]
    fixed = float(c["c"].values[list(c["network"].values).index("tanh 6.25 0.09")])
    assert float(chaotic.median()) == pytest.approx(fixed, abs=0.1)
