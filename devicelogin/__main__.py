"""Entry point: `devicelogin` and `python -m devicelogin`; answers a cached `token` before anything heavy is imported.

Scripts call `devicelogin token` thousands of times a day, so the plain forms of it are recognised here and answered from
the runtime directory (`tokens.access_cache`). Whatever is unusual in the least goes the full way, which gives the same
answer: the rule for when a cached token is good stands in `access_cache` alone.
"""

import os
import sys

#: Which options of `token` are understood here? All of them take one value.
_OPTIONS = {
    "--profile": "profile",
    "-p": "profile",
    "--scope": "scope",
    "--min-valid": "min_valid",
    "--format": "format",
}

#: Which variables of ours leave the answer as it is?
_HARMLESS = frozenset({"DEVICELOGIN_PROFILE", "DEVICELOGIN_HOME"})


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        answer = _cached_answer(sys.argv[1:])
        if answer is not None and _write(answer):
            return
        from devicelogin.cli import main as command_line

        status = command_line.run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command line could take care of it
        status = 130
    sys.exit(status)


def _cached_answer(arguments: "list[str]") -> "bytes | None":  # noqa: PLR0911 - each doubt leaves by itself
    """Return what `devicelogin token` prints, None where that takes the full way."""
    wanted = _token_options(arguments)
    if wanted is None or any(name.startswith("DEVICELOGIN_") and name not in _HARMLESS for name in os.environ):
        return None
    scopes, header = wanted.get("scope", []), wanted.get("format", ["raw"])[-1]
    minimum = wanted.get("min_valid", [None])[-1]
    profile = wanted.get("profile", [None])[-1] or os.environ.get("DEVICELOGIN_PROFILE") or "default"
    from devicelogin.settings import paths
    from devicelogin.tokens import access_cache

    if header not in {"raw", "header"} or not paths.is_profile_name(profile) or not _are_plain(scopes):
        return None
    if minimum is not None and not (minimum.isascii() and minimum.isdigit() and int(minimum) <= 86400):
        return None
    try:
        own = paths.locate(os.environ).of(profile)
    except Exception:  # whatever is wrong, the full way says it better
        return None
    if own.cache is None:
        return None
    entry = access_cache.read(own.cache, access_cache.scope_line(tuple(scopes)), own.profile_file, own.sign_in)
    if entry is None or entry.is_early_due() or not entry.is_good(None if minimum is None else float(minimum)):
        return None
    return (f"Authorization: Bearer {entry.token}\n" if header == "header" else f"{entry.token}\n").encode()


def _token_options(arguments: "list[str]") -> "dict[str, list[str]] | None":
    """Return the values of the options by name, None unless this is `token` with options that are known here."""
    values: dict[str, list[str]] = {}
    is_token = False
    waiting = iter(arguments)
    for word in waiting:
        if word == "token" and not is_token:
            is_token = True
            continue
        option, equals, value = word.partition("=")
        name = _OPTIONS.get(option)
        if name is None or (not is_token and name != "profile") or (equals and option == "-p"):
            return None
        following = value if equals else next(waiting, None)
        if not following:
            return None
        values.setdefault(name, []).append(following)
    return values if is_token else None


def _are_plain(scopes: "list[str]") -> bool:
    """Tell whether the scopes are ones that the full way would take as they are."""
    reserved = {"openid", "profile", "offline_access"}
    return all(
        scope.isascii() and scope.isprintable() and not set(scope) & set(" \"'\\") and scope.lower() not in reserved
        for scope in scopes
    )


def _write(answer: bytes) -> bool:
    """Write the answer to stdout; tell whether that is all there is to do."""
    # A terminal gets a remark, and a closed stdout its own exit code: both the full way.
    if sys.stdout is None or sys.stdout.isatty():
        return False
    try:
        while answer:
            answer = answer[os.write(1, answer) :]
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
