"""Every error that is written down in the package has the form that people read: what failed, and one next step."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from devicelogin import entra_errors, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).resolve().parents[2] / "devicelogin"

FAMILY = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

#: What begins with a capital letter by nature.
NAMES = ("Entra", "Graph", "Microsoft", "MSAL", "OpenID", "Python")

#: Errors that no person reads: they are told to a program, or caught again and said in other words.
WITHOUT_HINT = {
    "{provider.origin} answered with HTTP {answer.status}",
    "{provider.origin} offers no revocation",
    "the saved sign-in is damaged",
    "{how}; {done or 'what was saved before is unchanged'}",
    "the keyring lost what it was given",
    "MSAL asked for an address it was not given: {redaction.printable(url)}",
    "MSAL wanted to post to another address: {redaction.printable(url)}",
    "{host}",
}


class Words(NamedTuple):
    """One error as it is written down; what is filled in stands in braces, and what is not a text is None."""

    where: str
    message: str | None
    hint: str | None
    has_hint: bool


def text_of(node: ast.expr | None, assigned: dict[str, ast.expr]) -> str | None:
    """Return the text that `node` is, if it is one."""
    if isinstance(node, ast.Name):
        node = assigned.get(node.id)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (
            part.value if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
            for part in node.values
        )
        return "".join(map(str, parts))
    return None


def written_down() -> Iterator[Words]:
    """Yield every error of the family that the package makes, but for the emulator, which speaks for Entra."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulator" in path.parts:
            continue
        tree = ast.parse(path.read_text())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            assigned = {
                node.targets[0].id: node.value
                for node in ast.walk(function)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            }
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in FAMILY:
                    given = {keyword.arg: keyword.value for keyword in node.keywords}
                    message, hint = node.args[0] if node.args else None, given.get("hint")
                    where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                    yield Words(where, text_of(message, assigned), text_of(hint, assigned), "hint" in given)


def test_an_error_says_what_failed_and_one_thing_to_do() -> None:
    """One line each, in lower case and without a full stop, neither begging nor wailing; and there is a hint."""
    found = list(written_down())
    for words in found:
        for text in (words.message, words.hint):
            if text is not None:
                has_form(text, words.where)
        assert words.has_hint or words.message in WITHOUT_HINT, words
    # Were they written down in another way, this test would look at nothing.
    assert len(found) > 150
    assert sum(words.message is not None for words in found) > 0.9 * len(found)


def test_the_words_for_a_number_of_entra_have_the_same_form() -> None:
    """They end up behind "the sign-in could not be started: "."""
    for number, advice in entra_errors.KNOWN.items():
        has_form(advice.words, number)
        has_form(advice.hint, number)


def has_form(text: str, where: object) -> None:
    """Hold a message or a hint to its form."""
    assert text == " ".join(text.split()), f"{where}: one line"
    assert not re.match(r"[A-Z][a-z]", text) or text.startswith(NAMES), (
        f"{where}: it stands behind `error: ` or `hint: `"
    )
    assert not re.search(r"(?<!\.\.)[.!]$", text), f"{where}: no full stop"
    assert not re.search(r"(?i)\b(please|oops|sorry|unfortunately|invalid)\b", text), f"{where}: plain words"
