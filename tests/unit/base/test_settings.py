"""Typed settings: names, booleans, and what mistakes are told."""

import pytest
from pydantic import ValidationError

from nnflow.base.settings import Settings, check_name, explain, meanings, suggest


class Some(Settings):
    """Settings of a test."""

    rate: float = 0.5
    """The rate."""
    twice: bool = False
    steps: list[int] = []
    """How many steps,
    each time."""


class More(Some):
    rate: float = 0.25
    """Another rate."""


def told(**settings):
    with pytest.raises(ValidationError) as caught:
        Some(**settings)
    return explain(caught.value, Some)


@pytest.mark.parametrize("name", ["a", "x2", "relu_2017", "a_", "b__c"])
def test_names(name):
    check_name(name)


@pytest.mark.parametrize(
    "name", ["", "2017", "_x", "_", "A", "aB", "a-b", "a b", "a.b", "ä", "a\n"]
)
def test_no_names(name):
    with pytest.raises(ValueError, match="is not a valid name"):
        check_name(name)


def test_true_is_no_number_but_a_boolean():
    assert Some(twice=True).twice is True
    assert told(rate=True) == "rate: expected a number or a text, not true"
    assert told(rate=False) == "rate: expected a number or a text, not false"


def test_mistakes_in_one_line():
    assert told(rat=1) == "rat: unknown key (did you mean 'rate'?)"
    assert told(rate="fast") == (
        "rate: Input should be a valid number, unable to parse string as a number (got 'fast')"
    )
    # a misspelled key comes first, with what it caused behind
    assert (
        told(rate="fast", twise=True) == "twise: unknown key (did you mean 'twice'?) (and 1 more)"
    )
    assert told(steps=[1, "x"]).startswith("steps.1: Input should be a valid integer")
    assert told(rate=float("nan")).startswith("rate: Input should be a finite number")


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Some().rate = 1.0


def test_meanings_are_the_docstrings_of_the_last_class_that_has_one():
    assert meanings(Some) == {
        "rate": "The rate.", "twice": "", "steps": "How many steps,\neach time.",
    }  # fmt: skip
    assert meanings(More) == {**meanings(Some), "rate": "Another rate."}


def test_suggestions():
    assert suggest("momentun", ["rate", "momentum"]) == " (did you mean 'momentum'?)"
    assert suggest("xyz", ["rate", "momentum"]) == " (there are: rate, momentum)"
    assert suggest("xyz", []) == ""
