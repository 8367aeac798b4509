"""The pages of the documentation that are made of studies and results: one for each text that
nnflow studies (docs/texts.yaml), and a gallery of figures.

    python -m nnflow.checks.site                     # writes docs/generated/, for `make docs`
    python -m nnflow.checks.site --keep results      # writes docs/results/answers.json

A study's answers are those of results/paper, else of results/quick, else those that are kept in
docs/results/answers.json. Titles, questions and sources are those of the study files.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnflow.base import store
from nnflow.base.strict_yaml import read_yaml_file
from nnflow.report.provenance import provenance
from nnflow.report.rows import measured, read_rows, stated, statements, typical, wording
from nnflow.report.sections import filled_findings
from nnflow.report.typeset import typeset
from nnflow.study.loading import built_in_studies, load_study
from nnflow.study.results import dataset_path
from nnflow.study.types import Study

TEXTS = Path("docs/texts.yaml")
KEPT = Path("docs/results/answers.json")
GENERATED = Path("docs/generated")
RESULTS = Path("results")
SCALES = ("paper", "quick")
"""In the order in which they are preferred."""
MARKS = re.compile(r"[|*_\[\]`~$\\]")
PREFIX = "<!-- made by `python -m nnflow.checks.site` -->\n\n"


def texts() -> dict[str, dict[str, Any]]:
    """{text: its name, its citation, its parts with their studies}."""
    return read_yaml_file(TEXTS)


def answers(results: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """{study: what it answers}: the scale, the commit that computed it, its findings, and for each
    claim its words and verdict, what is printed and measured in the case that speaks for it, and
    how many cases there are. Studies without results are those that were kept."""
    found = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    for name, file in built_in_studies().items():
        for scale in SCALES:
            folder = results / scale / name
            if dataset_path(folder, "summary").exists() and (folder / "claims.csv").exists():
                found[name] = _answer(load_study(file, scale), folder)
                break
    return found


def _answer(study: Study, folder: Path) -> dict[str, Any]:
    summary = store.read(dataset_path(folder, "summary"))[""]
    found = statements(study.name, study.settings.claims, read_rows(folder / "claims.csv"))
    cases = {one.name: typical(one) for one in found}
    return {
        "scale": study.scale,
        "commit": provenance(folder).commit,
        "findings": [one.text for one in filled_findings(study, summary)],
        "claims": {
            one.name: {
                "text": one.text,
                "verdict": one.verdict,
                "stated": stated(case := cases[one.name]),
                "measured": measured(case) if one.measured else "",
                "case": case["configuration"] if len(one.measured) > 1 else "",
                "cases": len(one.measured),
            }
            for one in found
        },
    }


def text_page(told: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> str:
    """What a text states, part by part, and what came out. known: `answers`."""
    studies = {name: load_study(built_in_studies()[name], "quick") for name in _named(told)}
    parts = [f"{PREFIX}# {told['name']}\n\n{_typeset(told['text'])}.\n", _totals(studies, known)]
    for title, names in told["parts"].items():
        parts.append(f"## {title}\n")
        parts += [_study(studies[name], known.get(name)) for name in names]
    return "\n".join(parts)


def _named(told: Mapping[str, Any]) -> list[str]:
    return [name for names in told["parts"].values() for name in names]


def _totals(studies: Mapping[str, Study], known: Mapping[str, Mapping[str, Any]]) -> str:
    verdicts = Counter(
        known.get(name, {}).get("claims", {}).get(claim.claim, {}).get("verdict", "not_measured")
        for name, study in studies.items()
        for claim in _printed(study)
    )
    counted = ", ".join(f"{number} {verdict.replace('_', ' ')}"
                        for verdict, number in verdicts.most_common())  # fmt: skip
    return (
        f"{len(studies)} studies hold {verdicts.total()} printed numbers and statements against"
        f" measurements: {counted or 'none'}. [Findings and claims](../../reference/claims.md) says"
        " what the verdicts mean.\n"
    )


def _printed(study: Study) -> list:
    return [claim for claim in study.settings.claims if claim.category != "cross_check"]


def _study(study: Study, answer: Mapping[str, Any] | None) -> str:
    """A study: its question, what came out, and its statements beside what was measured."""
    chosen, claims = study.settings, _printed(study)
    file = Path(study.file).relative_to(Path.cwd()).as_posix()
    parts = [f"### {chosen.title}\n", f"*{_typeset(chosen.question)}*\n" if chosen.question else ""]
    if answer is None:
        parts.append(f"Not computed yet; `nnflow run {study.name}` does it.\n")
    else:
        parts += [f"{_typeset(finding)}\n" for finding in answer["findings"]]
    if claims:
        parts.append("| stated | where | printed | measured | verdict |\n|---|---|---|---|---|")
        told = answer["claims"] if answer else {}
        parts += [_row(claim, told.get(claim.claim)) for claim in claims]
        parts.append("")
    ours = len(chosen.claims) - len(claims)
    beside = f", with {ours} cross-checks of ours" if ours else ""
    at = f" Measured at {answer['scale']} scale by commit {answer['commit'][:7]}." if answer else ""
    parts.append(f"Study [`{study.name}`](../../../{file}){beside}.{at}\n")
    return "\n".join(part for part in parts if part is not None)


def _row(claim: Any, told: Mapping[str, Any] | None) -> str:
    if told is None:
        cells = (wording(claim, []), claim.source, "", "", "not computed yet")
    else:
        case, cases = told["case"].replace(",", ", "), told["cases"]
        cells = (
            told["text"] + (f" ({case}, of {cases} cases)" if case else ""),
            claim.source,
            told["stated"],
            told["measured"] or "–",
            told["verdict"].replace("_", " "),
        )
    return f"| {' | '.join(map(_typeset, cells))} |"


def _typeset(text: str) -> str:
    """Text with indices and links, in which Markdown sees no signs of its own."""
    parts = re.split(r"(<[^>]*>)", str(typeset(" ".join(text.split()))))
    parts[::2] = [MARKS.sub(lambda sign: f"&#{ord(sign[0])};", part) for part in parts[::2]]
    return "".join(parts)


def gallery(known: Mapping[str, Mapping[str, Any]], results: Path, to: Path) -> str:
    """The headline figure of each study that has results, with its first finding; the pictures are
    copied to the folder `to`."""
    parts = [f"{PREFIX}# Gallery\n"]
    for name, file in built_in_studies().items():
        study = load_study(file, "quick")
        drawn = list(_drawn(study, results))
        if not drawn:
            continue
        to.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(drawn[0], to / f"{name}.png")
        parts.append(f"## {study.settings.title}\n\n![{name}]({to.name}/{name}.png)\n")
        parts += [f"{_typeset(one)}\n" for one in known.get(name, {}).get("findings", [])[:1]]
    if len(parts) == 1:
        parts.append("No figures yet: `make figures` draws them, `make docs` then shows them.\n")
    return "\n".join(parts)


def _drawn(study: Study, results: Path) -> Iterator[Path]:
    """The files of a study's figures that are there, the headline first."""
    chosen = study.settings
    names = [name for name in (chosen.headline_figure, *chosen.figures) if name]
    files = (results / scale / study.name / "figures" / f"{name}.png"
             for scale in SCALES for name in names)  # fmt: skip
    return (file for file in files if file.exists())


def write(results: Path = RESULTS, to: Path = GENERATED) -> None:
    """Write all of these pages anew into the folder `to`."""
    shutil.rmtree(to, ignore_errors=True)
    known = answers(results)
    for name, told in texts().items():
        store.write_text(to / "texts" / f"{name}.md", text_page(told, known))
    store.write_text(to / "gallery.md", gallery(known, results, to / "figures"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--keep", type=Path, metavar="RESULTS", help="write docs/results/answers.json"
    )
    kept = parser.parse_args().keep
    if kept:
        told = json.dumps(answers(kept), ensure_ascii=False, indent=1, sort_keys=True)
        store.write_text(KEPT, told + "\n")
    else:
        write()
