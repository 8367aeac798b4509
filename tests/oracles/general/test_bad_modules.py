"""What users get wrong with modules of their own: one line each, which says what to do."""

import numpy as np
import pytest
import torch

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.engine.samples import check_arrays, load_arrays
from nnflow.interfaces.registry import registry

STREAMS = Streams(0, "all", np.arange(2), "initialize")
DATA = {
    "inputs": torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(5, 4),
    "targets": torch.tensor([0, 1, 2, 0, 1]),
}


def first_loss(target="Picky", data=DATA, width=4, **settings):
    """The loss at the module's own first weights, as a stage would ask for it."""
    model = registry().get("models", "torch_module")(
        **{
            "target": target if ":" in target else f"bad_nets:{target}",
            "settings": {"width": width},
            "loss": "cross_entropy",
            **settings,
        }
    )
    arrays = {name: array.numpy() for name, array in data.items()}
    check_arrays(model, None, arrays)
    first = {name: torch.as_tensor(v) for name, v in model.initial(STREAMS).items()}
    buffers = {name: first[name] for name in model.buffers()}
    weights = torch.cat([first[name].flatten(1) for name in model.shapes()], dim=1)
    return Objective(model, data, STREAMS, buffers=buffers).loss(weights)


def refusal(*arguments, **settings):
    with pytest.raises((UserError, ValueError)) as error:
        first_loss(*arguments, **settings)
    text = str(error.value)
    if isinstance(error.value, UserError):
        assert "\n" not in text
    return text


def test_the_module_itself_is_fine():
    assert torch.isfinite(first_loss()).all()


def test_a_module_that_is_not_found():
    assert "there is no module 'my_netz': neither my_netz.py in this folder" in refusal(
        "my_netz:Net", settings={}
    )


def test_a_constructor_that_fails():
    text = refusal(width=0)
    assert "its constructor fails: ValueError: width must be positive" in text
    assert "see `settings` (given: width)" in text
    assert "missing 1 required positional argument: 'width'" in refusal(settings={})


def test_outputs_that_do_not_fit_the_loss():
    real = {**DATA, "targets": torch.ones(5, 2, dtype=torch.float64)}
    text = refusal(data=real, loss="squared")
    assert "gives outputs of shape (5, 3); the loss 'squared' and targets of shape (5, 2)" in text
    one = {**DATA, "targets": torch.ones(5, dtype=torch.float64)}
    assert "need (5,)" in refusal(data=one, loss="squared")
    many = {**DATA, "targets": torch.tensor([0, 1, 2, 3, 1])}
    text = refusal(data=many)
    assert "gives 3 outputs for a sample, and a target is the class 3" in text
    assert "gives tuple, not one tensor; give the outputs alone" in refusal("Pair")
    narrow = {**DATA, "inputs": DATA["inputs"][:, :3]}
    text = refusal(data=narrow)
    assert "forward fails: RuntimeError" in text and "inputs (5, 3) float64" in text


def test_a_forward_that_is_not_deterministic():
    text = refusal("Dropping", mode="train")
    assert "gives another loss the second time" in text
    assert "dropout in drop: use `mode: eval`" in text
    assert torch.isfinite(first_loss("Dropping")).all()
    assert "it draws random numbers" in refusal("Noisy")


def test_buffers_that_are_changed_in_place():
    assert "changes the buffer 'calls' in place" in refusal("Counting")
    assert "forward changes 'inputs' in place; use operations" in refusal("Spoiling")


def test_weights_that_are_whole_numbers():
    assert "weight 'shift' is of torch.int64; weights must be real numbers" in refusal("Whole")


def test_half_precision():
    text = refusal("Half")
    assert "weight 'layer.weight' is of torch.float16; nnflow computes in float64" in text


def test_nan():
    assert "the loss is NaN at finite weights" in refusal("Infinite")
    assert "look for log, sqrt or a division" in refusal("Infinite")


def test_empty_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("empty.npz", inputs=np.empty((0, 4)), targets=np.empty(0, dtype=int))
    empty = registry().get("datasets", "array_files")(paths="empty.npz")
    with pytest.raises(UserError, match="dataset 'array_files': no samples in inputs, targets"):
        load_arrays(empty, tmp_path)


def test_a_checkpoint_of_another_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(torch.nn.Linear(3, 2).state_dict(), "other.pt")
    model = registry().get("models", "torch_module")(target="torch.nn:Linear", settings={
        "in_features": 4, "out_features": 2,
    })  # fmt: skip
    from nnflow.interfaces.initializer import Start

    start = Start(model.shapes(), STREAMS.take(np.arange(1)), model, "all", dict, {})
    checkpoint = registry().get("initializers", "checkpoint")(paths="other.pt")
    with pytest.raises(UserError) as error:
        checkpoint.start(start)
    assert "other.pt: does not fit the model 'torch_module'" in str(error.value)
    assert "'weight' has the shape (2, 3), not (2, 4)" in str(error.value)


def test_further_mistakes():
    assert "does not depend on the weights by differentiable operations" in refusal("Detached")
    assert "other numbers with the same seed; draw them by torch" in refusal("Numpyish")
    assert "frozen: no weight is named 'body.*' (it has: layer.weight" in refusal(frozen=["body.*"])
    only = {"inputs": DATA["inputs"]}
    assert "model 'torch_module' needs 'targets'" in refusal(data=only)
