"""Which versions run, and whether they are those that this program was made for."""

from __future__ import annotations

import platform
import re
import shlex
import ssl
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import devicelogin
from devicelogin.doctor import subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devicelogin import models

NAME = "versions"

#: Which of the packages that we need are shown? Those that an error report is about.
_SHOWN = ("msal", "keyring", "cryptography", "requests")

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*([<>=!~0-9.,\s]*)\Z")
_BOUND = re.compile(r"(>=|<)\s*([0-9.]+)")


def look() -> models.Finding:
    """Return the versions; yellow where one is missing, too old or too new."""
    about = subject.Subject(subject.MACHINE)
    found = {name: _installed(name) for name, _ in _requirements()}
    shown = [f"{name} {found.get(name) or 'missing'}" for name in _SHOWN if name in found]
    openssl = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    text = ", ".join([f"devicelogin {devicelogin.__version__}", f"Python {platform.python_version()}", *shown, openssl])
    wrong = [f"{name}{bounds}" for name, bounds in _requirements() if not fits(found[name], bounds)]
    if not wrong:
        return about.green(NAME, text)
    names = ", ".join(re.split(r"[<>=]", each)[0] for each in wrong)
    install = shlex.join([sys.executable, "-m", "pip", "install", *wrong])
    return about.yellow(NAME, f"not what devicelogin was made for: {names}; {text}", hint=install)


def fits(version: str | None, bounds: str) -> bool:
    """Tell whether `version` (None: not installed) keeps to `bounds` such as `>=1.32,<2`."""
    if version is None:
        return False
    have = _numbers(version)
    return all((have >= _numbers(bound)) is (sign == ">=") for sign, bound in _BOUND.findall(bounds))


def _numbers(version: str) -> tuple[int, ...]:
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in release.group().split(".")] if release else []
    while numbers and numbers[-1] == 0:  # 2 and 2.0 are one
        numbers.pop()
    return tuple(numbers)


def _requirements() -> Iterator[tuple[str, str]]:
    """Yield what the installed package asks for, without what its tests do."""
    try:
        lines = metadata.requires("devicelogin") or []
    except metadata.PackageNotFoundError:  # a checkout that was not installed
        lines = list(_SHOWN)
    for line in lines:
        parts = _REQUIREMENT.match(line.strip())
        if parts is not None:
            yield parts[1], parts[2].replace(" ", "")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
