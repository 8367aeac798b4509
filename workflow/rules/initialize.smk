rule initialize:
    input:
        lambda wildcards: PLAN.used_files(wildcards.study),
    output:
        f"{STUDY}/initialization.nc",
    log:
        f"{STUDY}/logs/initialize.log",
    benchmark:
        f"{STUDY}/benchmarks/initialize.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("initialize"),
        runtime=runtime("initialize"),
    params:
        settings=settings("initialize"),
        code=code("initialize"),
    shell:
        f"{NNFLOW} initialize {{wildcards.study}} {OPTIONS}"
