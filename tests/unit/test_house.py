"""The house keeps its rules: every module has a place and a sentence, imports run downwards, and the checks can fail."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import devicelogin

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "devicelogin"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: What takes long to import and must not be paid for by who imports the package only.
HEAVY = (
    "msal",
    "requests",
    "urllib3",
    "keyring",
    "click",
    "rich",
    "cryptography",
    "jwt",
    "qrcode",
    "tomlkit",
    "asyncio",
)

#: Names that say nothing about what a module owns.
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}

#: Distributions that are not imported under their own name.
IMPORTED_AS = {"SecretStorage": "secretstorage", "PyJWT": "jwt", "pypng": "png"}


def setup_cfg() -> configparser.ConfigParser:
    """Return setup.cfg."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(CHECKOUT / "setup.cfg")
    return parser


def rooms() -> set[str]:
    """Return the rooms: the modules and packages directly in the package."""
    found = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return found - {"__init__"}


def named(path: Path) -> str:
    """Return the path as it is shown."""
    return str(path.relative_to(CHECKOUT))


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_says_what_it_owns_and_stays_readable(path: Path) -> None:
    """It begins with a sentence, has a name that says something, and neither it nor a function in it is too long."""
    text = path.read_text()
    tree = ast.parse(text)
    sentence = (ast.get_docstring(tree) or "").split("\n\n")[0]
    assert len(sentence.split()) >= 4
    assert sentence[0].isupper() or sentence[0] == "`"
    assert sentence.rstrip().endswith((".", ":"))
    assert path.stem not in EMPTY_NAMES
    assert len(text.splitlines()) <= 400
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 60] == []


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_a_module_leaves_nothing_for_later(path: Path) -> None:
    """No comment postpones work."""
    with tokenize.open(path) as file:
        comments = [token.string for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT]
    assert [comment for comment in comments if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", comment)] == []


def test_every_room_stands_on_both_maps_and_in_the_contract() -> None:
    """The map of the package, that of CONTRIBUTING.md and the layers have the same rows in the same order."""
    layers = setup_cfg()["importlinter:contract:house"]["layers"].split("\n")
    contract = [set(re.findall(r"\w+", re.sub(r"\(\w+\)", "", row))) for row in layers if row.strip()]
    docstring = (devicelogin.__doc__ or "").split("The map of the house")[1].split("The way of")[0]
    short = [line[4:].split("  ")[0] for line in docstring.splitlines() if re.match(r" {4}\w", line)]
    assert [set(re.findall(r"\w+", row)) for row in short] == contract
    section = (CHECKOUT / "CONTRIBUTING.md").read_text().split("## The map of the house")[1].split("\n## ")[0]
    table = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [set(re.findall(r"\w+", row)) for row in table] == contract
    assert set.union(*contract) == rooms()


def test_every_decision_that_the_code_cites_is_told() -> None:
    """A number like D6 in the code stands in CONTRIBUTING.md."""
    text = "".join(path.read_text() for path in MODULES) + (CHECKOUT / "setup.cfg").read_text()
    cited = set(re.findall(r"\bD\d{1,2}\b", text))
    told = set(re.findall(r"^- \*\*(D\d{1,2}) ", (CHECKOUT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    assert cited <= told
    assert told >= {f"D{number}" for number in range(1, 16)}


#: What is planted where, and the contract that must notice.
FAULTS = {
    "an upward import": ("models.py", "from devicelogin import client", "The house: imports run downwards only"),
    "a second import of msal": ("tokens/silent.py", "import msal", "msal is imported in msal_client only"),
    "keyring outside its room": ("client/workplace.py", "import keyring", "keyring is imported in secret_store only"),
    "the emulator in the client": (
        "client/__init__.py",
        "import devicelogin.emulator",
        "Only cli/demo imports the emulator",
    ),
    "a room in the emulator": ("emulator/tokens.py", "import devicelogin.errors", "The emulator imports no room"),
    "a neighbour": ("clouds.py", "import devicelogin.clock", "The house: imports run downwards only"),
    "a module without a place": ("extra.py", "", "The house: imports run downwards only"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package with the contracts, in which faults can be planted."""
    shutil.copytree(PACKAGE, tmp_path / "devicelogin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "setup.cfg", tmp_path)
    return tmp_path


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of what lies in `directory`, and of nothing that is installed."""
    program = "import os, sys; sys.path.insert(0, os.getcwd()); from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-P", "-c", program, "--no-cache"]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_the_contracts_are_kept(copy: Path) -> None:
    """Without a fault they are green."""
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


@pytest.mark.parametrize("fault", FAULTS)
def test_a_contract_breaks_where_a_fault_is_planted(copy: Path, fault: str) -> None:
    """Each kind of forbidden import makes the contract red that is there for it."""
    name, line, contract = FAULTS[fault]
    target = copy / "devicelogin" / name
    before = target.read_text() if target.exists() else ""
    target.write_text(f"{before}\n\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"^{re.escape(contract)} BROKEN", done.stdout, re.MULTILINE), done.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    """`import devicelogin` costs next to nothing, however many names it offers."""
    command = [sys.executable, "-X", "importtime", "-c", "import devicelogin"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "devicelogin" in imported
    assert {name for name in imported if name.split(".")[0] in HEAVY} == set()
    assert {name for name in imported if name.startswith("devicelogin.")} == set()


def test_every_public_name_resolves() -> None:
    """What `__all__` names is there, and what it does not name is no attribute."""
    assert {name for name in devicelogin.__all__ if getattr(devicelogin, name, None) is None} == set()
    with pytest.raises(AttributeError):
        devicelogin.settle  # noqa: B018


def test_every_dependency_is_used_and_every_use_is_a_dependency() -> None:
    """Each has an import in the package, a floor and a line of reason, and nothing is imported that is not named."""
    imported = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add((node.module or "").split(".")[0])
    lines = [line.strip() for line in setup_cfg()["options"]["install_requires"].splitlines()]
    # configparser drops the comments, so the reasons are looked for in the text itself.
    raw = (CHECKOUT / "setup.cfg").read_text().split("install_requires =\n")[1].split("\n\n")[0].splitlines()
    wanted = set()
    for requirement in filter(None, lines):
        name = re.split(r"[<>=]", requirement)[0]
        wanted.add(IMPORTED_AS.get(name, name))
        assert ">=" in requirement, requirement
        position = next(number for number, line in enumerate(raw) if line.strip() == requirement)
        assert raw[position - 1].strip().startswith("#"), f"no reason for {requirement}"
    assert imported - set(sys.stdlib_module_names) - {"devicelogin"} == wanted


def test_pyproject_holds_only_what_no_other_file_can() -> None:
    """D15: metadata and the settings of every other tool stand in setup.cfg."""
    tables = re.findall(r"^\[([\w.-]+)\]", (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {table for table in tables if table != "build-system" and not table.startswith("tool.ruff")} == set()


def test_every_program_that_tests_need_is_on_the_list_of_tests_run() -> None:
    """What a test gives to `need` has its Debian package in tests/run."""
    listed = (CHECKOUT / "tests" / "run").read_text().split('packages="')[1].split('"')[0]
    provided = {line.split()[1] for line in listed.splitlines() if line.strip()}
    needed = set()
    for path in (CHECKOUT / "tests").rglob("*.py"):
        for call in re.findall(r"\bneed\(((?:\s*\"[\w.-]+\",?\s*)+)\)", path.read_text()):
            needed |= set(re.findall(r'"([\w.-]+)"', call))
    assert needed, "no test names a program"
    assert needed - provided == set()


def test_the_benchmark_can_use_its_keyring_without_the_tools_of_the_tests() -> None:
    """It borrows one module of the tests, and installs pytest but neither hypothesis nor what looks at screens."""
    tools = ("hypothesis", "pyte", "jsonschema", "xdist")
    script = f"import sys; sys.modules |= dict.fromkeys({tools}); import keyring_session"
    path = os.pathsep.join([str(CHECKOUT / "tests"), str(CHECKOUT)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
