rule initialize:
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
        mem_mb=2000,
        runtime=10,
    params:
        settings=settings("initialize"),
        code=code("initialize"),
    shell:
        f"{NNFLOW} initialize {{wildcards.study}} {OPTIONS}"
