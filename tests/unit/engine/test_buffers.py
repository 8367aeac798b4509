"""Numbers of a run that nothing moves, in a model of anybody's."""

import numpy as np
import pytest
import torch
import xarray as xr

from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.base.streams import Streams
from nnflow.checks.contract_tests import check_model
from nnflow.engine.objective import Objective
from nnflow.engine.training import CHUNK_WEIGHTS, train
from nnflow.engine.weights import buffer_variables, with_buffers
from nnflow.interfaces import Initializer, Model
from nnflow.interfaces.optimizer import Standing
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.study.stage_settings import Stop, Trace
from nnflow.study.types import Configuration, ConfigurationSettings, Study, StudySettings


class Shifted(Model):
    """½Σ cᵢ(w − s)², with a shift s of each run and a whole number that nobody uses."""

    def shapes(self):
        return {"w": (3,)}

    def buffers(self):
        return {"shift": (3,), "calls": ()}

    def initial(self, streams):
        runs = len(streams.runs)
        return {
            "w": np.zeros((runs, 3)),
            "shift": streams.normal(3),
            "calls": np.asarray(streams.runs, dtype=np.int64),
        }

    def loss(self, weights, data):
        curvature = torch.tensor([1.0, 2.0, 3.0]).to(weights["w"])
        return (curvature * (weights["w"] - weights["shift"]) ** 2).sum(1) / 2


Shifted.name = "shifted"


def objective(runs=4):
    streams = Streams(0, "all", np.arange(runs), "initialize")
    own = Shifted().initial(streams)
    buffers = {name: torch.as_tensor(own[name]) for name in ("shift", "calls")}
    return Objective(Shifted(), {}, streams, buffers=buffers)


def test_each_run_has_its_own():
    problem = objective()
    weights = torch.ones(4, 3, dtype=torch.float64)
    away = weights - problem.buffers["shift"]
    curvature = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    torch.testing.assert_close(problem.loss(weights), (curvature * away**2).sum(1) / 2)
    torch.testing.assert_close(problem.gradient(weights), curvature * away)
    torch.testing.assert_close(problem.hessian(weights), torch.diag(curvature).expand(4, 3, 3))
    few = problem.take(np.array([2]))
    torch.testing.assert_close(few.gradient(weights[:1]), (curvature * away)[2:3])
    # the norm of the weights alone
    torch.testing.assert_close(
        problem.neuron_norms(weights), torch.full_like(weights[:, 0], 3**0.5)
    )


def test_weights_may_repeat_a_run():
    one = objective().take(np.array([1]))
    points = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    single = torch.cat([one.loss(point[None]) for point in points])
    assert torch.equal(one.loss(points), single)


def test_runs_in_several_chunks_keep_their_own():
    """More runs than a chunk holds: each is looked at with its own buffers."""
    runs = CHUNK_WEIGHTS // 3 + 5
    problem = objective(runs)
    initial = torch.ones(runs, 3, dtype=torch.float64)
    outcome = train(problem, Standing(), initial, Stop().model_copy(update={"steps": 0}), Trace())
    np.testing.assert_array_equal(outcome.loss, problem.loss(initial).numpy())
    assert (outcome.steps == 0).all() and outcome.trace_step.tolist() == [0]


def test_they_are_kept_in_datasets_and_read_from_them():
    problem = objective()
    dataset = xr.Dataset(buffer_variables(problem))
    assert dataset["calls"].dtype == np.int64
    again = with_buffers(Objective(Shifted(), {}, problem.streams), dataset, "cpu", torch.float32)
    assert again.buffers["shift"].dtype == torch.float32
    assert torch.equal(again.buffers["calls"], problem.buffers["calls"])


def test_the_checks_of_plugins_know_them():
    findings = list(check_model(Shifted(), {}))
    assert not [finding for finding in findings if finding.passed is False]


class Zeros(Initializer):
    """Weights alone."""

    def draw(self, shapes, streams):
        return {name: np.zeros((len(streams.runs), *shape)) for name, shape in shapes.items()}


Zeros.name = "zeros"


def study(model, initializer):
    settings = ConfigurationSettings(model=model, initializer=initializer, runs=3)
    (configuration,) = (Configuration("all", {}, settings),)
    return Study("s", "s.yaml", "quick", StudySettings(title="T"), (configuration,))


def test_an_initializer_of_weights_alone_leaves_them_to_the_model(tmp_path):
    job = Job(study(Shifted(), Zeros()), tmp_path, tmp_path, 0, {}, Reporter("test", None))
    initialize(job)
    first = job.read.at("initialization", "all")
    streams = Streams(0, "all", np.arange(3), "initialize")
    np.testing.assert_array_equal(first["shift"], Shifted().initial(streams)["shift"])
    np.testing.assert_array_equal(first["calls"], [0, 1, 2])
    assert (first["w"] == 0).all()


def test_a_model_without_a_law_says_so():
    class Plain(Model):
        """A model."""

    Plain.name = "plain"
    with pytest.raises(UserError, match="'plain' has no initialization of its own"):
        Plain().initial(Streams(0, "all", np.arange(1), "initialize"))


def test_settings_of_a_model_that_vary_are_looked_at_chunk_by_chunk():
    """They were those of all runs beside the weights of one chunk, which fits no gradient."""

    class Steep(Model):
        """½s‖w‖²."""

        steepness: float = 1.0

        def shapes(self):
            return {"w": (4,)}

        def loss(self, weights, data):
            return self.steepness * weights["w"].square().sum(1) / 2

    runs = CHUNK_WEIGHTS // 4 + 3
    streams = Streams(0, "all", np.arange(runs), "train")
    values = torch.linspace(1, 2, runs, dtype=torch.float64)
    problem = Objective(Steep(), {}, streams).varying({"steepness": values})
    initial = torch.ones(runs, 4, dtype=torch.float64)
    outcome = train(problem, Standing(), initial, Stop().model_copy(update={"steps": 0}), Trace())
    np.testing.assert_allclose(outcome.gradient_norm, 2 * values.numpy())
