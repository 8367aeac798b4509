rule spectrum:
    input:
        f"{STUDY}/critical_points.nc",
    output:
        f"{STUDY}/spectra.nc",
    log:
        f"{STUDY}/logs/spectrum.log",
    benchmark:
        f"{STUDY}/benchmarks/spectrum.tsv"
    group:
        gather
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=memory("spectrum"),
        runtime=runtime("spectrum"),
    params:
        settings=settings("spectrum"),
        code=code("spectrum"),
    shell:
        f"{NNFLOW} spectrum {{wildcards.study}} --gpus {{resources.gpu}} {OPTIONS}"
