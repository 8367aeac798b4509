# The rules come with nnflow, from the clone or from the installed package: a copy of this file works
# in any folder that has config/ and, if you like, plugins/.
import os

from nnflow.base.shipped import shipped

RULES = shipped() / "workflow" / "rules"
if os.path.exists("config/config.yaml"):

    configfile: "config/config.yaml"


include: str(RULES / "common.smk")
include: str(RULES / "initialize.smk")
include: str(RULES / "train.smk")
include: str(RULES / "classify.smk")
include: str(RULES / "certify.smk")
include: str(RULES / "spectrum.smk")
include: str(RULES / "analyze.smk")
include: str(RULES / "draw.smk")
include: str(RULES / "report.smk")


rule all:
    default_target: True
    input:
        [PLAN.datasets(study) for study in PLAN.studies],
        f"{RESULTS}/{PLAN.scale}/report.html",
        f"{RESULTS}/{PLAN.scale}/claims.csv",
