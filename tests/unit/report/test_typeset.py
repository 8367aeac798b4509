"""Indices, powers and links."""

import pytest

from nnflow.report.typeset import typeset


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("W_{j+1}ᵀ", "W<sub>j+1</sub>ᵀ"),
        ("S_(k−t) × S_t", "S<sub>k−t</sub> × S<sub>t</sub>"),
        ("dW_j/dt", "dW<sub>j</sub>/dt"),
        ("(ΠW)_{j+1}^{H+1}", "(ΠW)<sub>j+1</sub><sup>H+1</sup>"),
        ("W_* and W*_k", "W<sub>*</sub> and W*<sub>k</sub>"),
        ("10^8, n^(−1/2), W^1", "10<sup>8</sup>, n<sup>−1/2</sup>, W<sup>1</sup>"),
        ("a spurious_share of theorem_4", "a spurious_share of theorem_4"),
        ("`nnflow run`", "<code>nnflow run</code>"),
        ("<b> & x", "&lt;b&gt; &amp; x"),
        (r"$\mathbf{W}^{(n)} \neq 0$", "W<sup>(n)</sup> ≠ 0"),
        (r"since \sigma(z) = \tanh(z)", "since σ(z) = tanh(z)"),
        ("with 99 % intervals", "with 99\u00a0% intervals"),
        ("costs $5 and $6", "costs $5 and $6"),
        ("arXiv:1712.08968.", '<a href="https://arxiv.org/abs/1712.08968">arXiv:1712.08968</a>.'),
        ("see github.com/a/b.", 'see <a href="https://github.com/a/b">github.com/a/b</a>.'),
    ],
)  # fmt: skip
def test_text_is_set(text, html):
    assert str(typeset(text)) == html
