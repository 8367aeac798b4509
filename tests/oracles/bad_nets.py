"""Modules with which nnflow can't do anything; each is one of the mistakes that users make."""

import numpy as np
import torch
from torch import nn


class Picky(nn.Module):
    def __init__(self, width):
        super().__init__()
        if width < 1:
            raise ValueError("width must be positive")
        self.layer = nn.Linear(width, 3)

    def forward(self, x):
        return self.layer(x)


class Pair(Picky):
    def forward(self, x):
        return self.layer(x), x


class Dropping(Picky):
    def __init__(self, width):
        super().__init__(width)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return self.layer(self.drop(x))


class Noisy(Picky):
    def forward(self, x):
        return self.layer(x) + 0.1 * torch.randn(3, dtype=x.dtype)


class Counting(Picky):
    def __init__(self, width):
        super().__init__(width)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layer(x) / self.calls


class Spoiling(Picky):
    def forward(self, x):
        x *= 2
        return self.layer(x)


class Whole(Picky):
    def __init__(self, width):
        super().__init__(width)
        self.shift = nn.Parameter(torch.ones(3, dtype=torch.int64), requires_grad=False)


class Half(Picky):
    def __init__(self, width):
        super().__init__(width)
        self.half()


class Infinite(Picky):
    def forward(self, x):
        return torch.log(-torch.ones_like(self.layer(x))) * self.layer(x)


class Detached(Picky):
    def forward(self, x):
        return self.layer(x).detach()


class Numpyish(Picky):
    def __init__(self, width):
        super().__init__(width)
        with torch.no_grad():
            self.layer.bias += torch.as_tensor(np.random.default_rng().normal(size=3))
