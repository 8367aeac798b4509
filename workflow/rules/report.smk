from nnflow.report.subjects import SUBJECTS


report: "../report/workflow.rst"


# Where a job failed, the others went on: what they found can be read.
onerror:
    shell(
        f"{NNFLOW} report {' '.join(PLAN.studies)} --scale {PLAN.scale}"
        f" --results {shlex.quote(str(RESULTS))} --unfinished"
    )


rule report:
    input:
        of_study("summary.nc"),
        of_study("claims.csv"),
        [PLAN.figures(study) for study in PLAN.studies],
        SUBJECTS if SUBJECTS.exists() else [],
    output:
        report(
            f"{RESULTS}/{PLAN.scale}/report.html",
            caption="../report/page.rst",
            category="All studies",
            labels={"figure": "Report of nnflow", "study": "all", "subject": "all"},
        ),
        report(
            f"{RESULTS}/{PLAN.scale}/claims.csv",
            caption="../report/all_claims.rst",
            category="All studies",
            labels={"figure": "(table of claims)", "study": "all", "subject": "all"},
        ),
    log:
        f"{RESULTS}/{PLAN.scale}/logs/report.log",
    benchmark:
        f"{RESULTS}/{PLAN.scale}/benchmarks/report.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        settings=lambda wildcards: [
            PLAN.settings("report", study) for study in PLAN.studies
        ],
        code=PLAN.depends("report", PLAN.studies[0]),
        studies=PLAN.studies,
    shell:
        f"{NNFLOW} report {{params.studies}} --scale {PLAN.scale} {FOLDER}"
