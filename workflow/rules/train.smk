rule train:
    input:
        f"{STUDY}/initialization.nc",
    output:
        f"{STUDY}/batches/training-{{batch}}.nc",
    log:
        f"{STUDY}/logs/train-{{batch}}.log",
    benchmark:
        f"{STUDY}/benchmarks/train-{{batch}}.tsv"
    priority: lambda wildcards: PLAN.size(wildcards.study, int(wildcards.batch))
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=memory("train"),
        runtime=runtime("train"),
    params:
        settings=settings("train"),
        code=code("train"),
    shell:
        f"{NNFLOW} train {{wildcards.study}} --batch {{wildcards.batch}} --gpus {{resources.gpu}} {OPTIONS}"
