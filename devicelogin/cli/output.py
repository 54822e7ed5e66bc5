"""Writing results to stdout, whole or with the right exit code; writing to people on stderr."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING

from devicelogin import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO


class ReaderGoneError(Exception):
    """Whoever read our stdout has closed it; the shell's word for that is exit 141."""


def write(content: str | bytes) -> None:
    """Write a result to stdout and see it off. Raises OutputError where that fails, ReaderGoneError for a closed pipe."""
    if isinstance(content, str) and sys.stdout is not None and not sys.stdout.closed and sys.stdout.isatty():
        from devicelogin import redaction
        from devicelogin.terminal import screen

        # SECURITY: names, tokens and paths may hold what steers a terminal; a pipe or a file gets them as they are.
        with guarded() as stream:
            screen.Screen(stream, environ=os.environ).write(redaction.harmless(content))
        return
    write_chunks([content.encode(errors="surrogateescape") if isinstance(content, str) else content])


def write_chunks(chunks: Iterable[bytes]) -> None:
    """Write a result piece by piece, as `write` does."""
    with guarded() as stream:
        stream.flush()
        for chunk in chunks:
            stream.buffer.write(chunk)


@contextlib.contextmanager
def guarded() -> Iterator[TextIO]:
    """Give stdout to what writes a result, and see all of it off at the end. Raises as `write` does."""
    stream = sys.stdout
    if stream is None or stream.closed:
        raise errors.OutputError("stdout is closed, so the result has nowhere to go", hint="start it without >&-")
    clear_the_line()
    try:
        yield stream
        stream.flush()
    except BrokenPipeError:
        abandon_stdout()
        raise ReaderGoneError from None
    except OSError as error:
        abandon_stdout()
        raise cannot_write(error) from error


def write_file(path: str, content: bytes) -> None:
    """Replace the file `path` by one of mode 0600, whole or not at all.

    SECURITY: only a regular file of ours is replaced; no link is followed, nothing else is overwritten. Raises OutputError.
    """
    try:
        path = replaceable(path)
    except ValueError as error:
        raise _no_file(path, str(error)) from error
    from devicelogin import file_errors, private_files

    try:
        private_files.replace_beside(path, content)
    except OSError as error:
        if error.errno in file_errors.LIMITS:  # another file would not help
            raise file_errors.failure("write", path, error) from error
        raise _no_file(path, error.strerror or "unknown reason") from error


def replaceable(path: str) -> str:
    """Return the whole path of `path`, where there is nothing, or a regular file of ours. Raises ValueError with the reason."""
    try:
        path = os.path.abspath(path)
    except OSError as error:
        raise ValueError(f"the working directory is gone ({error.strerror})") from error
    try:
        facts = os.lstat(path)
    except FileNotFoundError:
        return path
    except OSError as error:
        raise ValueError(error.strerror or "unknown reason") from error
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError("it exists and is not a regular file")
    if hasattr(os, "getuid") and facts.st_uid != os.getuid():
        raise ValueError("it belongs to somebody else")
    return path


def say(line: str, *, anew: bool = False) -> None:
    """Write one line for a person to stderr, as far as it has its characters; nobody there is no error.

    On a terminal it is as wide as that, and harmless. With `anew` what stands on the line of a terminal is erased first, or
    left on a line of its own.
    """
    clear_the_line()
    with contextlib.suppress(OSError, ValueError, AttributeError):
        is_terminal = sys.stderr.isatty()
        if anew and is_terminal:
            sys.stderr.write("\n" if os.environ.get("TERM", "dumb") in {"", "dumb"} else "\r\x1b[K")
        if line.isascii() and not is_terminal:  # which needs nothing more imported
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
            return
        try:
            _draw(line)
        except (ImportError, MemoryError, RuntimeError, SystemError):  # memory or open files have run out
            sys.stderr.write("".join(sign if " " <= sign <= "~" else "?" for sign in line) + "\n")
            sys.stderr.flush()


def _draw(line: str) -> None:
    from devicelogin.terminal import messages, screen

    view = screen.Screen(sys.stderr, environ=os.environ)
    for part in line.split("\n"):
        for row in messages.fitted(part, view) if view.is_terminal else [part]:
            view.line(row)


def people() -> TextIO:
    """Return stderr, or where it is closed, a stream that goes nowhere."""
    clear_the_line()
    return sys.stderr if sys.stderr is not None else open(os.devnull, "w", encoding="utf-8")


def clear_the_line() -> None:
    """Take back the word about what takes long, if there is one: something else is going to stand there."""
    passing = sys.modules.get("devicelogin.cli.passing")
    if passing is not None:
        passing.end()


def occupy_standard_descriptors() -> None:
    """Put /dev/null where stdin, stdout or stderr is closed, so that no file of ours gets their number.

    `sys.stdout` stays None, by which `write` still knows.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def _no_file(path: str, why: str) -> errors.OutputError:
    return errors.OutputError(f"cannot write the token to {path}: {why}", hint="name another file with --output-file")


def cannot_write(error: OSError) -> errors.OutputError:
    """Return the error for a result that stdout did not take."""
    return errors.OutputError(
        f"cannot write the result to stdout: {error.strerror}", hint="look at what stdout is connected to"
    )


def abandon_stdout() -> None:
    """Let stdout lead nowhere: Python flushes it once more at exit and would complain about it there."""
    _abandon(1)


def see_off_stderr() -> None:
    """Let stderr lead nowhere if it does not take what is left: Python would make the exit code 120 of that."""
    try:
        if sys.stderr is not None and not sys.stderr.closed:
            sys.stderr.flush()
    except OSError:
        _abandon(2)


def _abandon(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
