# A long analysis may have parts, each a job of its own.
rule analyze_part:
    input:
        lambda wildcards: PLAN.part_inputs(wildcards.study, wildcards.analysis),
    output:
        f"{STUDY}/analyses/{{analysis}}/{{part}}.nc",
    log:
        f"{STUDY}/logs/analyze-{{analysis}}-{{part}}.log",
    benchmark:
        f"{STUDY}/benchmarks/analyze-{{analysis}}-{{part}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("analyze"),
        runtime=runtime("analyze"),
    params:
        settings=lambda wildcards: PLAN.part_settings(
            wildcards.study, wildcards.analysis
        ),
        code=lambda wildcards: PLAN.part_depends(wildcards.study, wildcards.analysis),
    shell:
        f"{NNFLOW} analyze {{wildcards.study}} {{wildcards.analysis}} --part {{wildcards.part}} {OPTIONS}"


# One rule per study, as each has analyses of its own; one job, as most of each analysis
# alone would be the start of Python and reading the same datasets.
for study in PLAN.all_studies:
    if PLAN.analyses(study):

        rule:
            name:
                f"analyze_{study}"
            input:
                PLAN.analysis_inputs(study),
            output:
                PLAN.analysis_files(study),
            log:
                f"{RESULTS}/{PLAN.scale}/{study}/logs/analyze.log",
            benchmark:
                f"{RESULTS}/{PLAN.scale}/{study}/benchmarks/analyze.tsv"
            group:
                f"finish_{study}"
            conda:
                "../../environment.yml"
            threads: 1
            resources:
                mem_mb=memory("analyze", study),
                runtime=runtime("analyze", study),
            params:
                # the shell command is read when the job runs, after the loop has ended
                study=study,
                settings=PLAN.settings("analyze", study),
                code=PLAN.depends("analyze", study),
            shell:
                f"{NNFLOW} analyze {{params.study}} --scale {PLAN.scale} {FOLDER}"


rule summarize:
    input:
        lambda wildcards: PLAN.analysis_files(wildcards.study),
    output:
        f"{STUDY}/summary.nc",
        report(
            f"{STUDY}/claims.csv",
            caption="../report/claims.rst",
            category=lambda wildcards: CAPTIONS.subject(wildcards.study),
            subcategory=lambda wildcards: CAPTIONS.title(wildcards.study),
            labels=lambda wildcards: {
                "figure": "(table of claims)",
                "study": wildcards.study,
                "subject": CAPTIONS.subject(wildcards.study),
            },
        ),
    log:
        f"{STUDY}/logs/summarize.log",
    benchmark:
        f"{STUDY}/benchmarks/summarize.tsv"
    group:
        "finish_{study}"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("summarize"),
        runtime=runtime("summarize"),
    params:
        settings=settings("summarize"),
        code=code("summarize"),
    shell:
        f"{NNFLOW} summarize {{wildcards.study}} {OPTIONS}"
