"""The one place where an error becomes an exit code; knows nothing of the library that reads arguments."""

from __future__ import annotations

import errno
import signal
import sys
import warnings
from typing import TYPE_CHECKING

import devicelogin
from devicelogin import errors
from devicelogin.cli import output
from devicelogin.cli.invocation import Ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from devicelogin.cli.invocation import Invocation

#: By what is a limit known that this process has reached? Python and the loader of libraries have no number for some. Not taken
#: from `file_errors`: when files have run out, nothing more can be imported.
_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_WORDS_OF_LIMITS = (
    "can't start new thread",
    "failed to map segment",
    "annot allocate memory",
    "Too many open files",
    "without exception set",  # what becomes of a MemoryError in some corners of CPython
    "without setting an exception",
)

#: Which refusals of the system say that this program was wrong, and not that something stands in its way?
_OUR_MISTAKES = frozenset({None, errno.ENOENT, errno.EBADF, errno.EINVAL, errno.EEXIST})

#: How long is a signal put off that comes while a module is being found (seconds)?
_MOMENT = 0.02

#: The signal that has asked us to end.
_asked: list[int] = []

#: Which signals ask us to end?
_CAUGHT = ("SIGINT", "SIGTERM", "SIGHUP")

#: What does a signal do that nobody has given another meaning?
_ENDS = (signal.SIG_DFL, signal.default_int_handler)


def run(invocation: Invocation, act: Callable[[], object]) -> int:
    """Run `act` and return the exit code: a number that it returned, else 0, else that of its error.

    Catches everything that can happen and says it on stderr; prints no traceback.
    """
    output.occupy_standard_descriptors()
    _catch_signals()
    if not sys.warnoptions:
        # Warnings are for programmers: urllib3 has one for boards whose clock is not set.
        warnings.simplefilter("ignore")
    try:
        result = act()
        return result if isinstance(result, int) else 0
    except errors.DeviceLoginError as error:
        return _report(error, invocation)
    except KeyboardInterrupt as end:
        return _interrupted(signal.SIGINT, invocation, end)
    except Ended as end:
        return _interrupted(end.number, invocation, end)
    except output.ReaderGoneError:
        output.abandon_stdout()
        return 128 + 13
    except Exception as error:
        return _report(error_of(error), invocation)
    finally:
        output.see_off_stderr()


def error_of(error: Exception) -> errors.DeviceLoginError:
    """Return the error of our family for an exception of no family: a limit, what the system refused, or a bug."""
    return _used_up(error) or _refused(error) or _bug(error)


def interruption(number: int, end: BaseException | None = None) -> errors.DeviceLoginError:
    """Return the error for a command that signal `number` ended; a note of `end` says what had been done by then."""
    how = "interrupted" if number == signal.SIGINT else "ended by a signal"
    done = next(iter(getattr(end, "__notes__", ())), None)
    error = errors.DeviceLoginError(f"{how}; {done or 'what was saved before is unchanged'}", code="interrupted")
    error.exit_code, error.retryable = 128 + number, done is None
    return error


def place_of(error: Exception) -> str:
    """Return where `error` was raised, as module:line."""
    where, trace = "an unknown place", error.__traceback__
    while trace is not None:
        where = f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where


def _report(error: errors.DeviceLoginError, invocation: Invocation) -> int:
    try:
        _name_the_profile(error, invocation)
        lines = _lines(error, invocation)
    except Exception:  # what makes texts printable could not even be imported
        lines = ["devicelogin: error: the reason cannot be shown, for want of memory or open files"]
    for line in lines:
        output.say(line)
    return error.exit_code


def _name_the_profile(error: errors.DeviceLoginError, invocation: Invocation) -> None:
    """Let the commands of a hint be for the profile that `--profile` names, where whoever wrote it did not know that."""
    from devicelogin import hints
    from devicelogin.settings import paths

    hint, profile = error.hint, invocation.profile
    if not hint or not profile or isinstance(error, errors.UsageError) or not paths.is_profile_name(profile):
        return
    if " --profile" not in hint and " -p " not in hint:
        error.hint = hints.for_profile(hint, profile)


def _lines(error: errors.DeviceLoginError, invocation: Invocation) -> list[str]:
    # Most calls end without an error, and `--help` and `--version` should come at once.
    if not invocation.as_json:
        from devicelogin.terminal import messages

        return list(messages.error_lines(error))
    import json

    from devicelogin import redaction

    fields = error.as_json().items()
    return [json.dumps({key: redaction.printable(it) if isinstance(it, str) else it for key, it in fields})]


def _used_up(error: Exception) -> errors.TryLaterError | None:
    """Return the error for a limit of memory, threads or open files that this process has reached; None: another one."""
    is_limit = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _LIMITS)
    if isinstance(error, (RuntimeError, ImportError, SystemError)):
        is_limit = any(words in str(error) for words in _WORDS_OF_LIMITS)
    if not is_limit:
        return None
    return errors.TryLaterError(
        "this process has reached a limit of memory, threads or open files",
        hint="nothing saved was deleted; look at the limits of this session: ulimit -a",
        detail=type(error).__name__,
        code="no_resources",
    )


def _refused(error: Exception) -> errors.DeviceLoginError | None:
    """Return the error for a file or directory that the system refused, with its path; None: another one."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str) or error.errno in _OUR_MISTAKES:
        return None
    from devicelogin import file_errors

    return file_errors.failure("read", error.filename, error)


def _bug(error: Exception) -> errors.InternalError:
    # SECURITY: neither the message nor the traceback of an unknown error is shown: both may quote what is secret.
    return errors.InternalError(
        f"this is a bug in devicelogin: {type(error).__name__} in {place_of(error)}",
        hint=f"report this line and the version, devicelogin {devicelogin.__version__}; nothing saved was deleted",
    )


def _interrupted(number: int, invocation: Invocation, ended: BaseException) -> int:
    end = interruption(number, ended)
    if invocation.as_json:
        _report(end, invocation)
    else:
        # No error to a person who wanted it. What Ctrl-C has left on the line of a terminal is taken away.
        output.say(f"devicelogin: {end.message}", anew=number == signal.SIGINT)
    for caught in _CAUGHT:
        if (one := getattr(signal, caught, None)) is not None and signal.getsignal(one) is _do_nothing:
            signal.signal(one, signal.SIG_IGN)  # Python gives up its handlers before it has ended, but not this
    return 128 + number


def _catch_signals() -> None:
    """Let the first signal that asks us to end raise, so that everything tidies up, and nothing come of those that follow.

    `timeout` sends two, a service manager one beside the terminal's Ctrl-C; a second one must not cut the goodbye short.
    What tidies up has deadlines of its own.
    """
    # nohup asks for hang-ups to be ignored, and means it.
    caught = [
        number for name in _CAUGHT if (number := getattr(signal, name, None)) and signal.getsignal(number) in _ENDS
    ]

    put_off: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        number = put_off[0] if put_off else number
        if (
            frame is not None
            and frame.f_code.co_filename.startswith("<frozen importlib")
            and hasattr(signal, "setitimer")
        ):
            # What is raised in a callback of the import system is lost, and said on stderr. So a moment later.
            put_off.append(number)
            signal.signal(signal.SIGALRM, end)
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)
            return
        _asked.append(number)
        for one in (*caught, signal.SIGALRM) if put_off else caught:
            signal.signal(one, _do_nothing)  # SIG_IGN for one that is on its way already is a traceback
        raise Ended(number)  # for Ctrl-C too: click would answer a KeyboardInterrupt with an empty line

    for number in caught:
        signal.signal(number, end)


def go_on_unless_ended() -> None:
    """Raise Ended again where a signal has asked us to end and what it raised was lost, as in a callback of Python's own.

    Whatever waits for long calls this now and then: no other signal will come through.
    """
    if _asked:
        raise Ended(_asked[0])


def see_it_through() -> None:
    """Let no signal end the command any more: what it was for is done and cannot be undone, and the rest has deadlines."""
    for name in (*_CAUGHT, "SIGALRM"):  # by which one comes that was put off
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _do_nothing)


def _do_nothing(_number: int, _frame: object) -> None:
    """Be the handler of a signal that asks for what is being done."""
