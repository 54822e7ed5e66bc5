"""Entry point: `devicelogin` and `python -m devicelogin`; answers `token` before anything heavy is imported, if it can.

Scripts call `devicelogin token` thousands of times a day, often many at once. The plain forms of it are recognised here:
a cached token is printed from the runtime directory; without one, whoever gets the profile's lock goes on to
`cli.printing` and refreshes, and everybody else waits for that token here. Whatever is unusual in the least goes the full
way through `cli.main`, which gives the same answer: the rules stand in `tokens.access_cache`, `tokens.single_flight` and
`cli.printing` alone.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import contextlib

    from devicelogin.tokens import turn as turns

#: Which options of `token` are understood here? All but the last take one value.
_OPTIONS = {
    "--profile": "profile",
    "-p": "profile",
    "--scope": "scope",
    "--min-valid": "min_valid",
    "--wait-for-clock": "clock_seconds",
    "--format": "format",
    "--force-refresh": "force",
}

#: Which variables of ours leave the answer as it is?
_HARMLESS = frozenset({"DEVICELOGIN_PROFILE", "DEVICELOGIN_HOME"})


def main() -> None:
    """Run the command line and end the process with its exit code."""
    wanted = None
    try:
        wanted = _token_options(sys.argv[1:])
        turn = None if wanted is None or _has_settings() else _take_turn(wanted)
        if turn is not None and wanted is not None and _is_answered(turn, wanted):
            status = 0
        elif wanted is not None:
            # Looking for garbage among what was just imported is a twentieth of a refresh, and a minute's process has none.
            import gc

            gc.disable()
            from devicelogin.cli import printing

            status = printing.run(wanted, turn)
        else:
            # Imports leave some hundred thousand objects and no garbage; the usual 700 would look at them 150 times.
            import gc

            gc.set_threshold(50_000)
            from devicelogin.cli import main as command_line

            status = command_line.run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command line could take care of it
        status = 130
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(2, b"\n")  # behind what the terminal shows for Ctrl-C
    except (ImportError, MemoryError, OSError, SystemError) as error:  # the same
        status = _cannot_start(error)
    if (wanted is not None or status != 0) and _is_written_out():
        # Taking the interpreter apart is a tenth of a refresh and of a start; nothing of ours waits for it. And where
        # memory has run out, it would go on to fail, and say so.
        os._exit(status)
    sys.exit(status)


def _cannot_start(error: Exception) -> int:
    """Say that not even the command line could be loaded, in words that need nothing loaded."""
    what = f" {error.name}" if isinstance(error, ImportError) and (error.name or "").isascii() else ""
    lines = (
        f"devicelogin: error: this program could not be loaded: {type(error).__name__}{what}",
        "devicelogin: hint: look at the limits of this session (ulimit -a); if there are none, install devicelogin again",
    )
    try:  # noqa: SIM105 - contextlib may be what cannot be loaded
        os.write(2, ("\n".join(lines) + "\n").encode())
    except OSError:
        pass  # nobody is there to be told
    return 70


def _is_written_out() -> bool:
    """Write out what the streams still hold, and tell whether that worked."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _token_options(arguments: "list[str]") -> "dict[str, list[str]] | None":
    """Return the values of the options by name, None unless this is `token` with options that are known here."""
    values: dict[str, list[str]] = {}
    is_token = False
    words = iter(arguments)
    for word in words:
        if word == "token" and not is_token:
            is_token = True
            continue
        option, equals, value = word.partition("=")
        name = _OPTIONS.get(option)
        if name is None or (not is_token and name != "profile") or (equals and option in {"-p", "--force-refresh"}):
            return None
        following = "yes" if name == "force" else value if equals else next(words, None)
        if not following:
            return None
        values.setdefault(name, []).append(following)
    return values if is_token and _is_plain(values) else None


def _is_plain(values: "dict[str, list[str]]") -> bool:
    """Tell whether the values are ones that the full way would take as they are."""
    reserved = {"openid", "profile", "offline_access"}
    for scope in values.get("scope", ()):
        if not (scope.isascii() and scope.isprintable()) or set(scope) & set(" \"'\\") or scope.lower() in reserved:
            return False
    for name in ("min_valid", "clock_seconds"):
        seconds = values.get(name, ["0"])[-1]
        if not (seconds.isascii() and seconds.isdigit() and len(seconds) < 6 and int(seconds) <= 86400):
            return False
    return values.get("format", ["raw"])[-1] in {"raw", "header"}


def _has_settings() -> bool:
    """Tell whether a variable of ours may change the answer."""
    return any(name.startswith("DEVICELOGIN_") and name not in _HARMLESS for name in os.environ)


def _take_turn(wanted: "dict[str, list[str]]") -> "turns.Turn | None":
    """Return a token from the cache, or from whoever is refreshing, or the lead; None where only the full way can tell."""
    from devicelogin.settings import paths
    from devicelogin.tokens import access_cache

    profile = wanted.get("profile", [""])[-1] or os.environ.get("DEVICELOGIN_PROFILE") or "default"
    minimum = float(wanted["min_valid"][-1]) if "min_valid" in wanted else None
    try:
        own = paths.locate(os.environ).of(profile)
    except Exception:  # whatever is wrong, the full way says it better
        return None
    directory = own.cache
    asked = access_cache.scope_line(tuple(wanted.get("scope", ())))
    # The directory is only ever made in memory; without one the tokens lie in the secret store, which is not for here.
    if directory is None or not os.path.isdir(directory) or access_cache.stat_line(own.sign_in) == "-":
        return None

    def read(line: str) -> "access_cache.Entry | None":
        return access_cache.read(directory, line, own.profile_file, own.sign_in)

    entry = read(asked)
    if "force" not in wanted and entry is not None and entry.is_good(minimum) and not entry.is_early_due():
        from devicelogin.tokens import turn

        return turn.Turn(asked, entry, began=0.0)
    if "clock_seconds" in wanted and _is_clock_awaited():
        return None
    try:
        from devicelogin.tokens import single_flight

        def is_refused(line: str) -> bool:
            if not os.path.exists(os.path.join(directory, access_cache.REFUSED)):
                return False
            from devicelogin.tokens import refusals

            return refusals.Refusals(own, directory).recall(line, force="force" in wanted) is not None

        with _word_to_who_waits():
            return single_flight.join(
                own, read, asked, min_valid=minimum, force="force" in wanted, is_refused=is_refused
            )
    except Exception:  # no lock to be had: the full way says why
        return None


def _word_to_who_waits() -> "contextlib.AbstractContextManager[None]":
    """Return what tells a person at a terminal that another process gets the token; scripts do not pay for it."""
    if sys.stderr is None or not sys.stderr.isatty():
        import contextlib  # as `single_flight` does

        return contextlib.nullcontext()
    from devicelogin.cli import waiting

    return waiting.said(waiting.FOR_A_TOKEN)


def _is_clock_awaited() -> bool:
    """Tell whether the clock is not set yet; it is waited for without the lock that a turn may hold."""
    import time

    from devicelogin import clock

    return not clock.is_plausible(time.time())


def _is_answered(turn: "turns.Turn", wanted: "dict[str, list[str]]") -> bool:
    """Print the token of the turn where that is all there is to do, and tell whether it was."""
    entry = turn.entry
    if entry is None or turn.lock is not None or turn.error is not None or turn.is_refused:
        return False
    if "min_valid" in wanted and entry.lifetime() < float(wanted["min_valid"][-1]):
        return False  # it deserves a warning
    # A terminal gets a remark, and a closed stdout its own exit code: both the full way.
    if sys.stdout is None or sys.stdout.isatty():
        return False
    prefix = "Authorization: Bearer " if wanted.get("format", ["raw"])[-1] == "header" else ""
    answer = f"{prefix}{entry.token}\n".encode()
    try:
        while answer:
            answer = answer[os.write(1, answer) :]
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
