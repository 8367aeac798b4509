"""What landscapes over two weights share."""

from __future__ import annotations

from nnflow import Model


class PlaneModel(Model):
    """A loss of w = (w₁, w₂), both of which are recorded along the trajectories."""

    def shapes(self):
        return {"w": (2,)}

    def dimensions(self):
        return {"w": ("coordinate",)}

    def observables(self, weights, data):
        w1, w2 = weights["w"].unbind(1)
        return {"w1": w1, "w2": w2}
