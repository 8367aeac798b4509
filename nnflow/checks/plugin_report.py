"""nnflow plugins: what there is, and whether it keeps its promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from nnflow.base.errors import UserError
from nnflow.base.settings import meanings, suggest
from nnflow.interfaces import Activation, Dataset, Initializer, Loss, Model, Optimizer
from nnflow.interfaces.plugin import Plugin
from nnflow.interfaces.registry import Registry, registry
from nnflow.study.loading import load_study, study_files
from nnflow.study.types import STAGE_DATASETS, ConfigurationSettings, Study

if TYPE_CHECKING:
    from nnflow.checks.contract_tests import Finding

SAMPLES = 64
"""Samples of a dataset that a model is checked on."""
PARTS = ("model", "dataset", "initializer", "optimizer")
"""What of a configuration is made of plugins."""
UNTRIED = "no study uses it, and a setting has neither a default nor an example"


@dataclass(frozen=True)
class Subject:
    """A plugin to be checked, and the configuration of a study it was found in, if any."""

    plugin: Plugin
    label: str = "check"
    settings: ConfigurationSettings | None = None


def outline(plugin: type[Plugin]) -> str:
    """The first sentence or line of a plugin's own docstring; "" where it has none."""
    doc = (plugin.__dict__.get("__doc__") or "").strip()
    lines = doc.split("\n\n")[0].splitlines()
    if not lines or lines[0].endswith("."):
        return lines[0] if lines else ""
    return " ".join(" ".join(lines).split())


def chosen(names: list[str], studies: Path) -> set[type[Plugin]]:
    """The plugins of these names, of any kind, and all that the studies of these names use. Raises
    UserError for a name that is neither."""
    found, files = registry(), study_files(studies)
    plugins: set[type[Plugin]] = set()
    for name in names:
        here = {named[name] for named in found.plugins.values() if name in named}
        if name in files:
            here |= {type(plugin) for plugin in _plugins(load_study(files[name]))}
        if not here:
            known = {one for named in found.plugins.values() for one in named}
            raise UserError(f"no plugin or study {name!r}{suggest(name, sorted({*known, *files}))}")
        plugins |= here
    return plugins


def _shown(found: Registry, only: set[type[Plugin]] | None) -> Iterator[tuple[str, dict]]:
    """(kind, {name: plugin}) by name; of `only` these plugins, and without kinds that have none."""
    for kind, named in found.plugins.items():
        some = {n: p for n, p in sorted(named.items()) if only is None or p in only}
        if some or only is None:
            yield kind, some


def list_plugins(console: Console, only: set[type[Plugin]] | None = None) -> bool:
    """Print the plugins by kind, with what each is and where it comes from, and then what
    is wrong with the rest. True if nothing is. only: these; None: all."""
    found = registry()
    for kind, named in _shown(found, only):
        console.print(f"{kind}:", style="bold", markup=False)
        for name, plugin in named.items():
            for head, text in ((name, outline(plugin)), ("", _short(found.source(plugin)))):
                console.print(f"  {head:<28} {text}", markup=False, soft_wrap=True)
    return _problems(console, found)


def _problems(console: Console, found: Registry) -> bool:
    for source, reason in found.problems.items():
        text = reason if source in reason else f"{_short(source)}: {reason}"
        console.print(f"nnflow: {text}", style="red", markup=False, soft_wrap=True)
    return not found.problems


def _short(source: str) -> str:
    path = Path(source)
    inside = path.is_absolute() and path.is_relative_to(Path.cwd())
    return str(path.relative_to(Path.cwd())) if inside else source


def check_plugins(
    console: Console, studies: Path, data: Path, only: set[type[Plugin]] | None = None
) -> bool:
    """Run plugins through their oracles and print a table. True if none failed.

    studies: the folder of study files that settings without a default are taken from.
    data: where datasets keep their files. only: these plugins; None: every one.
    """
    found = registry()
    subjects, notes = _from_studies(studies, only)
    table = Table("kind", "plugin", "result", "detail", title="Plugins against their oracles")
    good = True
    for kind, named in _shown(found, only):
        for name, plugin in named.items():
            results = list(check_plugin(plugin, subjects, data, found))
            failed = [result for result in results if result.passed is False]
            good &= not failed
            passed = sum(result.passed is True for result in results)
            word = "[red]failed[/red]" if failed else f"{passed} passed"
            table.add_row(kind, name, word, _detail(results))
    console.print(table)
    for note in notes:
        console.print(f"not used: {note}", markup=False, soft_wrap=True)
    return _problems(console, found) and good


def _detail(results: list[Finding]) -> str:
    """The failures, what could not be tried, and differences in the last bits."""
    from rich.markup import escape

    told = [r for r in results if r.passed is not True or "not bit-identical" in r.detail]
    words = {True: "", False: "FAILED ", None: "skipped "}
    return escape("\n".join(f"{words[r.passed]}{r.check}: {r.detail}".rstrip(": ") for r in told))


def check_plugin(
    plugin: type[Plugin], subjects: dict[type[Plugin], Subject], data: Path, found: Registry
) -> Iterator[Finding]:
    """What the oracles find about one plugin."""
    from nnflow.checks.contract_tests import Finding

    yield from _documented(plugin)
    if plugin.kind in ("analyses", "figures"):
        yield from _needs(plugin, found, subjects)
        return
    subject = subjects.get(plugin) or _with_defaults(plugin)
    if subject is None:
        yield Finding("oracles", None, UNTRIED)
        return
    try:
        yield from _oracles(subject, data)
    except UserError as error:
        yield Finding("oracles", None, str(error))
    except Exception as error:
        text = " ".join(str(error).split())
        yield Finding("oracles", False, f"{type(error).__name__}: {text}")


def _with_defaults(plugin: type[Plugin]) -> Subject | None:
    """Settings at their defaults, or at the first of a field's `examples`."""
    fields = plugin.model_fields.items()
    required = {
        key: field.examples[0] for key, field in fields if field.is_required() and field.examples
    }
    try:
        return Subject(plugin.model_validate(required))
    except ValidationError:
        return None


def _oracles(subject: Subject, data: Path) -> Iterator[Finding]:
    from nnflow.checks import contract_tests as oracles
    from nnflow.checks import variation_tests as variation

    plugin, settings = subject.plugin, subject.settings
    if isinstance(plugin, Model):
        dataset = settings.dataset if settings else None
        samples = _samples(plugin, dataset, data)
        yield from oracles.check_model(plugin, samples)
        yield from variation.check_varied_model(plugin, samples)
        if type(plugin).enclosure is not Model.enclosure:
            from nnflow.checks.enclosure_tests import check_enclosure

            yield from check_enclosure(plugin)
    elif isinstance(plugin, Initializer) and type(plugin).draw is Initializer.draw:
        from nnflow.checks.contract_tests import Finding

        yield Finding("oracles", None, "draws nothing: it begins with what a study gives it")
    elif isinstance(plugin, Initializer):
        shapes = settings.model.shapes() if settings else {"w": (3, 4), "b": (3,)}
        yield from oracles.check_initializer(plugin, shapes, subject.label)
        yield from variation.check_varied_initializer(plugin, shapes, subject.label)
    elif isinstance(plugin, Dataset):
        yield from _dataset(plugin, data)
    else:
        checks: dict[type[Plugin], Callable[[Any], Iterator[Finding]]] = {
            Optimizer: oracles.check_optimizer,
            Activation: oracles.check_activation,
            Loss: oracles.check_loss,
        }
        (check,) = (check for kind, check in checks.items() if isinstance(plugin, kind))
        yield from check(plugin)
        if isinstance(plugin, Optimizer):
            yield from variation.check_varied_optimizer(plugin)


def _samples(model: Model, dataset: Dataset | None, folder: Path) -> dict[str, Any]:
    """The first samples, as training would be given them."""
    import torch

    from nnflow.engine.samples import for_model, load_arrays

    arrays = for_model(model, load_arrays(dataset, folder)) if dataset else {}
    return {name: torch.as_tensor(array[:SAMPLES]) for name, array in arrays.items()}


def _dataset(dataset: Dataset, folder: Path) -> Iterator[Finding]:
    import numpy as np

    from nnflow.checks.contract_tests import Finding

    arrays, again = dataset.load(folder), dataset.load(folder)
    yield Finding("has inputs (sample, feature)", arrays["inputs"].ndim == 2)
    for prefix in ("", "test_"):
        sizes = {len(a) for name, a in arrays.items() if name.startswith("test_") == bool(prefix)}
        yield Finding(f"{prefix}arrays are of one length", len(sizes) <= 1)
    reals = [array for array in arrays.values() if array.dtype.kind == "f"]
    exact = all(array.dtype == np.float64 and np.isfinite(array).all() for array in reals)
    yield Finding("real arrays are finite, in float64", exact)
    same = arrays.keys() == again.keys()
    yield Finding("determinism", same and all(np.array_equal(arrays[n], again[n]) for n in arrays))


def _documented(plugin: type[Plugin]) -> Iterator[Finding]:
    from nnflow.checks.contract_tests import Finding

    yield Finding("docstring", bool(outline(plugin)), "" if outline(plugin) else "missing")
    missing = [key for key, text in meanings(plugin).items() if not text]
    detail = f"no docstring below {', '.join(missing)}" if missing else ""
    yield Finding("settings are documented", not missing, detail)


def _needs(
    plugin: type[Plugin], found: Registry, subjects: dict[type[Plugin], Subject]
) -> Iterator[Finding]:
    from nnflow.checks.contract_tests import Finding

    known = {*STAGE_DATASETS, *found.plugins["analyses"]}
    if plugin.kind == "analyses":
        known.discard("summary")
    # a setting may say what is needed, so an instance knows best
    subject = subjects.get(plugin) or _with_defaults(plugin)
    needs = subject.plugin.needs if subject else plugin.needs
    if subject is None and not isinstance(needs, tuple):
        yield Finding("needs", None, UNTRIED)
        return
    in_studies = subject is not None and plugin in subjects
    unknown = [] if in_studies else [need for need in needs if need not in known]
    detail = f"no such dataset: {', '.join(unknown)}" if unknown else ""
    yield Finding("needs", not unknown, detail)


def _plugins(study: Study) -> Iterator[Plugin]:
    """All that a study uses."""
    yield from study.plugins("analyses", "figures")
    for configuration in study.configurations:
        for part in PARTS:
            whole = getattr(configuration.settings, part)
            yield from whole.plugins() if whole is not None else ()


def _from_studies(
    folder: Path, only: set[type[Plugin]] | None = None
) -> tuple[dict[type[Plugin], Subject], list[str]]:
    """Each plugin as the first study that uses it sets it, at its smallest configuration;
    and the studies that can't be read. only: no study is read after these are found."""
    subjects: dict[type[Plugin], Subject] = {}
    notes = []
    for file in study_files(folder).values():
        if only is not None and only <= subjects.keys():
            break
        try:
            study = load_study(file)
        except UserError as error:
            notes.append(str(error))
            continue
        for plugin in study.plugins("analyses", "figures"):
            subjects.setdefault(type(plugin), Subject(plugin))
        configurations = sorted(
            study.configurations, key=lambda configuration: _size(configuration.settings.model)
        )
        for configuration in configurations:
            for part in PARTS:
                whole = getattr(configuration.settings, part)
                for plugin in whole.plugins() if whole is not None else ():
                    subject = Subject(plugin, configuration.label, configuration.settings)
                    subjects.setdefault(type(plugin), subject)
    return subjects, notes


def _size(model: Model | None) -> int:
    """Number of weights; 0 where nothing is trained, or it is not known before training."""
    return (model.size_if_known() or 0) if model else 0
