"""The commands that hints name: they exist, and they do what they are named for."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import devicelogin
from devicelogin.cli import main

SOURCES = sorted(Path(devicelogin.__file__).parent.rglob("*.py"))

_OURS = re.compile(r"(?<![\w/.])devicelogin((?: (?:--profile|-p) \S+)?) ([a-z][a-z-]*)((?: [^;,]*)?)")

#: What may follow the program's name in a hint, and is prose?
_PROSE = {"yourself"}


def _named(source: Path) -> list[tuple[str, str]]:
    """Return each command that a hint of `source` names, and what follows it."""
    named = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            texts = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
            for text in texts:
                named += [(word, rest) for _, word, rest in _OURS.findall(str(text)) if word not in _PROSE]
    return named


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_hint_names_no_command_and_no_option_that_does_not_exist(source: Path) -> None:
    """Whoever pastes it gets what was promised."""
    for word, rest in _named(source):
        command = main._COMMANDS.get(word)
        assert command is not None, f"{source}: devicelogin {word}"
        module = __import__(f"devicelogin.cli.{word}", fromlist=["command"])
        known = {option for parameter in module.command.params for option in parameter.opts}
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", rest):
            assert option in known | {"--help"}, f"{source}: devicelogin {word} {option}"
        assert "--output-file /dev/null" not in rest, f"{source}: only a regular file is replaced"


def test_the_search_for_commands_finds_them() -> None:
    """The test above looks at something."""
    assert sum(len(_named(source)) for source in SOURCES) > 10
