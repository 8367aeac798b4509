"""The networks of the study repaired_paths."""

from torch import nn


class Normed(nn.Module):
    """Two hidden layers, each with a batch norm between its sums and its ReLU."""

    def __init__(self, width=16, inputs=64, classes=10):
        super().__init__()
        self.first = nn.Linear(inputs, width, bias=False)
        self.norm1 = nn.BatchNorm1d(width)
        self.second = nn.Linear(width, width, bias=False)
        self.norm2 = nn.BatchNorm1d(width)
        self.third = nn.Linear(width, classes)

    def forward(self, x):
        x = self.norm1(self.first(x)).relu()
        return self.third(self.norm2(self.second(x)).relu())
