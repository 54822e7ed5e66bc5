"""What is installed: a wheel with the package and nothing else, and an sdist from which it can be built again."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import devicelogin

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Run a command that must work and return its stdout."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as a fresh clone has it, so that nothing built before gets into what is built now."""
    copy = tmp_path_factory.mktemp("tree") / "devicelogin"
    ignored = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(CHECKOUT, copy, ignore=ignored)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    """The wheel, built with what the test environment has: no index is asked."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "wheel", ".", *options, "-w", "wheels", cwd=tree)
    [found] = (tree / "wheels").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(tree: Path) -> Path:
    """The sdist, built in the same way."""
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", "sdists", ".", cwd=tree)
    [found] = (tree / "sdists").glob("*.tar.gz")
    return found


def modules(directory: Path) -> set[str]:
    """Return the files of the package in `directory`."""
    package = directory / "devicelogin"
    files = [*package.rglob("*.py"), package / "py.typed", package / "cli" / "events.schema.json"]
    return {str(path.relative_to(directory)) for path in files}


def test_the_wheel_holds_the_package_and_nothing_else(tree: Path, wheel: Path) -> None:
    """Every module, py.typed and the schema of the events; no tests, no docs, no second package."""
    names = set(zipfile.ZipFile(wheel).namelist())
    described = {name for name in names if name.startswith(f"devicelogin-{devicelogin.__version__}.dist-info/")}
    assert names - described == modules(tree)
    assert wheel.name == f"devicelogin-{devicelogin.__version__}-py3-none-any.whl"


def test_the_metadata_says_what_it_is(wheel: Path) -> None:
    """Name, version, license, Python, README and the program; the test tools are an extra."""
    archive = zipfile.ZipFile(wheel)
    described = f"devicelogin-{devicelogin.__version__}.dist-info"
    metadata = email.message_from_bytes(archive.read(f"{described}/METADATA"))
    assert metadata["Name"] == "devicelogin"
    assert metadata["Version"] == devicelogin.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = archive.read(f"{described}/METADATA").decode().partition("\n\n")[2]
    assert description.strip() == (CHECKOUT / "README.md").read_text().strip()
    plain = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert any(re.match(r"requests(?=.*>=2\.33)", line) for line in plain)
    assert not any(line.startswith(("pytest", "ruff", "mypy")) for line in plain)
    assert archive.read(f"{described}/entry_points.txt").decode().split() == [
        "[console_scripts]",
        "devicelogin",
        "=",
        "devicelogin.__main__:main",
    ]
    assert archive.read(f"{described}/licenses/LICENSE") == (CHECKOUT / "LICENSE").read_bytes()


def test_the_sdist_holds_what_the_wheel_is_built_from(tree: Path, sdist: Path, tmp_path: Path) -> None:
    """A wheel built from it has the same files."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # 3.11.4; newer ones warn without it
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(tmp_path)
    [unpacked] = tmp_path.iterdir()
    assert modules(unpacked) == modules(tree)
    for name in ("README.md", "LICENSE", "pyproject.toml"):
        assert (unpacked / name).read_bytes() == (tree / name).read_bytes()
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "wheel", ".", *options, "-w", "wheels", cwd=unpacked)
    [again] = (unpacked / "wheels").glob("*.whl")
    assert {name for name in zipfile.ZipFile(again).namelist() if ".dist-info/" not in name} == modules(tree)


def test_the_wheel_installs_into_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    """As pipx does it: the program is there, runs from the wheel, and the types are found."""
    home = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    options = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", *options, wheel, cwd=tmp_path)
    # The dependencies are those of the test environment, where our own package is only linked to and not found this way.
    dependencies = sysconfig.get_paths()["purelib"]
    said = run(home / "bin" / "devicelogin", "--version", cwd=tmp_path, PYTHONPATH=dependencies)
    assert said == f"devicelogin {devicelogin.__version__}\n"
    where = run(home / "bin" / "python", "-c", "import devicelogin; print(devicelogin.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(home)
    assert Path(where).with_name("py.typed").exists()
    story = run(home / "bin" / "devicelogin", "demo", "--yes", cwd=tmp_path, PYTHONPATH=dependencies)
    assert '"displayName": "Ada Lovelace"' in story
