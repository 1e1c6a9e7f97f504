"""What pyproject.toml cannot say: the configurations at the top of the tree are installed inside the package."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["imgcollapse*"]), "imgcollapse.configs"], package_dir={"imgcollapse.configs": "configs"})
