rule classify:
    input:
        f"{STUDY}/batches/training-{{batch}}.nc",
    output:
        f"{STUDY}/batches/critical_points-{{batch}}.nc",
    log:
        f"{STUDY}/logs/classify-{{batch}}.log",
    benchmark:
        f"{STUDY}/benchmarks/classify-{{batch}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        gpu=0,
        mem_mb=memory("classify"),
        runtime=runtime("classify"),
    params:
        settings=settings("classify"),
        code=code("classify"),
    shell:
        f"{NNFLOW} classify {{wildcards.study}} --batch {{wildcards.batch}} --gpus {{resources.gpu}} {OPTIONS}"


rule collect:
    input:
        batches("training"),
        batches("critical_points"),
    output:
        f"{STUDY}/training.nc",
        f"{STUDY}/critical_points.nc",
    log:
        f"{STUDY}/logs/collect.log",
    benchmark:
        f"{STUDY}/benchmarks/collect.tsv"
    wildcard_constraints:
        study=PLAN.pattern(judged=True),
    group:
        gather
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("collect"),
        runtime=runtime("collect"),
    params:
        settings=settings("collect"),
        code=code("collect"),
    shell:
        f"{NNFLOW} collect {{wildcards.study}} {OPTIONS}"


# of studies whose ends are not judged
rule collect_training:
    input:
        batches("training"),
    output:
        f"{STUDY}/training.nc",
    log:
        f"{STUDY}/logs/collect.log",
    benchmark:
        f"{STUDY}/benchmarks/collect.tsv"
    wildcard_constraints:
        study=PLAN.pattern(judged=False),
    group:
        gather
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory("collect"),
        runtime=runtime("collect"),
    params:
        settings=settings("collect"),
        code=code("collect"),
    shell:
        f"{NNFLOW} collect {{wildcards.study}} {OPTIONS}"
