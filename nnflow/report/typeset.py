"""Plain text of study files as HTML: indices and powers, code, and links to what is cited."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_LETTER = r"((?<![A-Za-z0-9_])d?[A-Za-zα-ωΑ-Ωℓ∇]\*?|[)\]])"
_RULES = (
    (re.compile(r"`([^`]+)`"), r"<code>\1</code>"),
    (re.compile(_LETTER + r"_\{([^{}]{1,20})\}"), r"\1<sub>\2</sub>"),
    (re.compile(_LETTER + r"_\(([^()]{1,12})\)"), r"\1<sub>\2</sub>"),
    (re.compile(_LETTER + r"_\*"), r"\1<sub>*</sub>"),
    (re.compile(_LETTER + r"_([A-Za-z0-9α-ω]{1,3})(?![A-Za-z0-9_])"), r"\1<sub>\2</sub>"),
    (re.compile(r"(?<=[\w)\]>])\^\{([^{}]{1,20})\}"), r"<sup>\1</sup>"),
    (re.compile(r"(?<=[\w)\]>])\^\(([^()]{1,12})\)"), r"<sup>\1</sup>"),
    (re.compile(r"(?<=[\w)\]>])\^([−-]?(?:\d+|[A-Za-z]))(?![\w])"), r"<sup>\1</sup>"),
    (re.compile(r"arXiv:(\d{4}\.\d{4,5})"), r'<a href="https://arxiv.org/abs/\1">arXiv:\1</a>'),
    (re.compile(r"(?<![/\w.])(github\.com/[\w./-]*\w)"), r'<a href="https://\1">\1</a>'),
    (re.compile(r"(?<![/\w.])(doi:)(10\.\d{4,}/[^\s;,()]*\w)"),
     r'<a href="https://doi.org/\2">\1\2</a>'),
    (re.compile(r"(?<=\d) (?=%)"), "\u00a0"),  # no line ends before the sign
)  # fmt: skip

_FORMULA = re.compile(r"\$([^$]*[\\_^=][^$]*)\$")
_TYPEFACE = re.compile(r"\\(?:math[a-z]+|text[a-z]*|boldsymbol|operatorname)\{([^{}]*)\}")
_COMMAND = re.compile(r"\\([A-Za-z]+)")


def typeset(text: str) -> Markup:
    """A text with W_{j+1}, S_(k−t) and 10^8 as they are printed, `code`, links for arXiv numbers,
    DOIs and github.com, and signs for the commands of TeX. Anything else is shown as it is."""
    found = str(escape(_signs(text) if "\\" in text or "$" in text else text))
    for pattern, shown in _RULES:
        found = pattern.sub(shown, found)
    return Markup(found)


def _signs(text: str) -> str:
    """Signs for TeX's commands, of those that quotations have: $W^{(n)} \\neq 0$ as W^{(n)} ≠ 0."""
    from matplotlib._mathtext_data import tex2uni  # matplotlib's table, which has no other name

    text = _TYPEFACE.sub(r"\1", _FORMULA.sub(r"\1", text))
    return _COMMAND.sub(
        lambda command: chr(tex2uni[command[1]]) if command[1] in tex2uni else command[1], text
    )
