"""The child process that talks to a keyring; the only module that imports `keyring`.

A keyring may hang for ever and threads cannot be killed, so each load, save, delete or probe is one process, killed at
its deadline (design decision D2). It reads one JSON object from stdin and writes one to stdout, secrets included: never
to arguments or the environment. `keyring_store` starts it and runs `run`.

The backend is a class that we instantiate ourselves: neither `PYTHON_KEYRING_BACKEND` nor `keyringrc.cfg` nor a package
that happens to be installed chooses it. What an exception of a backend says stays here, because it may quote a secret;
only its kind goes out.

Every sign-in and every refresh waits for this process and pays for its imports, so they are few; on Linux `keyring` itself
is not among them, see `secret_service`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from devicelogin import core_dumps, errors
from devicelogin.secret_store import slots
from devicelogin.secret_store.refusal import IS_LOCKED, NO_SESSION, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from keyring import backend as keyring_backend

    class _Backend(Protocol):
        """`slots.Items` of which `delete` returns False where it knows that there was nothing under that name."""

        def get(self, name: str) -> str | None: ...
        def set(self, name: str, value: str) -> None: ...
        def delete(self, name: str) -> bool: ...


_SECRET_SERVICE = "keyring.backends.SecretService.Keyring"
#: Which backends may hold a refresh token without being asked for by name? In the order in which they are tried.
ALLOWED = {
    "linux": (_SECRET_SERVICE, "keyring.backends.libsecret.Keyring"),
    "darwin": ("keyring.backends.macOS.Keyring",),
    "win32": ("keyring.backends.Windows.WinVaultKeyring",),
}
KWALLET = "keyring.backends.kwallet.DBusKeyring"

#: Which are refused even by name? They lose what they are given, keep it readable, or choose another one by themselves.
REFUSED_PREFIXES = (
    "keyring.backends.null.",
    "keyring.backends.fail.",
    "keyring.backends.chainer.",
    "keyrings.alt.",
)

_PROBE_NAME = "probe"
#: As long as the record of an Entra sign-in is.
_PROBE_LENGTH = 3000
_PR_SET_PDEATHSIG = 1


class _BackendItems:
    """A keyring backend as `slots.Items`: one service, the item's name as the user name."""

    def __init__(self, backend: keyring_backend.KeyringBackend, service: str) -> None:
        from keyring import errors as keyring_errors

        self._backend = backend
        self._service = service
        self._not_there = keyring_errors.PasswordDeleteError

    def get(self, name: str) -> str | None:
        return self._backend.get_password(self._service, name)

    def set(self, name: str, value: str) -> None:
        self._backend.set_password(self._service, name, value)

    def delete(self, name: str) -> bool:
        try:
            self._backend.delete_password(self._service, name)
        except self._not_there:
            pass  # there was none; where there was one, whoever deletes looks afterwards
        except Exception:
            # So should every backend say that there is none. That of pass lets its program's exit status through.
            if self.get(name) is not None:
                raise
        return True  # nobody can tell


class _KnownItems:
    """Items of which those found missing are not looked for again.

    This process makes one call, in which the same names come back, and each look is a conversation with a service, or a
    program that is started.
    """

    def __init__(self, items: _Backend) -> None:
        self._items = items
        self._missing: set[str] = set()

    def get(self, name: str) -> str | None:
        if name in self._missing:
            return None
        value = self._items.get(name)
        if value is None:
            self._missing.add(name)
        return value

    def set(self, name: str, value: str) -> None:
        self._missing.discard(name)
        self._items.set(name, value)

    def delete(self, name: str) -> None:
        if name not in self._missing and not self._items.delete(name):
            self._missing.add(name)


def main() -> int:
    """Do what stdin asks for and answer on stdout. Returns the exit code."""
    gc.disable()  # for what takes a tenth of a second and is over
    _die_with_parent()
    core_dumps.forbid()
    answer_to = os.dup(1)
    # A backend that prints must not print into our answer.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    request = json.loads(sys.stdin.buffer.read())
    if os.name == "posix" and os.getppid() != request["parent"]:
        return 1  # killed before we could ask to die with it: nobody waits, and a late write would be a wrong one
    answer = _answer(request)
    with os.fdopen(answer_to, "wb") as file:
        file.write(json.dumps(answer).encode("ascii"))
    return 0


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        name, opened = _open_items(request["kind"], request["backend"], request["service"])
        items = _KnownItems(opened)
        prefix = f"{request['user']}/"
        answer = _OPERATIONS[request["operation"]](items, prefix, request)
        answer["backend"] = name
    except errors.DeviceLoginError as error:
        return {"error": type(error).__name__, "message": error.message, "hint": error.hint, "code": error.code}
    except RefusedError as error:
        return {"reason": error.reason, "detail": error.detail}
    except Exception as error:  # backends raise whatever their libraries raise
        return {"reason": _reason(error), "detail": _kind(error)}
    return answer


def _load(items: slots.Items, prefix: str, request: dict[str, Any]) -> dict[str, Any]:
    record = slots.load(items, f"{prefix}{request['name']}/")
    if record is None:
        return {"record": None}
    return {"record": {"generation": record.generation, "text": slots.to_ascii(record.text)}}


def _save(items: slots.Items, prefix: str, request: dict[str, Any]) -> dict[str, Any]:
    record = slots.Record(request["generation"], slots.from_ascii(request["text"]))
    slots.save(items, f"{prefix}{request['name']}/", record)
    return {}


def _delete(items: slots.Items, prefix: str, request: dict[str, Any]) -> dict[str, Any]:
    slots.delete(items, f"{prefix}{request['name']}/")
    return {}


def _probe(items: slots.Items, prefix: str, _: dict[str, Any]) -> dict[str, Any]:
    """Try the layout itself. Two probes at once may meet under the one name that can be swept, hence a second try."""
    try:
        _probe_once(items, prefix)
    except errors.StoreUnusableError as error:
        if error.code != "lost":
            raise
        time.sleep(0.05 + os.urandom(1)[0] / 1000)  # each waits another while, so that the two do not meet again
        _probe_once(items, prefix)
    return {}


def _probe_once(items: slots.Items, prefix: str) -> None:
    name = f"{prefix}{_PROBE_NAME}/"
    record = slots.Record(1, os.urandom(_PROBE_LENGTH // 2).hex())
    slots.delete(items, name)
    slots.save(items, name, record)  # and read back
    slots.delete(items, name)


_OPERATIONS: dict[str, Callable[[slots.Items, str, dict[str, Any]], dict[str, Any]]] = {
    "load": _load,
    "save": _save,
    "delete": _delete,
    "probe": _probe,
}


def _open_items(kind: str, name: str | None, service: str) -> tuple[str, _Backend]:
    """Return the backend `name`, or for None the first of the allowed ones that is viable here, after its full name."""
    allowed = _allowed_here()
    if kind != "keyring":
        return _viable(name or "", service)
    if name is not None and name not in (*allowed, KWALLET):
        raise RefusedError("refused", name)
    for candidate in [name] if name else allowed:
        try:
            return _secret_service(service) if candidate == _SECRET_SERVICE else _viable(candidate, service)
        except RefusedError as error:
            if error.reason not in {"no-class", "not-viable"}:
                raise
            if _is_bus_dead(error):
                raise RefusedError("dead-bus") from error
    raise RefusedError("no-bus" if _lacks_bus() else "no-backend")


def _secret_service(service: str) -> tuple[str, _Backend]:
    try:
        from devicelogin.secret_store import secret_service
    except ImportError as error:
        raise RefusedError("no-class", f"{_SECRET_SERVICE}: {type(error).__name__}") from error
    return _SECRET_SERVICE, secret_service.Items(service)


def _allowed_here() -> tuple[str, ...]:
    system = "linux" if sys.platform not in ALLOWED else sys.platform
    if system == "linux" and "KDE" in os.environ.get("XDG_CURRENT_DESKTOP", "").split(":"):
        return (KWALLET, *ALLOWED[system])
    return ALLOWED[system]


def _viable(name: str, service: str) -> tuple[str, _Backend]:
    import importlib

    from keyring import backend as keyring_backend

    module_name, _, class_name = name.rpartition(".")
    if name.startswith(REFUSED_PREFIXES):
        raise RefusedError("refused", name)
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise RefusedError("no-class", f"{name}: {type(error).__name__}") from error
    if not (isinstance(found, type) and issubclass(found, keyring_backend.KeyringBackend)):
        raise RefusedError("no-class", f"{name}: not a keyring backend")
    # SECURITY: an alias or a subclass of a refused class is refused as well.
    for ancestor in found.__mro__:
        if _full_name(ancestor).startswith(REFUSED_PREFIXES):
            raise RefusedError("refused", _full_name(ancestor))
    try:
        found.priority  # noqa: B018 - reading it is how keyring says that a backend cannot work here
    except RuntimeError as error:
        raise RefusedError("not-viable", name) from error
    return _full_name(found), _BackendItems(found(), service)


def _lacks_bus() -> bool:
    return sys.platform == "linux" and not os.environ.get("DBUS_SESSION_BUS_ADDRESS")


#: What connect(2) says of a session bus that has ended, or is somebody else's. Of a program that is missing, Python also
#: says its name.
_NOBODY_LISTENS = (FileNotFoundError, ConnectionRefusedError, PermissionError)


def _reason(error: Exception) -> str:
    """Return which of `keyring_store`'s reasons `error` is. Looks at types and codes, and at one text of keyring's."""
    import subprocess

    if isinstance(error, _errors_of_keyring("InitError")) and "Failed to create the collection" in str(error):
        return "no-collection"
    if type(error).__name__ == "SecretServiceNotAvailableException" or _bus_error(error) == NO_SESSION:
        return "died"
    if _bus_error(error) == IS_LOCKED:
        return "locked"
    if _is_bus_dead(error):
        return "dead-bus"
    if _first_number(error) == _WINDOWS_NO_SUCH_LOGON_SESSION:
        return "no-logon-session"
    reasons: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (_errors_of_keyring("KeyringLocked"), "locked"),
        (_errors_of_keyring("InitError"), "no-backend"),
        (_errors_of_keyring("NoKeyringError"), "no-backend"),
        (ImportError, "import"),
        (subprocess.CalledProcessError, "program"),
        (ConnectionError, "died"),
        (EOFError, "died"),
    )
    return next((reason for kind, reason in reasons if isinstance(error, kind)), "failed")


def _errors_of_keyring(name: str) -> tuple[type[Exception], ...]:
    """Return keyring's class of that name, nothing where keyring was not loaded and so cannot have raised it."""
    module = sys.modules.get("keyring.errors")
    return (getattr(module, name),) if module is not None else ()


def _is_bus_dead(error: BaseException | None) -> bool:
    """Tell whether `error` comes from a session bus that does not take us."""
    while error is not None:
        if isinstance(error, _NOBODY_LISTENS) and error.filename is None:
            return not _lacks_bus()
        error = error.__cause__
    return False


#: CredWrite in a network logon (SSH, WinRM) of Windows.
_WINDOWS_NO_SUCH_LOGON_SESSION = 1312


def _kind(error: Exception) -> str:
    """Return the kind of `error` without its text: class, D-Bus error name, number; of a program its name and status."""
    import subprocess

    if isinstance(error, subprocess.CalledProcessError):
        program = error.cmd[0] if isinstance(error.cmd, (list, tuple)) and error.cmd else "it"
        return f"{os.path.basename(str(program))} ended with exit status {error.returncode}"
    parts = [type(error).__name__]
    name = _bus_error(error)
    if name:
        parts.append(name)
    number = _first_number(error)
    if number is not None:
        parts.append(str(number))
    return " ".join(parts)


def _bus_error(error: Exception) -> str | None:
    name = getattr(error, "name", None)
    return name if type(error).__name__ == "DBusErrorResponse" and isinstance(name, str) else None


def _first_number(error: Exception) -> int | None:
    first = error.args[0] if error.args else None
    if isinstance(first, tuple) and first:
        first = first[0]
    return first if isinstance(first, int) else None


def _full_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _die_with_parent() -> None:
    # SECURITY: a child that outlived its killed parent could write an older token over a newer one.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def run() -> None:
    """Run this process."""
    # Straight out: no library's exit handler may wait for a bus.
    os._exit(main())
