rule certify:
    input:
        f"{STUDY}/critical_points.nc",
    output:
        f"{STUDY}/certificates.nc",
    log:
        f"{STUDY}/logs/certify.log",
    benchmark:
        f"{STUDY}/benchmarks/certify.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("certify"),
        runtime=runtime("certify"),
    params:
        settings=settings("certify"),
        code=code("certify"),
    shell:
        f"{NNFLOW} certify {{wildcards.study}} {OPTIONS}"
