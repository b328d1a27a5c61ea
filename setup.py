"""Puts the text to train on into the wheel: in the repository it lies in data/."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithText(build_py):
    """Copies data/shakespeare.txt into numpygpt/, unless the repository itself is installed."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file("data/shakespeare.txt", str(Path(self.build_lib, "numpygpt")))


setup(cmdclass={"build_py": WithText})
