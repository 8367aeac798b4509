"""Proper names of what settings call by words of the configuration."""

from __future__ import annotations

PROPER = {
    "gradient_descent": "gradient descent",
    "gradient_flow": "gradient flow",
    "levenberg_marquardt": "Levenberg–Marquardt",
    "newton": "Newton",
    "newton_cg": "Newton–CG",
    "trust_region": "trust region",
    "heavy_ball": "heavy ball",
    "adam": "Adam",
    "huber": "Huber",
    "cauchy": "Cauchy",
    "riemannian_gradient_descent": "Riemannian gradient descent",
    "nesterov": "Nesterov",
    "frank_wolfe": "Frank–Wolfe",
    "sgd": "SGD",
    "gaussian": "Gaussian",
    "student": "Student t",
    "student_t": "Student t",
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "gelu": "GELU",
    "he": "He",
    "glorot": "Glorot",
    "normal": "normal",
}
SYMBOLS = {
    "epsilon": "ε",
    "alpha": "α",
    "beta": "β",
    "rho": "ρ",
    "sigma": "σ",
    "w1": "w₁",
    "w2": "w₂",
    "activation_function": "activation",
}


def proper(word: str) -> str:
    """The name of a plugin as it is written in print; else its words with blanks."""
    return PROPER.get(word, word.replace("_", " "))


def symbol(name: str) -> str:
    """The symbol or the words of a setting or an observable."""
    return SYMBOLS.get(name, name.replace("_", " "))


def configuration_name(label: str) -> str:
    """A configuration's label as it is read: "ε = 0.01", "gradient descent"."""
    return ", ".join(_pair(pair) for pair in label.split(","))


def _pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return proper(pair)
    if value in PROPER:
        return PROPER[value]
    if value[:1] == "-" and value[1:2].isdigit():
        value = "−" + value[1:]
    if name == "widths":
        value = value.replace("-", "–")
    return f"{symbol(name)} = {value.replace('_', ' ')}"
