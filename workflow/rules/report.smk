from nnflow.report.subjects import SUBJECTS


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
        f"{RESULTS}/{PLAN.scale}/report.html",
        f"{RESULTS}/{PLAN.scale}/claims.csv",
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
