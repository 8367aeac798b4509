"""Do the parts of a study fit together? Models of analyses, and columns of claims."""

import pytest

from nnflow.base.errors import UserError
from nnflow.study.loading import load_study

PLUGINS = '''
import nnflow


class Flat(nnflow.Model):
    """No loss."""

    def shapes(self):
        return {"w": (1,)}

    def loss(self, weights, data):
        return 0 * weights["w"][:, 0]


class Flatter(Flat):
    """No loss either, by another name."""


class AboutFlat(nnflow.Analysis):
    """Knows flat networks alone."""

    models = ("flat", "nowhere")
    columns = {"loss": "the loss"}


class AboutAll(nnflow.Analysis):
    """Knows no network."""

    columns = {"share": "a share"}


class Silent(nnflow.Analysis):
    """Announces no columns."""


@nnflow.hookimpl
def nnflow_register(register):
    register("flat", Flat)
    register("flatter", Flatter)
    register("about_flat", AboutFlat)
    register("about_all", AboutAll)
    register("silent", Silent)
'''

ROUND = '''
import nnflow


class Round(nnflow.Model):
    """A model of another kind."""

    def shapes(self):
        return {"w": (1,)}

    def loss(self, weights, data):
        return weights["w"][:, 0] ** 2


@nnflow.hookimpl
def nnflow_register(register):
    register("round", Round)
'''

STUDY = """
title: One
model: {name: flat}
initializer: {name: zero}
optimizer: {name: still}
"""

CLAIM = "{claim: one, statement: So, source: here, value: VALUE, published: 1}"

PARTS = '''
import nnflow


class Zero(nnflow.Initializer):
    """Nothing."""

    def weights(self, shapes, streams):
        return {}


class Still(nnflow.Optimizer):
    """Rests."""

    def start(self, weights, scale):
        return {}

    def step(self, objective, weights, state):
        return weights, state


@nnflow.hookimpl
def nnflow_register(register):
    register("zero", Zero)
    register("still", Still)
'''


@pytest.fixture
def load(plugins, tmp_path):
    plugins.write("flat.py", PLUGINS)
    plugins.write("round.py", ROUND)
    plugins.write("parts.py", PARTS)

    def loaded(extra, text=STUDY):
        file = tmp_path / "one.yaml"
        file.write_text(text + extra, encoding="utf-8")
        return load_study(file)

    return loaded


@pytest.mark.parametrize("model", ["flat", "flatter"])
def test_an_analysis_takes_its_models_and_what_is_derived_from_them(load, model):
    study = load("analyses: [about_flat, about_all]", STUDY.replace("flat", model))
    assert set(study.settings.analyses) == {"about_flat", "about_all"}


def test_an_analysis_refuses_another_model_before_any_job(load):
    message = (
        r"one\.yaml: analyses\.about_flat: is about the model 'flat' or 'nowhere'"
        r" \(the study has 'round' at all\)$"
    )
    with pytest.raises(UserError, match=message):
        load("analyses: [about_flat, about_all]", STUDY.replace("flat", "round"))
    with pytest.raises(UserError, match=r"\(the study has 'round' at model.name=round\)"):
        load("analyses: [about_flat]\nsweep: {model.name: [flat, round]}")
    with pytest.raises(UserError, match=r"\(the study has none at all\)"):
        load("analyses: [about_flat]", "title: One\n")
    load("analyses: [about_all]", STUDY.replace("flat", "round"))


def test_a_claim_on_a_column_that_no_analysis_announces(load):
    for column in ("loss", "share", "share_low", "share_high"):
        load(f"analyses: [about_flat, about_all]\nclaims: [{CLAIM.replace('VALUE', column)}]")
    with pytest.raises(UserError, match=r"claims\.one: no analysis gives the column 'shar' \(did"):
        load(f"analyses: [about_flat, about_all]\nclaims: [{CLAIM.replace('VALUE', 'shar')}]")
    # what an analysis that announces nothing gives is known once it has run
    load(f"analyses: [about_flat, silent]\nclaims: [{CLAIM.replace('VALUE', 'shar')}]")


def test_two_claims_of_one_name(load):
    claim = CLAIM.replace("VALUE", "loss")
    with pytest.raises(UserError, match=r"claims: two are named 'one'; rename one"):
        load(f"analyses: [about_flat]\nclaims: [{claim}, {claim}]")
    load(f"analyses: [about_flat]\nclaims: [{claim}, {claim.replace('one', 'two')}]")


FOUND = """
title: t
analyses: {about_all: }
sweep: {runs: [1, 2]}
scales: {paper: {sweep: {runs: [3]}}}
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("findings: ['{share} of {shar:.0%}']",
         r"findings\.0: no analysis gives the column 'shar' \(did you mean 'share'\?\)"),
        ("findings: ['no number', '{share[runs=4]}']",
         r"findings\.1: no configuration 'runs=4' \(did you mean"),
        ("findings: ['{share.middle}']", r"findings\.0: \{share\.middle\}: expected \{column\}"),
        ("findings: ['{share']", r"findings\.0: expected '\}'"),
        ("findings: ['{share:wide}']", r"findings\.0: .*'wide' is no format of a number"),
        ("findings: {a: b}", "findings: "),
        ("headline_figure: shore", r"headline_figure: no figure 'shore'"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_finding_is_one_line(tmp_path, plugins, text, reason):
    plugins.write("all.py", PLUGINS)
    file = tmp_path / "study.yaml"
    file.write_text(FOUND + text)
    with pytest.raises(UserError, match=reason) as caught:
        load_study(file)
    assert "\n" not in str(caught.value)


def test_findings_may_be_about_a_configuration_of_another_scale(tmp_path, plugins):
    plugins.write("all.py", PLUGINS)
    file = tmp_path / "study.yaml"
    file.write_text(FOUND + "findings: ['{share_low[runs=3]:.0%}', '{share_high.max}']")
    for scale in ("quick", "paper"):
        assert len(load_study(file, scale).settings.findings) == 2


BOUND = '''
import nnflow


class Bound(nnflow.Model):
    """Half the square of a coordinate on the circle."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return weights["w"][:, 0] ** 2 / 2

    def manifold(self):
        return nnflow.Spheres(1, 2)


class Glides(nnflow.Optimizer):
    """Rests on the circle."""

    keeps_manifold = True

    def start(self, weights, scale):
        return {}

    def step(self, objective, weights, state):
        return weights, state


@nnflow.hookimpl
def nnflow_register(register):
    register("bound", Bound)
    register("glides", Glides)
'''


def test_weights_that_are_not_free_have_only_the_hessian(load, plugins):
    plugins.write("bound.py", BOUND)
    bound = STUDY.replace("flat", "bound").replace("still", "glides")
    assert load("", bound).configurations
    with pytest.raises(
        UserError, match=r"spectrum\.curvature: the weights of the model 'bound' are"
    ):
        load("spectrum: {curvature: gauss_newton}", bound)


@pytest.mark.parametrize("missing", ["model", "initializer"])
def test_the_part_that_is_missing_is_named(load, missing):
    text = "".join(line for line in STUDY.splitlines(True) if not line.startswith(missing))
    with pytest.raises(UserError, match=f"{missing}: this key is missing"):
        load("", text)
