"""How the ends of training differ from each other, against the size of the network."""

from __future__ import annotations

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Analysis, Table, mean, share

CONFIDENCE = 0.99


class LossVsSize(Analysis):
    """The ends of ensembles of networks with one hidden layer, for each size of it.

    - `test_loss`, its `variance` over runs and its relative `spread`, the standard deviation over
      the mean. The variance's interval is that of its logarithm, with the standard error
      √((κ − 1)/n), κ the fourth moment over the squared second: ends need not be normal. That of
      the spread is the same, as the mean is known far better.
    - A run ends badly if its test loss is above `bad_above` times the median of its size.
    - `correlation` of training and test loss (Pearson), with Fisher's interval.
    """

    needs = ("training",)
    models = ("mlp",)
    columns = {
        "runs": "networks whose loss is finite",
        "neurons": "neurons of the hidden layer",
        "weights": "weights of a network",
        "train_loss": "mean training loss",
        "test_loss": "mean loss on the held-out samples",
        "test_error": "mean percentage of held-out samples classified wrongly",
        "variance": "variance over runs of the held-out loss",
        "spread": "standard deviation over mean of the held-out loss",
        "bad_share": "share of runs that end badly",
        "correlation": "correlation of training and held-out loss",
    }

    bad_above: float = Field(1.2, gt=1)
    """A bad end has a held-out loss above this multiple of the median of its size."""

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, trained in results.each("training"):
            label, model = configuration.label, configuration.settings.model
            train, test = trained["loss"].values, results.last("test_loss", label)
            error = 100 * (1 - results.last("test_accuracy", label))
            whole = np.isfinite(train) & np.isfinite(test)
            train, test = train[whole], test[whole]
            variance = _variance(test)
            table.row(
                configuration,
                runs=len(test),
                neurons=model.widths[1],
                weights=sum(int(np.prod(shape)) for shape in model.shapes().values()),
                train_loss=mean(train),
                test_loss=mean(test),
                test_error=mean(error[whole]),
                variance=variance,
                spread=tuple(float(np.sqrt(v)) / test.mean() for v in variance),
                bad_share=share(int((test > self.bad_above * np.median(test)).sum()), len(test)),
                correlation=_correlation(train, test),
            )
        return table.dataset()


def _variance(values: np.ndarray) -> tuple[float, float, float]:
    """Variance and its interval, by the standard error of its logarithm."""
    variance = float(values.var(ddof=1))
    away = values - values.mean()
    kurtosis = (away**4).mean() / (away**2).mean() ** 2
    half = _normal_quantile() * np.sqrt((kurtosis - 1) / len(values))
    return variance, float(variance * np.exp(-half)), float(variance * np.exp(half))


def _correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Pearson's correlation and its interval by Fisher's transformation."""
    found = float(np.corrcoef(x, y)[0, 1])
    half = _normal_quantile() / np.sqrt(len(x) - 3)
    low, high = np.tanh(np.arctanh(found) + np.array([-half, half]))
    return found, float(low), float(high)


def _normal_quantile() -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + CONFIDENCE) / 2))


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_vs_size", LossVsSize)
