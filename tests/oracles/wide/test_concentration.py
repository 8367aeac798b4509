"""Concentration of means against exact tails and a referee's numbers."""

import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from handmade import Between, Handmade, analysis, assert_columns
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import UserError
from nnflow.study.loading import load_study, study_file

X = Fraction("0.3")
ATOMS = {"values": [-1, 0.5, 2], "probabilities": [1 / 2, 1 / 3, 1 / 6]}
SETTINGS = {name: {} for name in ("signs", "gaussian", "exponential", "uniform", "laplace")}
SETTINGS["atoms"] = ATOMS


def law(name):
    return module("_laws").Law(name=name, **SETTINGS.get(name, {}))


@pytest.mark.parametrize(
    ("name", "n", "x", "tail"),
    [
        ("signs", 50, X, 0.0164195687821342),
        ("signs", 200, X, 6.92872578618e-6),
        ("signs", 1000, X, 4.32148153260e-22),
        ("gaussian", 50, X, 0.0169474267623446),
        ("gaussian", 200, X, 1.10452484993e-5),
        ("gaussian", 1000, X, 1.19080008220e-21),
        ("exponential", 50, X, 0.0235123978098087),
        ("exponential", 200, X, 4.75001244430e-5),
        ("exponential", 1000, X, 1.87361557158e-18),
        ("gaussian", 1000, Fraction("0.36"), 2.5063193567971e-30),
    ],
)
def test_exact_tails(name, n, x, tail):
    assert law(name).tail(n, x) == pytest.approx(tail, rel=2e-12)


def test_tails_of_signs_by_counting():
    for n in range(1, 12):
        for x in (Fraction(0), Fraction(1, 3), X, Fraction(1)):
            for strict in (True, False):
                sums = [(2 * k - n, math.comb(n, k)) for k in range(n + 1)]
                count = sum(c for s, c in sums if (s > n * x if strict else s >= n * x))
                assert law("signs").tail(n, x, strict) == pytest.approx(count / 2**n, abs=1e-15)


def test_strict_and_weak_are_told_apart_by_whole_numbers():
    threshold = module("_laws").threshold
    assert 0.3 * 200 == 60.0 and 0.29 * 100 < 29  # floating point would be wrong by chance
    assert threshold(200, X, True) == 62 and threshold(200, X, False) == 60
    assert threshold(100, Fraction("0.29"), False) == 30
    assert [threshold(n, X, True) for n in (50, 1000)] == [16, 302]
    signs = law("signs")
    for n, strict, weak in ((200, 0.0593992, 0.0561521), (1000, 0.0491933, 0.0485677)):
        found = [-math.log(signs.tail(n, X, s)) / n for s in (True, False)]
        assert found == pytest.approx((strict, weak), abs=6e-8)


@pytest.mark.parametrize(("n", "ratio"), [(50, 0.90499), (200, 0.96724), (1000, 0.99230)])
def test_the_lattice_formula(n, ratio):
    log = module("_deviations").log_lattice(n, X)
    assert law("signs").tail(n, X) / math.exp(log) == pytest.approx(ratio, abs=5e-6)


@pytest.mark.parametrize(("n", "ratio"), [(50, 0.844), (200, 0.676), (1000, 0.712)])
def test_the_formula_for_densities_fails_on_a_lattice(n, ratio):
    log, _ = module("_deviations").log_prefactor(law("signs"), n, 0.3)
    assert law("signs").tail(n, X) / math.exp(log) == pytest.approx(ratio, abs=5e-4)


def test_the_next_order():
    prefactor = module("_deviations").log_prefactor
    for name, order in (("gaussian", -1 / 0.09), ("exponential", -14.5278)):
        n = 100_000
        log, found = prefactor(law(name), n, 0.3)
        assert found == pytest.approx(order, abs=5e-5)
        if name == "gaussian":  # ln P of the exact tail underflows: its own asymptotic series
            z = 0.3 * math.sqrt(n)
            exact = -z * z / 2 - math.log(z * math.sqrt(2 * math.pi))
            assert log == pytest.approx(exact, rel=1e-12)
    for n in (200, 1000):
        log, order = prefactor(law("exponential"), n, 0.3)
        ratio = law("exponential").tail(n, X) / math.exp(log)
        assert ratio == pytest.approx(1 + order / n, abs=400 / n**2 * 1.5)


def test_a_normal_law_of_another_scale():
    wide = module("_laws").Law(name="gaussian", scale=2.0)
    log, order = module("_deviations").log_prefactor(wide, 400, 0.3)
    assert module("_deviations").rate(wide, 0.3) == pytest.approx(0.09 / 8)
    assert order == pytest.approx(-4 / 0.09)
    assert wide.tail(400, X) / math.exp(log) == pytest.approx(1 + order / 400, abs=0.03)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [("uniform", 0.6, 0.6168797340625), ("laplace", 1.0, 0.2259871559135),
     ("signs", 1.0, math.log(2)),
     ("signs", 1.01, math.inf), ("uniform", 1.0, math.inf), ("atoms", 2.0, math.log(6)),
     ("gaussian", 0.3, 0.045), ("signs", 0.3, 0.0457005)],
)  # fmt: skip
def test_rates(name, x, expected):
    rel = 2e-6 if x == 0.3 else 1e-12
    assert module("_deviations").rate(law(name), x) == pytest.approx(expected, rel=rel)


@given(name=st.sampled_from(sorted(SETTINGS)), t=st.floats(0.02, 0.8))
def test_cumulants_are_derivatives(name, t):
    one, step = law(name), 1e-4
    higher = (one.cumulants(t + step) - one.cumulants(t - step)) / (2 * step)
    found = one.cumulants(t)
    tolerance = 1e-3 if name == "laplace" else 1e-6
    for order in range(4):
        scale = 1 + abs(found[order + 1])
        assert abs(higher[order] - found[order + 1]) <= tolerance * scale


def test_the_series_of_the_uniform_law_meets_its_closed_form():
    one = law("uniform")
    assert one.cumulants(0.1 - 1e-12) == pytest.approx(one.cumulants(0.1 + 1e-12), abs=1e-10)
    assert one.cumulants(0.0) == pytest.approx((0, 0, 1 / 3, 0, -2 / 15), abs=1e-15)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_tilted_sums_have_the_tilted_mean_and_variance(name):
    one, t, n, runs = law(name), 0.4, 30, 40_000
    sums = one.tilted_sums(np.random.default_rng(3), t, n, runs)
    _, m, v, *_ = one.cumulants(t)
    assert abs(sums.mean() / n - m) < 4 * math.sqrt(v / n / runs)
    assert sums.var() / n == pytest.approx(v, rel=0.04)


@pytest.mark.parametrize("name", ["signs", "gaussian", "exponential"])
def test_importance_sampling_measures_the_tail(name):
    one, generator, hits = law(name), np.random.default_rng(4), 0
    exact = math.log(one.tail(1000, X))
    for _ in range(40):
        value, low, high = module("_deviations").sampled_log_tail(one, generator, 1000, X, 4000)
        hits += low < exact < high
        assert abs(value - exact) < 0.3
    assert hits >= 36  # of 40 intervals at 99 %


def test_importance_sampling_without_a_closed_form():
    """Laplace at n = 1: P(ξ > x) = e^{−x}/2; two atoms of a biased coin: the binomial."""
    sampled = module("_deviations").sampled_log_tail
    found = sampled(law("laplace"), np.random.default_rng(5), 1, Fraction(8), 200_000)
    assert found[1] < math.log(math.exp(-8) / 2) < found[2]
    coin = module("_laws").Law(name="atoms", values=[-1, 3], probabilities=[0.75, 0.25])
    from scipy.special import bdtrc

    exact = math.log(bdtrc(55, 100, 0.25))  # η > 122, where each success is worth 4
    found = sampled(coin, np.random.default_rng(6), 100, Fraction("1.22"), 200_000)
    assert found[1] < exact < found[2]


def test_laws_that_are_none():
    with pytest.raises(UserError, match="no moment generating function"):
        law("student").cumulants(0.1)
    with pytest.raises(ValidationError, match="'student' has no moment generating function"):
        analysis("concentration", laws=[{"name": "student"}])
    make = module("_laws").Law
    with pytest.raises(ValidationError, match="must add up to 1, and the mean must be 0"):
        make(name="atoms", values=[0, 1], probabilities=[0.5, 0.5])
    with pytest.raises(ValidationError, match="one for each of the values"):
        make(name="atoms", values=[-1, 1], probabilities=[1.0])
    with pytest.raises(ValidationError, match="of `atoms`, and of no other law"):
        make(name="signs", values=[1], probabilities=[1.0])


def test_columns_of_concentration():
    """Exact columns by the formulas above; measured ones hold the exact number."""
    laws = [{"name": "signs"}, {"name": "gaussian"}]
    plugin = analysis("concentration", laws=laws, n=[50, 200], runs=2000)
    signs, normal = law("signs"), law("gaussian")
    deviations = module("_deviations")
    lattice = signs.tail(200, X) / math.exp(deviations.log_lattice(200, X))
    density = normal.tail(200, X) / math.exp(deviations.log_prefactor(normal, 200, 0.3)[0])
    log = math.log10(normal.tail(200, Fraction("0.36")))
    rare = Between(log - 0.2, log + 0.2)
    expected = {
        "rate_error": [Between(0, 1e-12)],
        "signs_weak_exponent": [-math.log(signs.tail(200, X, False)) / 200],
        "signs_rate_at_one": [math.log(2)],
        "distance_of_signs": [pytest.approx(math.comb(200, 100) / 2**201 * math.sqrt(200))],
        "distance_of_exponential": [pytest.approx(0.13298, rel=0.01)],
        "rarest": [(rare, rare, rare)],
        "rarest_ratio": [(Between(0.8, 1.2), Between(0.5, 1), Between(1, 1.5))],
        "signs_density_ratio": [pytest.approx(0.676, abs=5e-4)],
        "signs_rate": [(1.3 * math.log(1.3) + 0.7 * math.log(0.7)) / 2], "gaussian_rate": [0.045],
        "signs_exponent": [-math.log(signs.tail(200, X)) / 200],
        "gaussian_exponent": [-math.log(normal.tail(200, X)) / 200],
        "signs_ratio": [lattice], "gaussian_ratio": [density],
        "signs_next": [200 * (lattice - 1)], "gaussian_next": [200 * (density - 1)],
        **{f"{name}_spread_slope": [(Between(-0.6, -0.4), Between(-0.7, -0.5), Between(-0.5, -0.3))]
           for name in ("signs", "gaussian")},
        **{f"{name}_sampled": [(Between(0.9, 1.1), Between(0.8, 1), Between(1, 1.2))]
           for name in ("signs", "gaussian")},
    }  # fmt: skip
    assert_columns(plugin, Handmade(), expected)


def test_distances_from_the_normal_law():
    """Both sides of every jump of ±1 sums, by counting; Γ(n) by its series for whole n."""
    distance = module("concentration")._distance
    phi = lambda y: (1 + math.erf(y / math.sqrt(2))) / 2  # noqa: E731
    for n in (1, 2, 3, 6):
        jumps = [(2 * k - n) / math.sqrt(n) for k in range(n + 1)]
        below = np.cumsum([math.comb(n, k) / 2**n for k in range(n + 1)])
        gaps = [abs(below[k] - phi(y)) for k, y in enumerate(jumps)]
        gaps += [abs(below[k - 1] - phi(y)) for k, y in enumerate(jumps) if k]
        assert distance(law("signs"), n) == pytest.approx(max(gaps), abs=1e-12)

    def exponential(n, y):
        x = max(n + y * math.sqrt(n), 0)
        return 1 - math.exp(-x) * sum(x**k / math.factorial(k) for k in range(n))

    for n in (1, 4):
        y = np.linspace(-4, 4, 4001)
        expected = max(abs(exponential(n, at) - phi(at)) for at in y)
        assert distance(law("exponential"), n) == pytest.approx(expected, abs=1e-5)
    assert distance(law("gaussian"), 5) == 0
    assert math.isnan(distance(law("laplace"), 5))


def test_slopes_of_spreads_are_weighted_by_their_intervals():
    """3/√n for n = 1, 4, 16, 10 % on either side: the pull of the ends is ∓1/(2 ln 4)."""
    spread = 3 / np.sqrt([1.0, 4.0, 16.0])
    found = {"spread": spread, "spread_low": 0.9 * spread, "spread_high": 1.1 * spread}
    found = {name: SimpleNamespace(values=values) for name, values in found.items()}
    value, low, high = module("concentration")._slope(np.log([1, 4, 16]), found)
    half = 0.1 * math.sqrt(2) / (2 * math.log(4))
    assert (value, low, high) == pytest.approx((-0.5, -0.5 - half, -0.5 + half))


def test_geometric_means_of_ratios():
    together = module("concentration")._together
    found = together(np.log([2.0, 8.0]), np.array([0.3, 0.4]))
    assert found == pytest.approx((4, 4 * math.exp(-0.25), 4 * math.exp(0.25)))


def numbers(exact):
    """Of one law over n = 10, 50, 100; the first-order formula is 1 below what is sampled last."""
    values = {
        "log_exact": exact, "log_sampled": [-3.0, -9.0, -20.0],
        "log_sampled_low": [-3.5, -9.5, -20.5], "log_sampled_high": [-2.5, -8.5, -19.0],
        "log_first": [-3.0, -9.0, -21.0], "spread": [1.0, 0.2, 0.1],
        "spread_low": [1.0, 0.2, 0.1], "spread_high": [1.0, 0.2, 0.1],
    }  # fmt: skip
    return {name: SimpleNamespace(values=np.array(value)) for name, value in values.items()}


def test_columns_of_a_law_whose_tail_is_known_and_of_one_where_it_is_not():
    plugin = analysis("concentration", laws=[{"name": "gaussian"}], n=[10, 50, 100])
    known = plugin._columns(law("gaussian"), numbers([-3.5, -9.0, -20.5]))
    ratio = math.exp(0.5)
    spread = known.pop("gaussian_spread_slope")
    assert spread == pytest.approx((-1, -1, -1))
    middle, half = math.exp(1 / 3), math.sqrt(2 * 0.5**2 + 0.75**2) / 3
    assert known.pop("gaussian_sampled") == pytest.approx(
        (middle, middle * math.exp(-half), middle * math.exp(half))
    )
    assert known == pytest.approx(
        {
            "gaussian_rate": 0.045,
            "gaussian_exponent": 0.205,
            "gaussian_ratio": ratio,
            "gaussian_next": 100 * (ratio - 1),
        }
    )
    # one n without an exact tail is one too many
    sampled = plugin._columns(law("gaussian"), numbers([-3.5, -9.0, -math.inf]))
    ends = [math.exp(1.0), math.exp(0.5), math.exp(2.0)]
    assert sampled["gaussian_exponent"] == pytest.approx((0.2, 0.19, 0.205))
    assert sampled["gaussian_ratio"] == pytest.approx(tuple(ends))
    assert sampled["gaussian_next"] == pytest.approx(tuple(100 * (end - 1) for end in ends))
    assert "gaussian_sampled" not in sampled


def test_arrays_of_concentration():
    """ln of the formulas' first two orders, at every n; the lattice formula of ±1 has one."""
    laws = [{"name": "signs"}, {"name": "exponential"}, {"name": "uniform"}]
    found = analysis("concentration", laws=laws, n=[50, 200], runs=300).compute(Handmade())
    deviations = module("_deviations")
    for place, n in enumerate((50, 200)):
        signs, normal = (found.sel(law=name).isel(n=place) for name in ("signs", "exponential"))
        density, order = deviations.log_prefactor(law("exponential"), n, 0.3)
        assert normal["log_first"] == normal["log_density_formula"] == pytest.approx(density)
        assert normal["log_second"].item() == pytest.approx(density + math.log(1 + order / n))
        assert normal["log_exact"].item() == pytest.approx(math.log(law("exponential").tail(n, X)))
        assert signs["log_first"].item() == pytest.approx(deviations.log_lattice(n, X))
        assert np.isnan(signs["log_second"])
        density, _ = deviations.log_prefactor(law("signs"), n, 0.3)
        assert signs["log_density_formula"].item() == pytest.approx(density)
        # E|η_n|/n of ±1: binomials
        expected = sum(abs(2 * k - n) * math.comb(n, k) for k in range(n + 1)) / 2**n / n
        assert signs["spread_low"] < expected < signs["spread_high"]
        assert signs["spread"].item() == pytest.approx(expected, rel=0.2)
    order = deviations.log_prefactor(law("exponential"), 50, 0.3)[1]
    assert found["next_order"].sel(law="exponential").item() == pytest.approx(order)
    assert np.isnan(found["next_order"].sel(law="signs"))
    assert np.isnan(found["log_exact"].sel(law="uniform")).all()
    # rates up to 2, or to where the law ends
    for name, highest in (("signs", 1), ("exponential", 2)):
        points = found["x_of_rate"].sel(law=name).values
        assert (len(points), points[0], points[-1]) == (80, 0.01, pytest.approx(highest - 0.005))
        rates = found["rate"].sel(law=name).values
        assert rates[40] == pytest.approx(deviations.rate(law(name), points[40]))


def test_errors_of_rates_are_the_largest(monkeypatch):
    """I(x) of Exp(1) − 1 too small by a half at one x, by a tenth at another one."""
    part = module("concentration")
    honest = part.rate

    def wrong(one, x):
        off = {0.3: 0.5, 0.9: 0.9}.get(x, 1) if one.name == "exponential" else 1
        return off * honest(one, x)

    monkeypatch.setattr(part, "rate", wrong)
    plugin = analysis("concentration", laws=[{"name": "signs"}], n=[50, 200, 1000], runs=100)
    found = plugin._more(X, SimpleNamespace())
    assert found["rate_error"] == pytest.approx(0.5)
    # of the largest n
    assert found["signs_weak_exponent"] == pytest.approx(0.0485677, abs=6e-8)


def test_the_rarest_event_is_that_of_the_largest_n(monkeypatch):
    part, asked = module("concentration"), []

    def sampled(one, generator, n, x, runs):
        asked.append((one.name, n, x, runs))
        return (-69.0, -70.0, -68.0)

    monkeypatch.setattr(part, "sampled_log_tail", sampled)
    plugin = analysis("concentration", laws=[{"name": "signs"}], n=[50, 200, 1000], runs=100)
    found = plugin._rare(Handmade())
    assert asked == [("gaussian", 1000, Fraction("0.36"), 100)]
    ten = math.log(10)
    assert found["rarest"] == pytest.approx((-69 / ten, -70 / ten, -68 / ten))
    exact = law("gaussian").tail(1000, Fraction("0.36"))
    assert found["rarest_ratio"] == pytest.approx(
        tuple(math.exp(log) / exact for log in (-69, -70, -68))
    )


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    study = load_study(study_file("concentration", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("concentration"))


def test_every_claim_holds(done):
    found = verdicts(done)
    assert set(found.values()) <= AGREE, found


def test_the_figure_shows_data(done):
    assert_drawn(done.folder, ("concentration",))
