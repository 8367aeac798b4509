# The rules of each study, as the files that they read and write are its own.
for study in PLAN.studies:
    for job, analyses in PLAN.analyze_jobs(study).items():

        rule:
            name:
                job.replace("analyze", f"analyze_{study}", 1)
            input:
                PLAN.analyze_files(study, analyses)[0],
            output:
                PLAN.analyze_files(study, analyses)[1],
            log:
                f"{RESULTS}/{PLAN.scale}/{study}/logs/{job}.log",
            benchmark:
                f"{RESULTS}/{PLAN.scale}/{study}/benchmarks/{job}.tsv"
            group:
                "finish"
            conda:
                "../../environment.yml"
            threads: 1
            resources:
                mem_mb=memory("analyze", study),
                runtime=runtime("analyze", study),
            params:
                # the shell command is read when the job runs, after the loops have ended
                study=study,
                analyses=analyses,
                settings=[PLAN.settings("analyze", study, name) for name in analyses],
                code=[PLAN.code("analyze", study, name) for name in analyses],
            shell:
                f"{NNFLOW} analyze {{params.study}} {{params.analyses}} --scale {PLAN.scale} {FOLDER}"


rule summarize:
    input:
        lambda wildcards: [
            f"{RESULTS}/{wildcards.scale}/{wildcards.study}/analyses/{analysis}.nc"
            for analysis in PLAN.analyses(wildcards.study)
        ],
    output:
        f"{STUDY}/summary.nc",
        f"{STUDY}/claims.csv",
    log:
        f"{STUDY}/logs/summarize.log",
    benchmark:
        f"{STUDY}/benchmarks/summarize.tsv"
    group:
        "finish"
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
