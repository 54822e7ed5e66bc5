"""The virtual environments in which things are measured, kept outside the checkout between runs.

`subject` holds devicelogin, installed from the checkout as a user would have it, and two empty programs that the same pip
installed; `stage` holds what the benchmark itself needs and what nobody measures; each peer has its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import timing

CHECKOUT = Path(__file__).resolve().parents[2]

#: Two programs that do nothing: the floor of a console script, and that of `python -m`.
_EMPTY = {
    "setup.cfg": """
        [metadata]
        name = empty-for-comparison
        version = 1
        [options]
        packages = empty_program
        [options.entry_points]
        console_scripts =
            empty = empty_program.__main__:main
        """,
    "pyproject.toml": """
        [build-system]
        requires = ["setuptools>=77"]
        build-backend = "setuptools.build_meta"
        """,
    "empty_program/__init__.py": "",
    "empty_program/__main__.py": """
        def main():
            pass


        if __name__ == "__main__":
            main()
        """,
}


class Environment:
    """One virtual environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.directory / "bin" / "python")

    def program(self, name: str) -> str:
        """Return the path of a console script."""
        return str(self.directory / "bin" / name)

    def version(self, package: str) -> str:
        """Return the version of an installed package."""
        code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
        return subprocess.run(
            [self.python, "-I", "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()


def bare_interpreter() -> str:
    """Return the interpreter that the virtual environments were made from, not a link or a shim that leads to it."""
    return os.path.realpath(sys.executable)


def cache_directory() -> Path:
    """Return where the environments are kept."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(named) if os.path.isabs(named) else Path.home() / ".cache") / "devicelogin-bench"


def subject(cache: Path) -> Environment:
    """Return the environment with devicelogin and the empty programs, made anew where the checkout has changed."""
    with tempfile.TemporaryDirectory() as empty:
        for name, text in _EMPTY.items():
            place = Path(empty) / name
            place.parent.mkdir(exist_ok=True)
            place.write_text(textwrap.dedent(text))
        # A build in the checkout itself leaves directories behind there.
        source = Path(empty) / "source"
        source.mkdir()
        for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(CHECKOUT / name, source)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / "devicelogin", source / "devicelogin", ignore=ignored)
        return _environment(cache / "subject", [str(source), empty], _fingerprint(source))


def stage(cache: Path) -> Environment:
    """Return the environment with the dependencies of devicelogin and pytest, for the emulator and the keyring."""
    with_dependencies = [_requirements(), "pytest>=8"]
    wanted = [word for line in with_dependencies for word in line.split("\n")]
    return _environment(cache / "stage", wanted, "")


def peer(cache: Path, name: str, *packages: str) -> Environment:
    """Return the environment of a peer with `packages`."""
    return _environment(cache / f"peer-{name}", list(packages), "")


def _environment(directory: Path, packages: list[str], fingerprint: str) -> Environment:
    made = directory / "made-of.json"
    wanted = json.dumps([sys.version, fingerprint or packages])
    environment = Environment(directory)
    if made.exists() and made.read_text() == wanted:
        return environment
    print(f"making {directory}", file=sys.stderr)
    _run([sys.executable, "-m", "venv", "--clear", "--upgrade-deps", str(directory)])
    _run([environment.python, "-m", "pip", "install", "-q", "--no-input", "--disable-pip-version-check", *packages])
    made.write_text(wanted)
    return environment


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("WARNING")]
        raise timing.BenchmarkError("\n".join(errors[-5:]))


def _requirements() -> str:
    import configparser

    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / "setup.cfg")
    lines = parser["options"]["install_requires"].splitlines()
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def _fingerprint(source: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(source.rglob("*")):
        if file.is_file():
            digest.update(str(file.relative_to(source)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
