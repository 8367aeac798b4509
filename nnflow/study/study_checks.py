"""What no single key of a study can tell: whether its parts fit together."""

from __future__ import annotations

from graphlib import CycleError
from itertools import product

import numpy as np
from pydantic import ValidationError

from nnflow.base.settings import explain, suggest
from nnflow.interfaces import Model
from nnflow.interfaces.model import size
from nnflow.study.findings import fields
from nnflow.study.types import (
    OBJECTIVE,
    STAGE_DATASETS,
    Configuration,
    ConfigurationSettings,
    Study,
)
from nnflow.study.vary import MOST, PARTS, axis

FLOAT32_REACH = 2.0**-20
"""What a gradient norm or a loss can't be brought below in float32, about 1e-6. Weights are
rounded by up to ε/2 = 2⁻²⁴ of their size, and the sums behind a gradient add as much again per
term: at weights and curvatures near 1 a few ε = 2⁻²³ remain, and eight leave room."""


def check_whole(study: Study) -> None:
    """Raise ValueError where a study does not fit together; it names the key and the reason."""
    _check_certify(study)
    for configuration in study.configurations:
        _check_parts(configuration.settings)
        _check_stop(configuration.settings)
        _check_manifold(configuration.settings)
        _check_constraints(configuration.settings)
        _check_density(configuration.settings)
        _check_curvature(configuration.settings)
        _check_precision(configuration.settings)
        _check_models(study, configuration)
        _check_vary(configuration)
        _check_arrays(configuration.settings)
        _check_trace(configuration.settings)
    _check_needs(study)
    _check_uses(study)
    _check_claims(study)
    _check_findings(study)


def _announced(study: Study) -> set[str]:
    """The columns of the summary; none where an analysis does not say which it gives."""
    analyses = study.settings.analyses.values()
    if not all(plugin.columns for plugin in analyses):
        return set()
    columns = {name for plugin in analyses for name in plugin.columns}
    return columns | {f"{name}_{end}" for name in columns for end in ("low", "high")}


def _check_findings(study: Study) -> None:
    """Raise ValueError for braces that name no column, and for a headline that is no figure."""
    headline, figures = study.settings.headline_figure, sorted(study.settings.figures)
    if headline and headline not in figures:
        raise ValueError(f"headline_figure: no figure {headline!r}{suggest(headline, figures)}")
    columns = _announced(study)
    known = columns or not study.settings.analyses
    for position, text in enumerate(study.settings.findings):
        try:
            found = fields(text)
        except ValueError as error:
            raise ValueError(f"findings.{position}: {error}") from None
        for field in found:
            if known and field.column not in columns:
                raise ValueError(
                    f"findings.{position}: no analysis gives the column {field.column!r}"
                    f"{suggest(field.column, sorted(columns))}"
                )


def _check_claims(study: Study) -> None:
    """Raise ValueError for two claims of one name, and for a column that no analysis announces."""
    seen: set[str] = set()
    columns = _announced(study)
    known = columns or not study.settings.analyses
    for claim in study.settings.claims:
        if claim.claim in seen:
            raise ValueError(f"claims: two are named {claim.claim!r}; rename one")
        seen.add(claim.claim)
        if known and claim.value not in columns:
            raise ValueError(
                f"claims.{claim.claim}: no analysis gives the column {claim.value!r}"
                f"{suggest(claim.value, sorted(columns))}"
            )


def _check_uses(study: Study) -> None:
    """Raise ValueError where a plugin reads a study that the key `uses` does not name."""
    parts = ("model", "dataset", "initializer", "optimizer", "analyses", "figures")
    for plugin in study.plugins(*parts):
        for name in plugin.used_studies():
            if name not in study.settings.uses:
                raise ValueError(f"uses: {plugin.name!r} reads the study {name!r}; name it here")


def _check_trace(settings: ConfigurationSettings) -> None:
    if settings.spectrum.at == "trace" and settings.trace.weights is None:
        raise ValueError("spectrum.at: trace needs kept weights; set trace.weights, such as 5")


def _check_certify(study: Study) -> None:
    """Raise ValueError where a study asks for proofs that can't be had."""
    if study.certifies and not study.settings.judge:
        raise ValueError("judge: certificates are of judged ends; leave out `certify` or `judge`")
    for configuration in study.configurations:
        model = configuration.settings.model
        if (configuration.settings.certify is None) == study.certifies:
            raise ValueError("certify: all configurations have certificates, or none has")
        if study.certifies and model is None:
            raise ValueError("certify: a study without a model has nothing to certify")
        if study.certifies and type(model).enclosure is Model.enclosure:
            raise ValueError(
                f"certify: the model {model.name!r} gives no enclosure, so nothing can be proved"
            )
        if study.certifies and configuration.settings.dataset is not None:
            raise ValueError("certify: enclosures are of a loss without a dataset")


def _bounded(model: Model) -> bool:
    return type(model).third_derivative_bound is not Model.third_derivative_bound


def _check_manifold(settings: ConfigurationSettings) -> None:
    model, optimizer = settings.model, settings.optimizer
    if model is None or model.manifold() is None:
        return
    if optimizer is not None and not optimizer.keeps_manifold:
        raise ValueError(
            f"optimizer: {optimizer.name!r} leaves the manifold that the weights of the model"
            f" {model.name!r} are bound to"
        )
    if settings.stop.basin:
        raise ValueError(
            f"stop.basin: no basin can be proved where the weights of the model {model.name!r} are"
            " bound to a manifold"
        )


def _check_constraints(settings: ConfigurationSettings) -> None:
    model, optimizer = settings.model, settings.optimizer
    if model is None:
        return
    if model.constraints() is None:
        if optimizer is not None and optimizer.needs_constraints:
            raise ValueError(
                f"optimizer: {optimizer.name!r} needs constraints, and the weights of the model"
                f" {model.name!r} have none"
            )
        return
    if optimizer is not None and not optimizer.keeps_constraints:
        raise ValueError(
            f"optimizer: {optimizer.name!r} leaves the convex set that the weights of the model"
            f" {model.name!r} are confined to"
        )
    if model.manifold() is not None:
        raise ValueError(
            f"model: the weights of {model.name!r} are bound to a manifold and confined to a convex"
            " set; only one of them is possible"
        )
    if settings.stop.basin:
        raise ValueError(
            f"stop.basin: no basin can be proved where the weights of the model {model.name!r} are"
            " confined to a convex set"
        )
    if settings.certify is not None:
        raise ValueError(
            f"certify: nothing can be proved where the weights of the model {model.name!r} are"
            " confined to a convex set"
        )
    if size(model) > settings.classify.dense_up_to:
        raise ValueError(
            f"classify.dense_up_to: must be at least {size(model)}, as the Hessians of the model"
            f" {model.name!r} are restricted to faces of its convex set"
        )


def _check_curvature(settings: ConfigurationSettings) -> None:
    model, curvature = settings.model, settings.spectrum.curvature
    if model is None or curvature == "hessian":
        return
    if model.manifold() is not None or model.constraints() is not None:
        raise ValueError(
            f"spectrum.curvature: the weights of the model {model.name!r} are not free, so that"
            " there is only the Hessian"
        )


def _check_density(settings: ConfigurationSettings) -> None:
    model, most = settings.model, settings.classify.dense_up_to
    density = settings.spectrum.density
    if model is None or density is None:
        return
    if density != "exact":
        if model.manifold() is not None or model.constraints() is not None:
            raise ValueError(
                f"spectrum.density: the weights of the model {model.name!r} are not free, so that"
                " Hessians are formed; use exact"
            )
        return
    known = model.size_if_known()
    if known is not None and known > most:
        raise ValueError(
            f"spectrum.density: exact takes whole Hessians; classify.dense_up_to must be at least"
            f" {known}"
        )


def _check_precision(settings: ConfigurationSettings) -> None:
    """Raise ValueError where float32 can't reach what the settings ask for."""
    if settings.precision == "float64":
        return
    if settings.stop.basin:
        raise ValueError("precision: float32 proves no basin (stop.basin); use float64")
    asked = {"stop.gradient_norm": settings.stop.gradient_norm, "stop.loss": settings.stop.loss}
    if settings.classify.polish == "none":
        asked["classify.critical_below"] = settings.classify.critical_below
    for key, threshold in asked.items():
        if threshold is not None and threshold < FLOAT32_REACH:
            raise ValueError(
                f"precision: float32 does not reach {key}: {threshold:g}"
                f" (at least {FLOAT32_REACH:.2g}); use float64 or raise it"
            )


def _check_parts(settings: ConfigurationSettings) -> None:
    parts = {"model", "initializer", "optimizer"}
    given = {part for part in parts if getattr(settings, part) is not None}
    if given and not given >= {"model", "initializer"}:
        missing = sorted({"model", "initializer"} - given)[0]
        raise ValueError(f"{missing}: this key is missing (a study that trains needs it)")
    count = settings.initializer.count() if settings.initializer is not None else None
    if given == parts or not given:
        return
    if count is None:
        raise ValueError(
            "optimizer: this key is missing (a study that trains needs it; weights that the"
            " initializer reads from files need none)"
        )


def _check_models(study: Study, configuration: Configuration) -> None:
    """Raise ValueError where an analysis does not know the model of a configuration."""
    model = configuration.settings.model
    names = {getattr(base, "name", "") for base in type(model).__mro__} if model else set()
    for key, analysis in study.settings.analyses.items():
        if analysis.models and not names & set(analysis.models):
            given = f"{model.name!r}" if model else "none"
            raise ValueError(
                f"analyses.{key}: is about the model {' or '.join(map(repr, analysis.models))}"
                f" (the study has {given} at {configuration.label})"
            )


def _check_arrays(settings: ConfigurationSettings) -> None:
    """Raise ValueError where the dataset is known not to have what the model needs."""
    model, dataset = settings.model, settings.dataset
    needed = model.arrays() if model else {}
    if dataset is None and needed:
        raise ValueError(
            f"dataset: the model {model.name!r} needs {', '.join(map(repr, needed))}, and the study"
            " names no dataset"
        )
    for name in needed:
        if dataset.gives and name not in dataset.gives:
            raise ValueError(
                f"dataset: the model {model.name!r} needs {name!r}; {dataset.name!r} has:"
                f" {', '.join(dataset.gives)}"
            )


def _check_vary(configuration: Configuration) -> None:
    """Raise ValueError where a setting can't vary, or a number is out of range."""
    settings = configuration.settings
    for key, numbers in settings.vary.items():
        part, _, name = key.partition(".")
        plugin = getattr(settings, part, None) if part in PARTS else None
        if plugin is None:
            raise ValueError(
                f"vary.{key}: expected a setting of {', '.join(PARTS)}, such as optimizer.rate"
            )
        if name not in plugin.varies:
            known = ", ".join(plugin.varies) or "none"
            raise ValueError(
                f"vary.{key}: this setting of {plugin.name!r} can't differ from run to run"
                f" (those that can: {known})"
            )
        values = np.sort(axis(numbers))
        if (twice := values[1:] == values[:-1]).any():
            raise ValueError(f"vary.{key}: {values[1:][twice][0]:g} occurs twice")
    for part in PARTS:
        _check_varied_plugin(settings, part)
    if configuration.runs > MOST:
        key = "vary" if settings.vary else "runs"
        raise ValueError(f"{key}: {configuration.runs} runs, of which {MOST} are the most")
    if settings.certify is not None and any(key.startswith("model.") for key in settings.vary):
        raise ValueError("vary: certificates are of one model; its settings can't be varied")


def _check_varied_plugin(settings: ConfigurationSettings, part: str) -> None:
    """Raise ValueError where a plugin refuses the least or largest numbers of its settings, each
    with each: what all its types and rules allow there, they allow between."""
    axes = {k: axis(n) for k, n in settings.vary.items() if k.partition(".")[0] == part}
    if not axes:
        return
    plugin = getattr(settings, part)
    given = {name: getattr(plugin, name) for name in type(plugin).model_fields}
    for corner in product(*(sorted({x.min(), x.max()}) for x in axes.values())):
        numbers = {key.partition(".")[2]: float(x) for key, x in zip(axes, corner, strict=True)}
        try:
            type(plugin).model_validate({**given, **numbers})
        except ValidationError as error:
            raise ValueError(f"vary.{part}.{explain(error)}") from None


def _check_stop(settings: ConfigurationSettings) -> None:
    if (settings.stop.basin or settings.stop.loss) and not (
        settings.optimizer and settings.optimizer.is_gradient_descent
    ):
        rule = "basin" if settings.stop.basin else "loss"
        raise ValueError(
            f"stop.{rule}: the optimizer {settings.optimizer and settings.optimizer.name!r}"
            " may leave a basin or raise the loss, so a run can't be decided early"
        )
    if settings.stop.basin and not _bounded(settings.model):
        raise ValueError(
            f"stop.basin: the model {settings.model.name!r} has no third-derivative bound,"
            " so no basin can be proved"
        )


def _check_needs(study: Study) -> None:
    """Raise ValueError where an analysis or a figure needs what there is not."""
    stages = {"initialization", "training"} if study.trains else set()
    if study.judges:
        stages |= {"critical_points", "spectra"}
    if study.trains:
        stages |= {OBJECTIVE}
    if study.certifies:
        stages |= {"certificates"}
    analyses = set(study.settings.analyses)
    for key in sorted(analyses & set(STAGE_DATASETS)):
        raise ValueError(f"analyses.{key}: this is the name of a stage's dataset; use another")
    for part, extra in (("analyses", set()), ("figures", {"summary"})):
        for key, plugin in getattr(study.settings, part).items():
            for need in plugin.needs:
                if need not in stages | analyses | extra:
                    raise ValueError(
                        f"{part}.{key}: needs {need!r}, which this study does not produce"
                        f" (it has: {', '.join(sorted(stages | analyses | extra)) or 'nothing'})"
                    )
    for key, plugin in study.settings.analyses.items():
        if plugin.parts(study) and (others := [n for n in plugin.needs if n in analyses]):
            raise ValueError(
                f"analyses.{key}: has parts, which are computed before the analysis"
                f" {others[0]!r} that it needs"
            )
    try:
        study.analyses_in_order  # noqa: B018
    except CycleError as error:
        raise ValueError(f"analyses: each needs the next: {', '.join(error.args[1])}") from None
