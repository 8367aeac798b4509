"""nnflow profile install."""

import re

import pytest
import yaml

from nnflow.base.errors import UserError
from nnflow.workflow.profiles import install_profile, user_folder


@pytest.fixture
def source(tmp_path):
    """Two profiles."""
    for name, text in (("slurm", "executor: slurm\n"), ("gpu", "resources: [gpu=1]\n")):
        folder = tmp_path / "profiles" / name
        folder.mkdir(parents=True)
        (folder / "config.v8+.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "profiles" / "slurm" / "scripts").mkdir()
    (tmp_path / "profiles" / "slurm" / "scripts" / "status.sh").write_text("true\n")
    return tmp_path / "profiles"


@pytest.fixture
def target(tmp_path):
    return tmp_path / "home" / "snakemake"


def content(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_profile_is_copied_whole(source, target):
    assert install_profile("slurm", source, target) == target / "slurm"
    assert content(target / "slurm") == content(source / "slurm")
    assert not (target / "gpu").exists()


def test_installing_twice_changes_nothing(source, target):
    install_profile("slurm", source, target)
    install_profile("slurm", source, target)
    assert content(target / "slurm") == content(source / "slurm")


def test_an_unknown_profile_lists_those_there_are(source, target):
    with pytest.raises(UserError, match=r"no profile 'aws' \(there are: gpu, slurm\)"):
        install_profile("aws", source, target)
    with pytest.raises(UserError, match=r"no profile 'x' \(there are none\)"):
        install_profile("x", source / "nowhere", target)
    for name in ("../profiles/slurm", "", "."):
        with pytest.raises(UserError, match="no profile"):
            install_profile(name, source, target)
    assert not target.exists()


def test_a_file_that_differs_is_kept_unless_forced(source, target):
    install_profile("slurm", source, target)
    changed = target / "slurm" / "scripts" / "status.sh"
    changed.write_text("mine\n")
    own = target / "slurm" / "notes.txt"
    own.write_text("mine\n")
    (source / "slurm" / "config.v8+.yaml").write_text("jobs: 5\n", encoding="utf-8")
    with pytest.raises(UserError, match="--force") as caught:
        install_profile("slurm", source, target)
    assert "\n" not in str(caught.value)
    assert changed.read_text() == "mine\n"
    assert b"jobs" not in (target / "slurm" / "config.v8+.yaml").read_bytes()
    install_profile("slurm", source, target, force=True)
    assert own.read_text() == "mine\n"
    assert content(source / "slurm").items() <= content(target / "slurm").items()


def test_a_target_that_cannot_be_written_is_named(source, target):
    target.parent.mkdir(parents=True)
    target.write_text("a file, not a folder")
    with pytest.raises(UserError, match="snakemake"):
        install_profile("slurm", source, target)


def test_snakemake_finds_an_installed_profile(source, monkeypatch, tmp_path):
    """Under the name, from a folder that has none itself."""
    from snakemake import cli, common

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(common, "APPDIRS", None)
    monkeypatch.chdir(tmp_path)
    assert cli.get_profile_dir("slurm") is None
    folder = install_profile("slurm", source)
    assert folder == user_folder() / "slurm"
    found, file = cli.get_profile_dir("slurm")
    assert (found, file.name) == (folder, "config.v8+.yaml")


def test_the_profiles_here_hold_only_what_snakemake_knows(root):
    """A misspelled key would only show on a cluster."""
    from snakemake.cli import get_argument_parser

    known = {
        option for action in get_argument_parser()._actions for option in action.option_strings
    }
    folders = [file.parent for file in root.glob("workflow/profiles/*/config.yaml")]
    assert sorted(folder.name for folder in folders) == ["gpu", "slurm"]
    for folder in folders:
        keys = yaml.safe_load((folder / "config.yaml").read_text())
        assert {f"--{key}" for key in keys} <= known


def test_the_examples_in_the_slurm_profile_are_right_once_uncommented(root):
    text = (root / "workflow/profiles/slurm/config.yaml").read_text()
    plain = re.sub(
        r"^# ?(?=(default-resources|set-resources|slurm-status-command|  ))", "", text, flags=re.M
    )
    profile = yaml.safe_load(plain)
    assert profile["default-resources"] == {"slurm_account": "NAME", "slurm_partition": "NAME"}
    assert profile["set-resources"] == {"train": {"gpu": 1, "slurm_partition": "gpu"}}
    assert profile["slurm-status-command"] == "squeue"
    assert yaml.safe_load(text).items() <= profile.items()


def test_grouped_jobs_are_short_ones_of_processors(root):
    """What rules of a group ask for adds up, so none that trains may be in one."""
    rules = {file.stem: file.read_text() for file in root.glob("workflow/rules/*.smk")}
    rules["classify"] = rules["classify"].partition("rule collect:")[0]
    for name in ("initialize", "train", "classify", "certify"):
        assert "group:" not in rules[name]
