"""Networks as users have them; tests name them by import path, and study tests copy this file."""

import torch
from torch import nn


class SmallCNN(nn.Module):
    """A convolution with batch norm, on images of one channel."""

    def __init__(self, channels=2, side=6, classes=3):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels * (side - 2) ** 2, classes)

    def forward(self, x):
        return self.head(torch.tanh(self.norm(self.conv(x))).flatten(1))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.nn.functional.gelu(x + self.second(torch.tanh(self.norm(self.first(x)))))


class SmallResNet(nn.Module):
    """Residual blocks with a global mean."""

    def __init__(self, width=3, blocks=1, classes=3):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)).mean(dim=(2, 3)))


class SmallEncoder(nn.Module):
    """A transformer encoder that reads sequences of tokens."""

    def __init__(self, tokens=5, width=4, heads=2, hidden=6, layers=1, classes=3, dropout=0.1):
        super().__init__()
        self.embed = nn.Embedding(tokens, width)
        layer = nn.TransformerEncoderLayer(
            width, heads, hidden, dropout, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x)).mean(dim=1))


class Tied(nn.Module):
    """An autoencoder of one matrix, used twice."""

    def __init__(self):
        super().__init__()
        self.down = nn.Linear(4, 2)
        self.up = nn.Linear(2, 4)
        self.again = nn.Linear(4, 2)
        self.again.weight = self.down.weight

    def forward(self, x):
        return self.up(torch.tanh(self.down(x))) @ self.again.weight.T


class Recurrent(nn.Module):
    """What torch can't evaluate for several runs at once."""

    def __init__(self, classes=3):
        super().__init__()
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.head = nn.Linear(3, classes)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Oscillator(nn.Module):
    """u'' + u = 0, u(0) = 1, u'(0) = 0, as a physics-informed loss: no data, no loss function."""

    def __init__(self, width=4, points=9):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, 1))
        self.register_buffer("times", torch.linspace(0, 1, points)[:, None], persistent=False)

    def forward(self):
        t = self.times.clone().requires_grad_(True)
        u = self.net(t)
        (speed,) = torch.autograd.grad(u.sum(), t, create_graph=True)
        (force,) = torch.autograd.grad(speed.sum(), t, create_graph=True)
        return (force + u).square().mean() + (u[0] - 1).square().sum() + speed[0].square().sum()


def fourth_power(outputs, targets):
    """A loss of the user's own, for each sample."""
    return (outputs - targets).pow(4).sum(dim=-1)


class Priced(nn.Module):
    """A network with batch norm whose forward gives its loss, of inputs and classes."""

    def __init__(self):
        super().__init__()
        self.net = SmallCNN()

    def forward(self, x, classes):
        return torch.nn.functional.cross_entropy(self.net(x), classes)
