"""The installed package has every folder of the source; without one, a wheel fails on import."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_INSTALLED = {"tosaic.tools.bench"}  # benches run from a checkout


def test_every_folder_of_python_files_is_installed():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    roots = setuptools["package-dir"]
    found = {
        ".".join((package, *file.parent.relative_to(ROOT / folder).parts))
        for package, folder in roots.items()
        for file in (ROOT / folder).rglob("*.py")
    }
    assert found - NOT_INSTALLED == set(setuptools["packages"])
