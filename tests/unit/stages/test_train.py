"""What training tells while it runs; what it does is tested on whole studies."""

from types import SimpleNamespace

import numpy as np

from nnflow.engine.outcome import STOPPED_BY
from nnflow.stages.train import _at_once, _progress


def test_runs_that_are_finished_are_counted_over_the_whole_batch():
    told = []
    reporter = SimpleNamespace(update=lambda *words: told.append(words))
    progress = _progress(reporter, "k=6", before=7, total=20)
    progress(3, 500, 0.25, 2.0)
    progress(4, 600, np.nan, np.inf)  # none is left that runs
    assert told == [
        (10, 20, "runs finished · k=6 · step 500 · loss 0.25 to 2"),
        (11, 20, "runs finished · k=6 · step 600"),
    ]


def test_starts_that_were_not_trained_are_told():
    """Of four runs with the threshold 1e-6: below it by a factor of less than 1000; to rounding; by
    another rule; after a step."""
    outcome = SimpleNamespace(
        steps=np.array([0, 0, 0, 1]),
        stopped_by=np.array([STOPPED_BY.index("gradient_norm")] * 4),
        gradient_norm=np.array([1.5e-9, 0.5e-9, 1e-7, 1e-7]),
    )
    outcome.stopped_by[2] = STOPPED_BY.index("loss")
    stop = SimpleNamespace(gradient_norm=1e-6)
    configuration = SimpleNamespace(label="k=6", settings=SimpleNamespace(stop=stop))
    told = _at_once(SimpleNamespace(configuration=configuration), outcome)
    assert told.startswith("k=6: 1 of 4 runs had a gradient below stop.gradient_norm (1e-06)")
    outcome.gradient_norm[0] = 0.9e-9
    assert _at_once(SimpleNamespace(configuration=configuration), outcome) is None
