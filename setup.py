"""What pyproject.toml cannot say: configurations are installed inside the package, and the README is read on a package index too."""

import re
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def for_an_index(readme: str, repository: str | None) -> str:
    """The README as a package index can show it: pictures and links lead into the repository, by `Repository` of `[project.urls]`.

    While the project has no such address, pictures are left out, and links to files are plain words.
    """
    place = r"(?!https?:|#)([^)\s]+)"
    if repository is None:
        return re.sub(rf"(?<!!)\[([^\]]*)\]\({place}\)", r"\1", re.sub(rf"!\[[^\]]*\]\({place}\)\n+", "", readme))
    pictures = re.sub(rf"(!\[[^\]]*\])\({place}\)", rf"\1({repository}/raw/HEAD/\2)", readme)
    return re.sub(rf"(?<!!)(\[[^\]]*\])\({place}\)", rf"\1({repository}/blob/HEAD/\2)", pictures)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    setup(
        packages=[*find_packages(include=["imgcollapse*"]), "imgcollapse.configs"],
        package_dir={"imgcollapse.configs": "configs"},
        long_description=for_an_index((ROOT / "README.md").read_text(encoding="utf-8"), project.get("urls", {}).get("Repository")),
        long_description_content_type="text/markdown",
    )
