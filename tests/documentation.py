"""The pages for users as tests read them: blocks that are marked to be run, and every call of our command that they name.

    page = documentation.page("docs/unattended.md")
    script = page.block("run: crontab")

A block is marked by a comment on the line above its fence: `<!-- run: crontab -->`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import sandbox

from devicelogin.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin.emulator import Emulator

CHECKOUT = Path(__file__).resolve().parent.parent

#: Every page that users read.
PAGES = ("README.md", *sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs").rglob("*.md")))

#: What stands in the pages for an app registration and a tenant that a reader puts in.
PLACEHOLDERS = "--client-id 11111111-2222-3333-4444-555555555555 --tenant contoso.com"

_FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")

# Names of an app, an image or a package are no calls.
_CALL = re.compile(r"(?<![\w./=-])(?<!inject )(?<!--display-name )(?:[\w./~%-]*/)?devicelogin(?= +[^ ])")

_REMARK = re.compile(r"(?:^|\s)#(?:\s.*)?$")

#: What follows a call that is only spoken of, as in `devicelogin ...` or in a line of usage?
_ELLIPSIS = ("...", "[", "$", "COMMAND")


class Page:
    """One page; `name` is its path in the checkout."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = (CHECKOUT / name).read_text()

    def block(self, mark: str) -> str:
        """Return the fenced block under the comment `mark`."""
        found = re.findall(
            rf"^ *<!-- {re.escape(mark)} -->\n( *```\w+\n.*?^ *```)", self.text, re.MULTILINE | re.DOTALL
        )
        assert len(found) == 1, f"{len(found)} blocks of {self.name} are marked {mark!r}"
        return textwrap.dedent(found[0]).split("\n", 1)[1].removesuffix("```")

    def marks(self) -> list[str]:
        """Return every mark of the page, in its order."""
        return re.findall(r"^ *<!-- ([\w:/ -]+) -->$", self.text, re.MULTILINE)

    def rows(self, heading: str) -> list[list[str]]:
        """Return the cells of the table rows under `heading`."""
        section = self.text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("|")][2:]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    def calls(self) -> Iterator[list[str]]:
        """Yield the words behind `devicelogin` of every call that the page names, in blocks and in sentences."""
        for _, language, content in _FENCED.findall(self.text):
            if language != "python":
                for line in content.replace("\\\n", " ").splitlines():
                    yield from calls_in(line)
        for span in _INLINE.findall(_FENCED.sub("", self.text)):
            yield from calls_in(span)

    def links(self) -> list[str]:
        """Return where the page links to, but for the web."""
        return [link for link in re.findall(r"\]\(([^)\s]+)\)", self.text) if "://" not in link]

    def anchors(self) -> set[str]:
        """Return what a link can name on this page: its headings, as GitHub spells them."""
        headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", self.text), re.MULTILINE)
        return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@functools.cache
def page(name: str) -> Page:
    """Return the page `name`."""
    return Page(name)


def calls_in(line: str) -> Iterator[list[str]]:
    """Yield the words behind each `devicelogin` of a line of shell, up to the end of that command."""
    line = _REMARK.sub("", line)
    for match in _CALL.finditer(line):
        lexer = shlex.shlex(line[match.end() :], posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        try:
            for word in lexer:
                if word[0] in "|&;<>()" or word.startswith(_ELLIPSIS):
                    break
                words.append(word)
        except ValueError:
            pass  # it began within quotes that end here
        if words:
            yield words


def complaint(words: list[str]) -> str | None:
    """Return what the real parser does not know in `devicelogin WORDS`, None where it knows all."""
    command: click.Command = main._program
    context = click.Context(command, info_name="devicelogin")
    left = list(words)
    while left:
        word = left.pop(0)
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            option = next((each for each in command.get_params(context) if name in each.opts), None)
            if option is None:
                return f"{context.command_path} has no option {name}"
            if not equals and not getattr(option, "is_flag", False) and not getattr(option, "count", False):
                left = left[1:]
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return f"{context.command_path} has no command {word}"
            command, context = found, click.Context(found, info_name=word, parent=context)
        elif not any(isinstance(each, click.Argument) for each in command.get_params(context)):
            return f"{context.command_path} takes no argument {word}"
    return None


def install(directory: Path) -> Path:
    """Put a program `devicelogin` into `directory` that runs this checkout, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "devicelogin"
    paths = f"PYTHONPATH={shlex.quote(str(CHECKOUT))}"
    program.write_text(f'#!/bin/sh\n{paths} exec {shlex.quote(sys.executable)} -P -m devicelogin "$@"\n')
    program.chmod(0o755)
    return program


def for_emulator(text: str, emulator: Emulator) -> str:
    """Return the text with the emulator's app and authority in place of the reader's."""
    assert PLACEHOLDERS in text
    given = f"--client-id {emulator.client_id} --authority {emulator.authority} --graph-root {emulator.graph_root}"
    return text.replace(PLACEHOLDERS, f"{given} --ca-file {shlex.quote(emulator.ca_file)} --store file")


def shell(
    box: sandbox.Box, script: str, environment: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> sandbox.Result:
    """Run a block as a shell does that stops at the first failure; hold what it says to what every command promises."""
    began = time.monotonic()
    done = subprocess.run(
        [*before, "/bin/sh", "-eu"],
        input=script,
        env=box.environment() if environment is None else environment,
        cwd=box.home,
        capture_output=True,
        text=True,
        check=False,
        timeout=sandbox.PATIENCE,
    )
    result = sandbox.Result(done.returncode, done.stdout, done.stderr, time.monotonic() - began)
    box.check(result)
    return result


@contextlib.contextmanager
def opened_box() -> Iterator[sandbox.Box]:
    """Open a sandbox with `devicelogin` on its PATH."""
    with sandbox.opened() as opened:
        install(opened.home / "bin")
        opened.variables["PATH"] = f"{opened.home / 'bin'}:{os.environ['PATH']}"
        yield opened
