configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/initialize.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/classify.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/spectrum.smk"
include: "workflow/rules/analyze.smk"
include: "workflow/rules/draw.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [PLAN.datasets(study) for study in PLAN.studies],
        f"{RESULTS}/{PLAN.scale}/report.html",
        f"{RESULTS}/{PLAN.scale}/claims.csv",
