"""Whole studies in one process."""

import csv
import importlib
import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image

from nnflow.base.progress import Reporter
from nnflow.interfaces.registry import registry
from nnflow.stages.analyze import analyze
from nnflow.stages.certify import certify
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.draw import draw
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.stages.opening import landscape_of
from nnflow.stages.spectrum import spectrum
from nnflow.stages.summarize import summarize
from nnflow.stages.train import train

AGREE = {"reproduced", "not_contradicted", "proved"}
"""The verdicts of agreement."""
PLUGINS = Path(__file__).parents[2] / "plugins"


def complete(study, folder, gpus=0):
    """All stages of a study but the report; the job, which reads the results. Asserts that nobody
    would object to a figure on a printed page: its width, small type, texts over one another."""
    data = folder / "data"
    job = Job(
        study,
        folder / "results",
        data,
        gpus,
        {},
        Reporter("test", None),
        landscape=partial(landscape_of, data),
    )
    if study.trains:
        initialize(job)
        stages = [(train, "training")]
        if study.judges:
            stages.append((classify, "critical_points"))
        for stage, dataset in stages:
            for batch in range(len(study.batches)):
                stage(job, batch)
            collect(job, dataset)
        if study.certifies:
            certify(job)
        if study.judges:
            spectrum(job)
    analyze(job, dict.fromkeys(study.analyses_in_order, ""))
    summarize(job)
    objections = draw(job)
    assert not any(objections.values()), objections
    return job


def verdicts(job):
    """{claim[configuration]: verdict}; {claim: verdict} in a study of one configuration."""
    with (job.folder / "claims.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    one = len(job.study.configurations) == 1
    return {
        row["claim"] if one else f"{row['claim']}[{row['configuration']}]": row["verdict"]
        for row in rows
    }


SVG = "{http://www.w3.org/2000/svg}"
MARKS = re.compile(
    r"(line2d|patch|PathCollection|LineCollection|PolyCollection|QuadMesh|QuadContourSet"
    r"|FillBetweenPolyCollection|EllipseCollection|Quiver)_\d+"
)
"""Groups of an SVG file in which matplotlib draws data; background and spines are patches, too."""


def assert_drawn(folder, names):
    """That each of these figures in a study's folder shows data in every one of its axes, and that
    the PNG file is of the same size and not blank."""
    for name in names:
        file = folder / "figures" / f"{name}.svg"
        drawing = ElementTree.parse(file).getroot()
        axes = [g for g in drawing.iter(f"{SVG}g") if re.fullmatch(r"axes_\d+", g.get("id", ""))]
        assert axes, f"{name}: no axes"
        for each in axes:
            marks = [g for g in each if MARKS.fullmatch(g.get("id", "")) and _shows(g)]
            frame = [g for g in marks if g.get("id").startswith("patch")][:3]
            images = list(each.iter(f"{SVG}image"))
            assert images or len(marks) > len(frame), f"{name}: nothing drawn in {each.get('id')}"
        size = [float(drawing.get(side).removesuffix("pt")) for side in ("width", "height")]
        pixels = matplotlib.image.imread(file.with_suffix(".png"))
        assert [round(72 * n / 200) for n in pixels.shape[1::-1]] == [round(n) for n in size]
        assert len({*map(tuple, pixels[::9, ::9].reshape(-1, 4).tolist())}) > 2, f"{name}: blank"


def _shows(group):
    """Is there a path in the group that is not empty, or a marker?"""
    paths = any(path.get("d", "").strip() for path in group.iter(f"{SVG}path"))
    return paths or next(group.iter(f"{SVG}use"), None) is not None


def module(name):
    """A module of plugins/ that is no figure, by the name of its file."""
    registry()  # which makes plugins/ a package
    (file,) = (f for f in PLUGINS.rglob(f"{name}.py") if f.parent.name != "figures")
    place = file.relative_to(PLUGINS).with_suffix("")
    return importlib.import_module(".".join(("nnflow_plugins", *place.parts)))
