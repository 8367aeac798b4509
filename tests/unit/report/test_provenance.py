"""Run times and files."""

from nnflow.report.provenance import provenance


def test_jobs_are_added_up_and_files_are_linked(tmp_path):
    folder = tmp_path / "study"
    for name, text in {
        "benchmarks/train-0.tsv": "s\th:m:s\n1.5\t0:00:01\n",
        "benchmarks/analyze/part-0.tsv": "s\th:m:s\n2.5\t0:00:02\n",
        "benchmarks/draw.tsv": "s\n",
        "benchmarks/odd.tsv": "s\nNA\n",
        "claims.csv": "",
        "analyses/a b.nc": "",
        "logs/draw.log": "",
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = provenance(folder)
    assert (found.seconds, found.commit) == (4.0, "")
    assert found.files == {
        "datasets": (("a b.nc", "study/analyses/a%20b.nc"),),
        "claims": (("claims.csv", "study/claims.csv"),),
        "logs": (("draw.log", "study/logs/draw.log"),),
    }


def test_where_nothing_was_measured_no_time_is_told(tmp_path):
    assert provenance(tmp_path).seconds is None
