"""nnflow plugins --check: sound plugins pass, and each fault is found."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

from nnflow.base.errors import UserError
from nnflow.checks.contract_tests import check_model, check_optimizer
from nnflow.checks.plugin_report import (
    Subject,
    _samples,
    check_plugin,
    check_plugins,
    chosen,
    list_plugins,
)
from nnflow.interfaces import Dataset, registry
from nnflow.interfaces.constraints import Box

HEAD = """
import torch as T
import numpy as np
from pydantic import PositiveFloat
import nnflow
from nnflow import *
"""
HOOK = """
@nnflow.hookimpl
def nnflow_register_{kind}(register):
    register("it", It)
"""

MODEL = '''
class It(Model):
    """A valley."""

    depth: float = 1.0
    """How deep."""

    varies = ("depth",)

    def shapes(self):
        return {"w": (2,), "b": ()}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        w, b = weights["w"], weights["b"]
        return (w**4).sum(1) / 4 + w[:, 0] * w[:, 1] * b / 8 + 2 + b * b

    def gradient(self, weights, data):
        w, b = weights["w"], weights["b"]
        return {"w": w**3 + w.flip(1) * b[:, None] / 8, "b": w[:, 0] * w[:, 1] / 8 + 2 * b}

    def hessian(self, weights, data):
        w, b = weights["w"], weights["b"]
        h = T.zeros(len(w), 3, 3, dtype=w.dtype)
        h[:, 0, 0], h[:, 1, 1], h[:, 2, 2] = 3 * w[:, 0] ** 2, 3 * w[:, 1] ** 2, 2
        h[:, 0, 1] = h[:, 1, 0] = b / 8
        h[:, 0, 2] = h[:, 2, 0] = w[:, 1] / 8
        h[:, 1, 2] = h[:, 2, 1] = w[:, 0] / 8
        return h

    def third_derivative_bound(self, weights, radius):
        return 6 * (weights["w"].abs().amax(1) + radius) + 1

    def invariants(self, weights):
        return weights["w"].abs().sort(dim=1).values

    def canonical(self, weights):
        return {"w": weights["w"].sort(dim=1).values, "b": weights["b"]}

    def observables(self, weights, data):
        return {"norm": weights["w"].norm(dim=1)}
'''
OPTIMIZER = '''
class It(Optimizer):
    """A noisy step."""

    rate: PositiveFloat = 0.1
    """Rate."""

    varies = ("rate",)

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None], "t": T.zeros(len(weights))}

    def step(self, objective, weights, state):
        noise = T.as_tensor(objective.streams.normal(weights.shape[1]))
        moved = weights - state["rate"] * objective.gradient(weights) + 0.01 * noise
        return moved, {**state, "t": state["t"] + 1}
'''
INITIALIZER = '''
class It(Initializer):
    """Normal weights."""

    spread: PositiveFloat = 1.0
    """Deviation."""

    varies = ("spread",)

    def draw(self, shapes, streams):
        sizes = [int(np.prod(shape)) for shape in shapes.values()]
        return {name: (self.spread * streams.normal(sizes[i], draw=i)).reshape(-1, *shape)
                for i, (name, shape) in enumerate(shapes.items())}
'''
ACTIVATION = '''
class It(Activation):
    """The square."""

    def __call__(self, values):
        return values * values
'''
LOSS = '''
class It(Loss):
    """Squares."""

    def __call__(self, outputs, targets):
        return (outputs - targets).square().sum(-1)
'''
DATASET = '''
class It(Dataset):
    """Numbers."""

    def load(self, folder):
        return {"inputs": np.ones((5, 2)), "targets": np.zeros(5, dtype=int)}
'''
FIGURE = '''
class It(Figure):
    """A picture."""

    needs = ("training", "summary")
'''
ANALYSIS = '''
class It(Analysis):
    """A table."""

    needs = ("training",)
'''
KINDS = {
    "models": MODEL,
    "optimizers": OPTIMIZER,
    "initializers": INITIALIZER,
    "activations": ACTIVATION,
    "losses": LOSS,
    "datasets": DATASET,
    "figures": FIGURE,
    "analyses": ANALYSIS,
}

FAULTS = [
    ("models", "How deep.", "", "settings are documented"),
    ("models", '"""A valley."""', "", "docstring"),
    ("models", "w**3 +", "1.001 * w**3 +", "gradient: closed form against automatic"),
    ("models", "w**3 +", "1.001 * w**3 +", "gradient: against finite differences"),
    (
        "models",
        "/ 8 + 2 + b",
        "/ 8 + T.full((), 2.0).item() * T.rand(()).item() + b",
        "determinism: loss and gradient",
    ),
    ("models", "+ 2 + b * b", "+ 2 + (b * b).sum()", "batch against single runs: loss"),
    ("models", "= b / 8", "= b / 9", "Hessian: closed form against automatic"),
    ("models", "= h[:, 1, 0] = b / 8", "= b / 8", "Hessian: symmetric"),
    ("models", "= w[:, 0] / 8\n", "= w[:, 0] / 9\n", "Hessian: against finite differences"),
    ("models", "return 6 *", "return 0.01 *", "third-derivative bound holds"),
    ("models", "return 0.0", "return 99.0", "loss at or above the infimum"),
    ("models", '["w"].sort(dim=1).values,', '["w"] * 2,', "canonical form: the same loss"),
    (
        "models",
        '["w"].abs().sort(dim=1).values',
        '["w"]',
        "invariants: the same at the canonical form",
    ),
    (
        "models",
        'weights["w"].norm(dim=1)',
        'weights["w"].norm()',
        "observables: run is the first axis",
    ),
    (
        "models",
        'return {"w": w**3',
        'b.mul_(1.5); return {"w": w**3',
        "arguments are left as they are",
    ),
    ("models", "(w**4).sum(1) / 4", "(w**4).sum(1)[:, None]", "loss: shape"),
    ("models", "return (w**4)", "return w.sum(1).float(); (w**4)", "loss: shape"),
    ("models", "(w**4).sum(1) / 4", "weights['v']", "oracles"),
    (
        "optimizers",
        "objective.streams.normal(weights.shape[1])",
        "np.random.randn(*weights.shape)",
        "determinism",
    ),
    ("optimizers", "+ 0.01 * noise", "+ 0.01 * noise.mean(0)", "batch against its halves"),
    (
        "optimizers",
        "moved = weights -",
        "weights += 1; moved = weights -",
        "step: arguments are left as they are",
    ),
    ("optimizers", 'state["t"] + 1', 'state["t"].add_(1)', "step: arguments are left as they are"),
    ("optimizers", "T.zeros(len(weights))", "T.zeros(1)", "state: run is the first axis"),
    ("initializers", "reshape(-1, *shape)", "reshape(-1, *shape).astype('f4')", "w: shape"),
    ("initializers", "reshape(-1, *shape)", "reshape(-1, *shape[::-1])", "w: shape"),
    ("initializers", "streams.normal(", "np.random.rand() * streams.normal(", "determinism"),
    (
        "initializers",
        "streams.normal(",
        "len(streams.runs) * streams.normal(",
        "batch against its parts",
    ),
    ("activations", "values * values", "values.abs()", "smooth: no kink"),
    (
        "activations",
        "values * values",
        "values.detach() * values",
        "slope: against finite differences",
    ),
    ("activations", "values * values", "values / 0", "values: shape"),
    ("losses", ".sum(-1)", ".sum(-1).mean()", "real targets: shape"),
    (
        "losses",
        "(outputs -",
        "(outputs + outputs.detach() -",
        "real targets: gradient against finite differences",
    ),
    ("datasets", "np.zeros(5", "np.zeros(4", "arrays are of one length"),
    (
        "datasets",
        "np.ones((5, 2))",
        "np.ones((5, 2), dtype='f4')",
        "real arrays are finite, in float64",
    ),
    ("datasets", "np.ones((5, 2))", "np.random.rand(5, 2)", "determinism"),
    ("figures", '"summary"', '"sumary"', "needs"),
    ("analyses", '"training"', '"summary"', "needs"),
    (
        "models",
        "(w**4).sum(1) / 4",
        "(w**4).sum(1) / 4 + T.as_tensor(self.depth).double().reshape(-1)[:1]",
        "varies: depth: loss",
    ),
    (
        "models",
        "w[:, 1] ** 2, 2",
        "w[:, 1] ** 2, 2 * T.as_tensor(self.depth).double().mean()",
        "varies: depth: hessian",
    ),
    ("models", 'varies = ("depth",)', 'varies = ("depht",)', "varies: depht"),
    (
        "optimizers",
        "self.rate * s",
        "T.as_tensor(self.rate).double().reshape(-1)[:1] * s",
        "varies: rate: weights",
    ),
    ("initializers", "self.spread *", "np.mean(self.spread) *", "varies: spread: w"),
]


def findings(plugins, tmp_path, kind, text):
    plugins.write(f"{kind}/it.py", HEAD + text + HOOK.format(kind=kind))
    found = registry.registry()
    assert found.problems == {}
    return list(check_plugin(found.plugins[kind]["it"], {}, tmp_path, found))


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_plugin_passes(plugins, tmp_path, kind):
    results = findings(plugins, tmp_path, kind, KINDS[kind])
    assert len(results) >= 3
    assert [result for result in results if result.passed is not True] == []


def test_what_a_study_calls_by_another_name_may_be_needed(plugins, tmp_path):
    """A study's analyses have the names that it gives them, and it was checked when it was read."""
    text = FIGURE.replace('"summary"', '"renamed"')
    plugins.write("figures/it.py", HEAD + text + HOOK.format(kind="figures"))
    found = registry.registry()
    kind = found.plugins["figures"]["it"]
    for subjects, passed in (({kind: Subject(kind())}, True), ({}, False)):
        results = check_plugin(kind, subjects, tmp_path, found)
        (needs,) = (result for result in results if result.check == "needs")
        assert needs.passed is passed and ("renamed" in needs.detail) is not passed


@pytest.mark.parametrize(("kind", "right", "wrong", "check"), FAULTS)
def test_a_fault_is_found(plugins, tmp_path, kind, right, wrong, check):
    assert right in KINDS[kind]
    results = findings(plugins, tmp_path, kind, KINDS[kind].replace(right, wrong))
    assert check in {result.check for result in results if result.passed is False}


def test_a_difference_in_the_last_bits_is_told_but_no_failure(plugins, tmp_path):
    text = MODEL.replace("+ 2 + b * b", "+ 2 + b * b * (1 + 1e-15 * len(w))")
    text = text.replace("    def gradient", "    def _gradient").replace(
        "    def hessian", "    def _h"
    )
    results = findings(plugins, tmp_path, "models", text)
    assert all(result.passed for result in results)
    assert any("not bit-identical" in result.detail for result in results)


def test_settings_without_a_default_may_have_examples(plugins, tmp_path):
    bare = OPTIMIZER.replace("PositiveFloat = 0.1", "PositiveFloat")
    assert None in {result.passed for result in findings(plugins, tmp_path, "optimizers", bare)}
    registry.registry.cache_clear()
    text = bare.replace("rate: PositiveFloat", "rate: PositiveFloat = Field(examples=[0.1])")
    text = "from pydantic import Field\n" + text
    assert all(result.passed for result in findings(plugins, tmp_path, "optimizers", text))


def test_settings_come_from_the_first_study_that_has_them(plugins, tmp_path, root):
    for place in ("initializers/normal.py", "optimizers/gradient_descent.py"):
        plugins.write(place, (root / "plugins/general" / place).read_text(encoding="utf-8"))
    text = MODEL.replace("depth: float = 1.0", "depth: float") + HOOK.format(kind="models")
    plugins.write("models/it.py", HEAD + text)
    console = Console(record=True, width=200, file=io.StringIO())
    studies = tmp_path / "studies"
    studies.mkdir()
    assert check_plugins(console, studies, tmp_path)
    assert "no study uses it" in console.export_text()
    (studies / "one.yaml").write_text(
        "title: one\nmodel: {name: it, depth: 2}\ninitializer: normal\n"
        "optimizer: {name: gradient_descent, rate: 0.1}\n"
    )
    (studies / "two.yaml").write_text("title: two\nmodle: it\n")
    assert check_plugins(console, studies, tmp_path)
    shown = console.export_text()
    assert "no study uses it" not in shown
    assert "two.yaml: modle: unknown key" in shown


def test_broken_files_are_listed_last_and_make_it_fail(plugins, tmp_path):
    plugins.write("models/it.py", HEAD + MODEL + HOOK.format(kind="models"))
    plugins.write("models/broken.py", "def (:\n")
    console = Console(record=True, width=200, file=io.StringIO())
    assert not list_plugins(console)
    lines = console.export_text().splitlines()
    assert any("it" in line and "A valley." in line for line in lines)
    assert "broken.py: syntax error in line 1" in lines[-1]
    assert not check_plugins(console, tmp_path, tmp_path)


def test_one_plugin_or_those_of_one_study_are_checked_alone(plugins, tmp_path, root):
    for place in ("initializers/normal.py", "optimizers/gradient_descent.py"):
        plugins.write(place, (root / "plugins/general" / place).read_text(encoding="utf-8"))
    plugins.write("models/it.py", HEAD + MODEL + HOOK.format(kind="models"))
    studies = tmp_path / "studies"
    studies.mkdir()
    text = "initializer: normal\noptimizer: {name: gradient_descent, rate: 0.1}\n"
    (studies / "one.yaml").write_text(f"title: one\nmodel: {{name: it, depth: 2}}\n{text}")
    # a file that is not asked for is not read
    (studies / "two.yaml").write_text("title: two\nmodle: it\n")
    for names, kinds in (
        (["it"], {"models": ["it"]}),
        (["one"], {"models": ["it"], "initializers": ["normal"],
                   "optimizers": ["gradient_descent"]}),
    ):  # fmt: skip
        console = Console(record=True, width=200, file=io.StringIO())
        only = chosen(names, studies)
        assert check_plugins(console, studies, tmp_path, only)
        shown = console.export_text()
        rows = [line.split("│") for line in shown.splitlines() if line.startswith("│")]
        found = {(row[1].strip(), row[2].strip()) for row in rows}
        assert found == {(kind, name) for kind, some in kinds.items() for name in some}
        assert "modle" not in shown and "no study uses it" not in shown
        assert list_plugins(console, only)
        heads = [line for line in console.export_text().splitlines() if line.endswith(":")]
        assert sorted(heads) == sorted(f"{kind}:" for kind in kinds)
    with pytest.raises(UserError, match=r"no plugin or study 'on'.*did you mean 'one'"):
        chosen(["on"], studies)
    with pytest.raises(UserError, match=r"two.yaml: modle: unknown key"):
        chosen(["two"], studies)


def test_the_command_exits_with_2_where_a_plugin_fails(plugins, tmp_path, root):
    def nnflow(*arguments):
        command = [sys.executable, "-m", "nnflow", *arguments]
        # no test downloads anything: datasets that would find no way out
        nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9"}
        environment = {**os.environ, "PYTHONPATH": str(root), **nowhere}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    text = MODEL.replace("return 0.0", "return 99.0") + HOOK.format(kind="models")
    file = plugins.write("models/it.py", HEAD + text)
    assert nnflow("plugins").returncode == 2  # no project yet
    (tmp_path / "config").mkdir()
    listed = nnflow("plugins")
    assert listed.returncode == 0 and "A valley." in listed.stdout
    checked = nnflow("plugins", "--check")
    assert checked.returncode == 2 and "FAILED" in checked.stdout
    file.write_text("1 +\n", encoding="utf-8")
    broken = nnflow("plugins")
    assert broken.returncode == 2 and "syntax error" in broken.stdout


class Halved(Box):
    """A box whose projection goes too far."""

    def project(self, weights):
        return super().project(weights) / 2


def failures(found):
    return [finding.check for finding in found if finding.passed is False]


def test_convex_sets_are_checked(monkeypatch):
    settings = {"matrix": [[1, 0], [0, -1]], "slope": [1, 0], "box": [[-1, 2], [0, 3]]}
    model = registry.registry().get("models", "quadratic_program")(**settings)
    found = list(check_model(model, {}))
    assert not failures(found)
    assert sum(finding.check.startswith("constraints:") for finding in found) == 4
    wrong = Halved((-1.0, 0.0), (2.0, 3.0))
    monkeypatch.setattr(type(model), "constraints", lambda self: wrong)
    assert "constraints: projected twice" in failures(check_model(model, {}))


def test_an_optimizer_that_leaves_the_set_fails():
    class Loose(registry.registry().get("optimizers", "gradient_descent")):
        keeps_constraints = True

    assert "constraints are kept" in failures(check_optimizer(Loose(rate=5.0)))
    kept = registry.registry().get("optimizers", "projected_gradient_descent")(rate=5.0)
    assert not failures(check_optimizer(kept))


def test_a_model_is_checked_on_samples_as_training_gets_them(tmp_path):
    """Whole numbers that the model takes for real ones, as pixels are."""

    class Pixels(Dataset):
        def load(self, folder):
            return {"inputs": np.arange(6).reshape(3, 2), "targets": np.array([0, 1, 1])}

    mlp = (
        registry.registry()
        .get("models", "mlp")
        .model_validate({"widths": [2, 2], "activation": "tanh", "loss_function": "cross_entropy"})
    )
    samples = _samples(mlp, Pixels(), tmp_path)
    assert samples["inputs"].dtype == torch.float64 and samples["targets"].dtype == torch.int64
