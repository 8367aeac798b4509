"""Study files as users write them: other spellings, empty sections, mistakes of every sort."""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import typer
import yaml

from nnflow import cli
from nnflow.base.errors import UserError
from nnflow.base.strict_yaml import read_yaml_file
from nnflow.study.loading import built_in_studies, chosen_files, load_study
from nnflow.study.sweep import SCALES, combinations, set_key, with_scale
from nnflow.study.types import ConfigurationSettings, StudySettings

PARTS = (*StudySettings.model_fields, *ConfigurationSettings.model_fields)
STUDY = """
title: A valley
model: {name: toy_valley, epsilon: 0.1}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.02}
runs: 3
"""


@pytest.fixture
def study(tmp_path):
    """Loads a study file with further lines."""

    def load(further="", text=STUDY, scale="quick"):
        file = tmp_path / "mine.yaml"
        file.write_text(text + further, encoding="utf-8")
        return load_study(file, scale)

    return load


def respelled(value):
    """The same numbers, whole ones with a point."""
    if isinstance(value, dict):
        return {key: respelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [respelled(item) for item in value]
    whole = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if whole else value


@pytest.mark.parametrize("name", built_in_studies())
def test_two_spellings_of_a_number_are_one_setting(name, tmp_path):
    file = built_in_studies()[name]
    other = tmp_path / file.name
    text = yaml.safe_dump(respelled(read_yaml_file(file)), sort_keys=False)
    assert ".0" in text
    other.write_text(text, encoding="utf-8")
    for scale in SCALES:
        one, two = load_study(file, scale), load_study(other, scale)
        assert one.settings_json(*PARTS) == two.settings_json(*PARTS)


@pytest.mark.parametrize("numbers", ["[1, 1.0]", "[0.1, 1e-1]", "[1e3, 1000]"])
def test_one_number_in_two_spellings_is_one_configuration(study, numbers):
    with pytest.raises(UserError, match="occurs twice"):
        study(f"sweep: {{model.epsilon: {numbers}}}")
    (number, *_) = yaml.safe_load(numbers)
    (only,) = study(f"sweep: {{model.epsilon: [{number}]}}").configurations
    assert only.label == f"epsilon={float(number):g}"


@pytest.mark.parametrize(
    "section", ["stop", "trace", "classify", "spectrum", "sweep", "claims", "analyses", "figures"]
)
def test_a_section_whose_keys_are_commented_out_is_its_defaults(study, section):
    plain = study().settings_json(*PARTS)
    assert study(f"{section}:\n  # steps: 10\n").settings_json(*PARTS) == plain
    within = f"scales:\n  paper:\n    {section}:\n      # steps: 10\n"
    assert study(within, scale="paper").settings_json(*PARTS) == plain


def test_an_empty_section_of_a_scale_leaves_what_the_study_says(study):
    stop = "stop: {steps: 7}\nscales:\n  paper:\n    stop:\n"
    assert study(stop, scale="paper").configurations[0].settings.stop.steps == 7


def test_a_key_without_a_value_that_is_no_section_is_refused(study):
    with pytest.raises(UserError, match="runs: Input should be a valid integer"):
        study(text=STUDY.replace("runs: 3", "runs:"))


def test_a_decimal_comma_is_named(study):
    with pytest.raises(UserError, match=r"rate: 0,02 is no number; write a decimal point: 0\.02"):
        study(text=STUDY.replace("rate: 0.02", "rate: 0,02"))


# Random mistakes


MUTANTS = 300
LONG = 100
"""Keys of more letters are written in another way, in which they can't be doubled by a line."""
ABSURD = (1e400, -1e400, float("nan"), 10**30, -1, 0, 1e-320, 1.5, -0.0, 2**63)
OTHER_TYPES = ("text", "", 7, 0.5, True, None, [], [1], {}, {"a": 1})


def mutated(raw, chance):
    """A study's text with one mistake in it, and the name of its sort."""
    sort = chance.choice(sorted(MISTAKES))
    parent, key = chance.choice([(p, k) for p, k in places(raw) if len(k) < LONG])
    MISTAKES[sort](parent, key, chance)
    text = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True)
    if sort != "twice":
        return sort, text
    head, place, name = re.search(r"^((?:.*\n)*?)([ -]*)twice_(.*?):(?=[ \n])", text).groups()
    rest = text[len(head) + len(place) + len("twice_") :]
    return sort, f"{head}{place}{name}: 1\n{' ' * len(place)}{rest}"


def places(tree):
    """(mapping, key) of every key of a study file, at any depth."""
    if isinstance(tree, list):
        for item in tree:
            yield from places(item)
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield tree, key
            yield from places(value)


def rename(parent, key, name):
    """Another name for a key, in its place."""
    items = [(name if other == key else other, value) for other, value in parent.items()]
    parent.clear()
    parent.update(items)


def misspell(parent, key, chance):
    letters = list(str(key))
    letters[chance.randrange(len(letters))] = chance.choice("abcxyz_")
    rename(parent, key, "".join(letters))


def swap(parent, key, chance):
    value = parent[key]
    if isinstance(value, dict):
        parent[key] = [{inner: item} for inner, item in value.items()]
    else:
        parent[key] = (
            {str(i): item for i, item in enumerate(value)} if isinstance(value, list) else [value]
        )


def deep(parent, key, chance):
    for _ in range(chance.choice((1, 3, 60))):
        parent[key] = [parent[key]]


MISTAKES = {
    "delete": lambda parent, key, chance: parent.pop(key),
    "misspell": misspell,
    "twice": lambda parent, key, chance: rename(parent, key, f"twice_{key}"),
    "type": lambda parent, key, chance: parent.update({key: chance.choice(OTHER_TYPES)}),
    "absurd": lambda parent, key, chance: parent.update({key: chance.choice(ABSURD)}),
    "nest": lambda parent, key, chance: parent.update({key: {key: parent[key]}}),
    "deep": deep,
    "swap": swap,
}


WRITTEN_OUT = {".model.formula"}
"""Settings that say how something is made, and are loaded as what was made: clauses."""


def lost(raw, dumped, place=""):
    """The places of a raw study file that the loaded settings do not hold."""
    if raw in (None, [], {}) or place in WRITTEN_OUT:
        return
    if isinstance(raw, dict) and isinstance(dumped, dict):
        for key, value in raw.items():
            if str(key) not in dumped:
                yield f"{place}.{key}"
            else:
                yield from lost(value, dumped[str(key)], f"{place}.{key}")
    elif isinstance(raw, list) and isinstance(dumped, dict):  # names of analyses or figures
        yield from (f"{place}.{name}" for name in raw if name not in dumped)
    elif isinstance(raw, list) and isinstance(dumped, list) and len(raw) == len(dumped):
        for number, (one, other) in enumerate(zip(raw, dumped, strict=True)):
            yield from lost(one, other, f"{place}.{number}")
    elif isinstance(raw, str) and isinstance(dumped, dict):  # a plugin by its name alone
        yield from [] if dumped.get("name") == raw else [place]
    elif not same(raw, dumped):
        yield f"{place}: {raw!r} became {dumped!r}"


def same(one, other):
    try:
        return one == other or float(one) == float(other)
    except (TypeError, ValueError):
        return False


def dumps(study):
    """{key: what was loaded} of each configuration, whole."""
    once = study.settings.model_dump(mode="json", serialize_as_any=True, by_alias=True)
    for configuration in study.configurations:
        own = configuration.settings.model_dump(mode="json", serialize_as_any=True, by_alias=True)
        yield {**once, **own}


def silently_lost(file):
    """What an accepted study file says and the loaded study does not, at both scales."""
    raw = read_yaml_file(file)
    for scale in SCALES:
        whole = with_scale(raw, scale)
        sweep = whole.pop("sweep", None) or {}
        loaded = load_study(file, scale)
        swept = combinations(sweep)
        assert len(swept) == len(loaded.configurations)
        for parameters, dumped in zip(swept, dumps(loaded), strict=True):
            expected = yaml.safe_load(yaml.safe_dump(whole)) | {}
            for key, value in parameters.items():
                set_key(expected, key, copy.deepcopy(value))  # an alias is one object in YAML
            yield from lost(expected, dumped)


@pytest.mark.parametrize("name", built_in_studies())
def test_no_key_of_a_shipped_study_is_lost(name):
    assert not list(silently_lost(built_in_studies()[name]))


@pytest.mark.slow
def test_random_mistakes_are_one_line_and_lose_no_key(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chance = random.Random(17)
    files, seen = list(built_in_studies().values()), Counter()
    for number in range(MUTANTS):
        sort, text = mutated(read_yaml_file(chance.choice(files)), chance)
        file = Path(f"study_{number}.yaml")
        file.write_text(text, encoding="utf-8")
        try:
            cli.project.validate([str(file)])
            accepted = True
        except typer.Exit as refusal:
            assert refusal.exit_code == 2
            accepted = False
        told = capsys.readouterr().err
        seen[sort, accepted] += 1
        if accepted:
            assert list(silently_lost(file)) == [], (sort, number)
        else:
            assert told.count("\n") == 1 and f"{file}: " in told, (sort, number, told)
    assert {sort for sort, accepted in seen if not accepted} == set(MISTAKES), seen
    assert not seen["twice", True] and seen["delete", True] > 0


def test_files_of_chosen_studies_come_in_their_order_and_ones_own_first(tmp_path):
    own = tmp_path / "studies/deeper"
    own.mkdir(parents=True)
    for name in ("b", "himmelblau"):
        (own / f"{name}.yaml").touch()
    found = chosen_files(["himmelblau", "b", "toy_valley"], tmp_path / "studies")
    assert found[:2] == [own / "himmelblau.yaml", own / "b.yaml"]
    assert found[2].name == "toy_valley.yaml" and tmp_path not in found[2].parents
    with pytest.raises(UserError, match=r"studies/c\.yaml: no such study"):
        chosen_files(["b", "c"], tmp_path / "studies")
