"""What ``pyproject.toml`` cannot say: the app and its data go into the wheel as ``ssam/lab``, so that no module called ``app`` stands at the
top of an environment."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FOLDERS = ("app", "pages", "assets")
FILES = ("docs/teaching.md",)  # the app shows it
LEFT_OUT = shutil.ignore_patterns("__pycache__", "static", "screenshots", "*.d.ts")


class BuildWithLab(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the checkout is used as it is
            return
        lab = Path(self.build_lib) / "ssam" / "lab"
        shutil.rmtree(lab, ignore_errors=True)  # of an earlier build
        for folder in FOLDERS:
            shutil.copytree(ROOT / folder, lab / folder, ignore=LEFT_OUT, dirs_exist_ok=True)
        for file in FILES:
            (lab / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, lab / file)


setup(cmdclass={"build_py": BuildWithLab})
