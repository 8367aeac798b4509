rule analyze:
    input:
        lambda wildcards: PLAN.needs(wildcards.study, "analyses", wildcards.analysis),
    output:
        f"{STUDY}/analyses/{{analysis}}.nc",
    log:
        f"{STUDY}/logs/analyze-{{analysis}}.log",
    benchmark:
        f"{STUDY}/benchmarks/analyze-{{analysis}}.tsv"
    group:
        "finish"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("analyze"),
        runtime=runtime("analyze"),
    params:
        settings=settings("analyze"),
        code=code("analyze"),
    shell:
        f"{NNFLOW} analyze {{wildcards.study}} {{wildcards.analysis}} {OPTIONS}"


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
