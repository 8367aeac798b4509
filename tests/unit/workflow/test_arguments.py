"""What `nnflow run` passes on to Snakemake."""

import pytest

from nnflow.base.errors import UserError
from nnflow.study.loading import load_study
from nnflow.workflow.arguments import for_snakemake


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([], []),
        (["--cores", "2"], ["--cores", "2"]),
        (["toy_valley"], ["--config", "studies=toy_valley"]),
        (
            ["toy_valley", "himmelblau", "-n"],
            ["-n", "--config", "studies=toy_valley,himmelblau"],
        ),
        (
            ["himmelblau", "--config", "scale=paper"],
            ["--config", "studies=himmelblau", "scale=paper"],
        ),
        (["results/quick/x.svg", "-c1"], ["results/quick/x.svg", "-c1"]),
        (["--until", "train"], ["--until", "train"]),
        (["-v", "himmelblau"], ["-v", "--config", "studies=himmelblau"]),
        (["--cores", "2", "himmelblau"], ["--cores", "2", "--config", "studies=himmelblau"]),
        (
            ["toy_valley", "-n", "himmelblau", "--config", "scale=paper"],
            ["-n", "--config", "studies=toy_valley,himmelblau", "scale=paper"],
        ),
        (["-d", "himmelblau"], ["-d", "himmelblau"]),
        (["himmelblau", "himmelblau"], ["--config", "studies=himmelblau"]),
    ],
)
def test_studies_may_stand_anywhere(given, passed):
    assert for_snakemake(given) == passed


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["--scale", "paper"], ["--config", "scale=paper"]),
        (
            ["himmelblau", "--scale=paper", "-n", "--results", "there"],
            ["-n", "--config", "studies=himmelblau", "results=there", "scale=paper"],
        ),
        (["--data", "x", "--config", "scale=paper"], ["--config", "data=x", "scale=paper"]),
    ],
)
def test_options_of_other_commands_are_configuration(given, passed):
    assert for_snakemake(given) == passed


def test_a_derived_study_is_written_and_run(project):
    given = ["toy_valley", "--set", "optimizer.rate=0.05", "--as=fast", "--set=runs=7"]
    assert for_snakemake(given) == ["--config", "studies=fast"]
    settings = load_study(project / "config/studies/fast.yaml").configurations[0].settings
    assert (settings.optimizer.rate, settings.runs) == (0.05, 7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["toy_vally"], "no study 'toy_vally' (did you mean 'toy_valley'?)"),
        (["toy_valley", "--set", "runs=3"], "a derived study takes one study"),
        (["toy_valley", "--as", "x"], "a derived study takes one study"),
        (["toy_valley", "himmelblau", "--set", "runs=3", "--as", "x"], "takes one study"),
        (["toy_valley", "--as"], "--as: expected a value"),
        (["toy_valley", "--scale"], "--scale: expected a value"),
    ],
)
def test_mistakes(given, words):
    with pytest.raises(UserError) as caught:
        for_snakemake(given)
    assert words in str(caught.value)
