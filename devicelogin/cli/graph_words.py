"""What a person typed after `devicelogin graph`: the method, the path, the body; checked before anything is sent."""

from __future__ import annotations

import json
import shlex
import sys
from typing import NamedTuple

from devicelogin import errors, hints, redaction

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS")

#: The largest body that is sent (bytes). Graph's own limit for anything but upload sessions is 4 MB.
_BODY_LIMIT = 64 << 20

#: The largest body that is looked at as JSON (bytes): Graph takes none that is larger, and a small board has little memory.
_JSON_LIMIT = 8 << 20

#: The ends of paths whose content is a file and not JSON.
_FILES = ("/content", "/$value")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Typed(NamedTuple):
    """One request as it was typed; `body` is None where there is none."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None


def read(words: tuple[str, ...], source: str | None) -> Typed:
    """Return the request of `words`, its body from `source`, a file or `-`. Raises UsageError for what cannot be sent."""
    method, path = _method_and_path(words)
    body, content_type = _body(source, path)
    return Typed(method, path, {} if content_type is None else {"Content-Type": content_type}, body)


def _method_and_path(words: tuple[str, ...]) -> tuple[str, str]:
    """Return the method, in capitals, and the path. Raises UsageError with the words as they should have been."""
    first, *rest = words
    method = first.upper() if first.upper() in METHODS else None
    if not rest:
        if method is not None:
            raise errors.UsageError(f"{method} has no path", hint=f"devicelogin graph {method} /me")
        return "GET", _checked(first)
    if _is_body(rest[-1], method, after_path=len(rest) > 1):
        path = _shown(rest[0]) if method is not None and len(rest) > 1 else "PATH"
        file = _shown(rest[-1][1:]) if rest[-1].startswith("@") else "FILE"
        raise errors.UsageError(
            "the body cannot be an argument",
            hint=f"a body goes through --input: devicelogin graph {method or 'POST'} {path} --input {file}",
        )
    if len(rest) == 1 and method is not None:
        return method, _checked(rest[0])
    if len(rest) == 1:
        raise _no_method(first, rest[0])
    raise errors.UsageError(
        "more than a method and a path were given",
        hint="put quotes around the path: devicelogin graph GET '/me?$select=id'",
    )


def _body(source: str | None, path: str) -> tuple[bytes | None, str | None]:
    """Return the body that `--input` names and its content type. Raises UsageError if it cannot be sent.

    What goes to a file's content is sent as it is; anything else is JSON.
    """
    if source is None:
        return None, None
    name = "stdin" if source == "-" else source
    content = _read(source)
    if path.partition("?")[0].rstrip("/").lower().endswith(_FILES):
        return content, "application/octet-stream"
    if content.startswith(_UTF_16):
        raise errors.UsageError(f"the body in {name} is UTF-16", hint="save it as UTF-8")
    content = content.removeprefix(_BYTE_ORDER_MARK)
    if content and len(content) <= _JSON_LIMIT:
        _check_json(name, content)
    return content, "application/json"


def _checked(path: str) -> str:
    """Return `path`. Raises UsageError if a shell has taken the `$top` out of `?$top=1`."""
    query = path.partition("#")[0].partition("?")[2]
    if any(part.startswith("=") for part in query.split("&")):
        raise errors.UsageError(
            f"the query of {_shown(path)} has a value without a name: the shell replaced a word such as $top",
            hint="put the path in single quotes: devicelogin graph '/users?$top=1'",
        )
    return path


def _is_body(word: str, method: str | None, *, after_path: bool) -> bool:
    """Return True if `word` looks like a body: JSON, `@file`, or whatever follows the path of a POST, PATCH or PUT."""
    if word.lstrip().startswith(("{", "[")) or (word.startswith("@") and len(word) > 1):
        return True
    return after_path and method in {"POST", "PATCH", "PUT"} and not word.startswith(("/", "?", "&", "http"))


def _no_method(first: str, second: str) -> errors.UsageError:
    if second.upper() in METHODS:
        return errors.UsageError(
            "the method comes before the path", hint=f"devicelogin graph {second.upper()} {_shown(first)}"
        )
    near = None if "/" in first else hints.nearest(first, METHODS)
    if near is not None:
        return errors.UsageError(
            f"{_shown(first)} is not an HTTP method; did you mean {near}?",
            hint=f"devicelogin graph {near} {_shown(second)}",
        )
    return errors.UsageError(
        f"{_shown(first)} is not an HTTP method",
        hint=f"one call has one path: devicelogin graph GET /me; the methods are {', '.join(METHODS)}",
    )


def _shown(word: str) -> str:
    return shlex.quote(redaction.quotable(word, limit=200))


def _read(source: str) -> bytes:
    try:
        if source == "-":
            if sys.stdin is None:
                raise errors.UsageError(
                    "stdin is closed, so there is no body to send", hint="name a file: --input FILE"
                )
            content = sys.stdin.buffer.read(_BODY_LIMIT + 1)
        else:
            with open(source, "rb") as file:
                content = file.read(_BODY_LIMIT + 1)
    except OSError as error:
        raise errors.UsageError(
            f"cannot read {source}: {error.strerror}", hint="name a file that exists: --input FILE"
        ) from error
    except ValueError:
        raise errors.UsageError("a file's name has no NUL", hint="name a file that exists: --input FILE") from None
    if len(content) > _BODY_LIMIT:
        raise errors.UsageError(
            f"the body is larger than {_BODY_LIMIT >> 20} MiB", hint="use a Graph upload session for large content"
        )
    return content


def _check_json(name: str, content: bytes) -> None:
    hint = "a body is JSON: check it with: python3 -m json.tool"
    try:
        json.loads(content.decode(), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        reason = f"{error.msg[:1].lower()}{error.msg[1:]}"
        raise errors.UsageError(
            f"the body in {name} is not JSON: line {error.lineno}, column {error.colno}: {reason}", hint=hint
        ) from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - (content.rfind(b"\n", 0, error.start) + 1) + 1
        raise errors.UsageError(
            f"the body in {name} is not UTF-8: line {line}, byte {column}", hint="save it as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _ConstantError) else "it is nested too deep or has too long a number"
        raise errors.UsageError(f"the body in {name} is not JSON: {reason}", hint=hint) from None


class _ConstantError(ValueError):
    """A word that Python takes for a number and JSON does not have."""


def _refuse_constant(word: str) -> object:
    raise _ConstantError(f"{word} is not a JSON number")
