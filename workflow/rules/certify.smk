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
        # matrices of balls: 2500 weights (k = n = 50) take 3 GB
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings("certify"),
        code=code("certify"),
    shell:
        f"{NNFLOW} certify {{wildcards.study}} {OPTIONS}"
