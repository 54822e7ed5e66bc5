"""The profile file: read strictly, written without losing its owner's comments and order.

It holds no secret, so others may read it; nobody else may write it, for it says where refresh tokens go.
"""

from __future__ import annotations

import os
import re
from dataclasses import field
from typing import TYPE_CHECKING

from devicelogin import errors, hints, models, private_files, redaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devicelogin.settings.paths import ProfilePaths

    Fits = Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_yes_or_no(value: object) -> bool:
    return isinstance(value, bool)


_TEXT = (_is_text, 'a string, as in {key} = "..."')
_TEXTS = (_is_texts, 'a list of strings, as in {key} = ["..."]')

_KEYS: dict[str, tuple[Fits, str]] = {
    "client_id": _TEXT,
    "tenant": _TEXT,
    "authority": _TEXT,
    "oidc_issuer": _TEXT,
    "scopes": _TEXTS,
    "also": _TEXTS,
    "default_scope": (_is_yes_or_no, "true or false, without quotes"),
    "graph_root": _TEXT,
    "ca_file": _TEXT,
    "min_valid": (_is_number, "a whole number, as in {key} = 300"),
    "store": _TEXT,
    "key": (lambda value: _is_text(value) or _is_texts(value), 'a string or a list of strings, as in {key} = "file"'),
    "bind": _TEXT,
    "cache": (_is_text, '"on" or "off", with its quotes'),
    "on_code": _TEXTS,
    "on_login_needed": _TEXTS,
    "remote_login": (_is_yes_or_no, "true or false, without quotes"),
    "remote_login_hours": (_is_text, 'a span of hours, as in {key} = "08:00-18:00"'),
}

_UTF_8 = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

#: Which keys may a profile hold, in the order in which login writes them?
KEYS = tuple(_KEYS)

#: Which of them name the identity provider? A profile has one of them at most.
AUTHORITY_KEYS = ("tenant", "authority", "oidc_issuer")


@models.short_record
class Profile:
    """What a profile file says: known keys with values of the right type, their content unchecked."""

    path: str
    values: Mapping[str, object]
    text: str = field(default="", repr=False)

    def line_of(self, key: str) -> int | None:
        """Return the number of the line on which `key` begins."""
        return _line_of(self.text, key)


def read_profile(paths: ProfilePaths) -> Profile:
    """Return the profile; an empty one where there is no file.

    Raises ConfigError where it is somebody else's, writable by others, no TOML, or holds an unknown key, a value of the
    wrong type or two of `AUTHORITY_KEYS`; it names file and line.
    """
    path = paths.profile_file
    if os.path.isdir(paths.places.config):
        private_files.check_directory(paths.places.config)
    content = private_files.read(path)
    if content is None:
        return Profile(path, {})
    text = _decoded(path, content)
    profile = Profile(path, _parsed(path, text), text)
    for key, value in profile.values.items():
        _check_type(profile, key, value)
    _check_one_authority(profile)
    return profile


def write_profile(paths: ProfilePaths, changes: Mapping[str, object]) -> None:
    """Put `changes` into the profile file: a value replaces or adds a key, None removes it, all else stays as it is.

    A file that would not change is left alone, so that what watches its stat sees no edit. Raises ConfigError where the
    present file is not right, StoreUnusableError where the new one cannot be written.
    """
    profile = read_profile(paths)
    wanted = {key: _plain(value) for key, value in changes.items() if value is not None}
    for key, value in wanted.items():
        _check_type(profile, key, value)
    expected = {key: value for key, value in profile.values.items() if key not in changes} | wanted
    if expected == profile.values:
        return
    _check_one_authority(Profile(profile.path, expected))
    text = _rewritten(profile, changes, wanted, paths.profile)
    if _parsed(profile.path, text) != expected:
        raise errors.InternalError(
            f"the new content of {profile.path} would not say what it should; it is unchanged",
            hint=f"make it simpler and try again: one key = value on each line of {profile.path}",
        )
    private_files.replace(profile.path, text.encode())


def _rewritten(profile: Profile, changes: Mapping[str, object], wanted: Mapping[str, object], name: str) -> str:
    import tomlkit  # only login writes profiles

    text = profile.text
    if not text:
        text = f"# devicelogin, profile {name}: written by login, yours to edit; comments are kept\n"
    document = tomlkit.parse(text)
    for key in changes:
        if key not in wanted:
            document.pop(key, None)
    for key in KEYS:
        if key in wanted and document.get(key) != wanted[key]:
            document[key] = wanted[key]
    return tomlkit.dumps(document)


def decoded(content: bytes) -> str:
    """Return the text of a file that a person wrote: UTF-8, with a byte order mark or without one.

    Raises BadEncodingError where it is something else.
    """
    if content.startswith(_UTF_16) or content[1:200:2].count(0) * 4 > len(content[:200]):
        raise BadEncodingError("the file is UTF-16", line=1)
    try:
        return content.removeprefix(_UTF_8).decode()
    except UnicodeDecodeError as error:
        raise BadEncodingError("not UTF-8 text", line=content.count(b"\n", 0, error.start) + 1) from error


class BadEncodingError(ValueError):
    """A text file in another encoding than UTF-8; `line` is the first line that shows it."""

    def __init__(self, why: str, *, line: int) -> None:
        super().__init__(why)
        self.why = why
        self.line = line


def _decoded(path: str, content: bytes) -> str:
    try:
        return decoded(content)
    except BadEncodingError as error:
        raise errors.ConfigError(f"{path}:{error.line}: {error.why}", hint=f"save it as UTF-8: {path}") from error


def _parsed(path: str, text: str) -> dict[str, object]:
    import tomllib  # a machine without a profile does not need it

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reason, _, place = str(error).rpartition(" (at ")
        number = re.match(r"line (\d+)", place)
        line = int(number[1]) if number else text.count("\n") + (not text.endswith("\n"))
        raise _bad_file(path, max(line, 1), redaction.printable(reason or "no TOML")) from None
    except (ValueError, RecursionError) as error:
        # Python's own limits: numbers of thousands of digits, lists a thousand deep.
        raise _bad_file(path, 1, "too large a number or too deep a list") from error


def _check_type(profile: Profile, key: str, value: object) -> None:
    line = profile.line_of(key) or 1
    if key not in _KEYS:
        close = hints.nearest(key, KEYS)
        raise errors.ConfigError(
            f"{profile.path}:{line}: unknown key {redaction.printable(key, limit=60)!r}",
            hint=f"the nearest known key is {close}" if close else f"the known keys are {', '.join(KEYS)}",
        )
    fits, words = _KEYS[key]
    if not fits(value):
        raise errors.ConfigError(
            f"{profile.path}:{line}: {key} has a value of the wrong type", hint=f"it is {words.format(key=key)}"
        )


def _check_one_authority(profile: Profile) -> None:
    given = [key for key in AUTHORITY_KEYS if key in profile.values]
    if len(given) > 1:
        line = max(profile.line_of(key) or 1 for key in given)
        raise errors.ConfigError(
            f"{profile.path}:{line}: {given[0]} and {given[1]} exclude each other",
            hint="keep the one that names your identity provider and delete the other",
        )


def _bad_file(path: str, line: int, reason: str) -> errors.ConfigError:
    return errors.ConfigError(
        f"{path}:{line}: {reason[:1].lower()}{reason[1:]}", hint=f'mend line {line}; a line reads: key = "value"'
    )


def _line_of(text: str, key: str) -> int | None:
    found = re.search(rf"^[ \t]*[\[\"']*{re.escape(key)}\b", text, re.MULTILINE)
    return None if found is None else text.count("\n", 0, found.start()) + 1


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
