"""How often Snakemake asks for the parameters of a rule's functions."""

import functools
import inspect

import pytest
from snakemake import common, rules

from nnflow.workflow.signatures import read_signatures_once, remembering


def asked():
    """Functions that were asked for their parameters, and what asks."""
    functions = []

    def read(function):
        functions.append(function)
        return list(inspect.signature(function).parameters)

    return functions, remembering(read)


def test_functions_of_one_code_are_asked_once():
    functions, parameters = asked()
    for number in range(3):
        assert parameters(lambda wildcards, attempt=number: attempt) == ["wildcards", "attempt"]
    assert len(functions) == 1


def test_methods_are_no_functions():
    class Resource:
        def evaluate(self, wildcards):
            return wildcards

    functions, parameters = asked()
    for _ in range(2):
        assert parameters(Resource().evaluate) == ["wildcards"]
        assert parameters(Resource.evaluate) == ["self", "wildcards"]
    assert len(functions) == 2


def test_what_has_a_signature_of_its_own_is_asked_each_time():
    def wrapped(like):
        @functools.wraps(like)
        def outer(*given):
            return like(*given)

        return outer

    _, parameters = asked()
    assert parameters(wrapped(lambda wildcards: 0)) == ["wildcards"]
    assert parameters(wrapped(lambda attempt: 0)) == ["attempt"]
    assert parameters(functools.partial(lambda a, b: a, 1)) == ["b"]


def test_snakemake_gets_the_same_and_asks_once(monkeypatch):
    """If `get_function_params` is gone, `read_signatures_once` is no longer needed."""
    for module in (common, rules):
        monkeypatch.setattr(module, "get_function_params", _read)
    read_signatures_once()
    assert common.get_function_params is rules.get_function_params is not _read

    def steps(wildcards, attempt):
        return attempt

    found = common.get_input_function_aux_params(steps, {"attempt": 2, "input": []})
    assert found == {"attempt": 2}


@pytest.mark.parametrize("module", [common, rules])
def test_another_version_is_left_as_it_is(module, monkeypatch):
    monkeypatch.delattr(module, "get_function_params")
    kept = vars(common).get("get_function_params"), vars(rules).get("get_function_params")
    read_signatures_once()
    after = vars(common).get("get_function_params"), vars(rules).get("get_function_params")
    assert after == kept


def _read(function):
    return inspect.signature(function).parameters
