def in_report(file, study):
    """A figure as `snakemake --report` shows it: the drawing, not its PNG file as well."""
    if not file.endswith(".svg"):
        return file
    return report(
        file,
        caption="../report/figure.rst",
        category=lambda wildcards: CAPTIONS.subject(study),
        subcategory=lambda wildcards: CAPTIONS.title(study),
        labels=lambda wildcards: {
            "figure": figure_title(file),
            "study": study,
            "subject": CAPTIONS.subject(study),
        },
    )


# One rule per study, as each has figures of its own; one job, as most of a drawing job
# is the start of Python and matplotlib.
for study in PLAN.all_studies:

    rule:
        name:
            f"draw_{study}"
        input:
            PLAN.figure_inputs(study),
        output:
            [in_report(file, study) for file in PLAN.figures(study)],
        log:
            f"{RESULTS}/{PLAN.scale}/{study}/logs/draw.log",
        benchmark:
            f"{RESULTS}/{PLAN.scale}/{study}/benchmarks/draw.tsv"
        group:
            f"finish_{study}"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            mem_mb=memory("draw", study),
            runtime=runtime("draw", study),
        params:
            # the shell command is read when the job runs, after the loop has ended
            study=study,
            settings=lambda wildcards, study=study: PLAN.settings("draw", study),
            code=PLAN.depends("draw", study),
        shell:
            f"{NNFLOW} draw {{params.study}} --scale {PLAN.scale} {FOLDER}"
