"""The wheel holds the whole workflow: what lies beside nnflow/ goes into nnflow/shipped/."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("plugins", "workflow", "config", "Snakefile", "environment.yml")


class BuildWithWorkflow(build_py):
    def run(self):
        super().run()
        if self.editable_mode:  # the repository itself is used
            return
        target = Path(self.build_lib, "nnflow", "shipped")
        for name in SHIPPED:
            if Path(name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
                shutil.copytree(name, target / name, ignore=ignored, dirs_exist_ok=True)
            else:
                shutil.copy2(name, target / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
