"""`login --qr-image FILE`: the QR code in a file, for a display, a page or an e-ink badge that shows it.

The file is there as long as the code is good: whoever finds it may show it, whoever does not, takes the picture away.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Self

from devicelogin import directories, errors, redaction
from devicelogin.cli import output
from devicelogin.client import observing
from devicelogin.terminal import qr_image, verification_uri

if TYPE_CHECKING:
    from types import TracebackType

    from devicelogin import authority, models

#: What is drawn, by the ending of the file's name?
_DRAWN = {".png": qr_image.as_png, ".svg": qr_image.as_svg}


_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class QrFile:
    """The file `path`; None: there is none. A context manager: on the way in and out what lies there is deleted.

    Raises UsageError for another ending than .png and .svg; on the way in OutputError for what cannot be replaced, and
    TryLaterError where another sign-in draws there, which holds a lock on its picture.

    SECURITY: only a regular file of ours is replaced or deleted; no link is followed. Its mode is what the umask leaves
    of 0644: the picture is there to be shown, often by another user's program, and holds what stands on the screen too.
    What is worth a sign-in, the device_code, is not in it.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._held: list[int] = []  # the pictures written here, as locked descriptors, newest last
        if path is None:
            return
        ending = os.path.splitext(path)[1].lower()
        if ending not in _DRAWN:
            raise errors.UsageError(
                f"--qr-image writes .png and .svg, and {redaction.printable(path)} ends in neither",
                hint="let its name end in .png or .svg",
            )
        self._draw = _DRAWN[ending]

    def __enter__(self) -> Self:
        if self._path is not None:
            self._path = _replaceable(self._path)
            try:
                self._sweep(self._path)
            except FileNotFoundError:
                self._try_directory(os.path.dirname(self._path))
            except OSError as error:
                raise _unwritable(self._path, error.strerror or "unknown reason") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def is_wanted(self) -> bool:
        """Tell whether there is a file."""
        return self._path is not None

    def before(self, observer: observing.Observer) -> observing.Observer:
        """Return what tells `observer` everything and draws each code; `observer` itself where there is no file."""
        return _Drawing(observer, self) if self.is_wanted else observer

    def write(self, text: str) -> bool:
        """Let the file show `text`; False: it is too long for a QR code. Raises OutputError."""
        assert self._path is not None
        picture = self._draw(text)
        if picture is None:
            return False
        try:
            _replaceable(self._path)
            self._write(picture)
        except OSError as error:
            raise _unwritable(self._path, error.strerror or "unknown reason") from error
        return True

    def remove(self) -> None:
        """Delete the file, if it is still the one that was written here. Never raises."""
        for held in self._held:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(held), os.lstat(str(self._path))):
                    os.unlink(str(self._path))
        self._let_go()

    def _let_go(self, *, but: int = 0) -> None:
        while len(self._held) > but:
            os.close(self._held.pop(0))

    def _sweep(self, path: str) -> None:
        """Delete what a sign-in left that was killed: it shows a code for which nobody waits any more."""
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _CLOEXEC | getattr(os, "O_NONBLOCK", 0))
        try:
            if not directories.try_lock(descriptor):
                raise errors.TryLaterError(
                    f"another sign-in draws its QR code into {path}",
                    hint="end that one first, or name another file with --qr-image",
                    code="login_running",
                )
        finally:
            os.close(descriptor)
        os.unlink(path)

    def _try_directory(self, directory: str) -> None:
        """Raise OutputError where no file could be made: it is found out before a person is asked."""
        if not os.path.isdir(directory):
            raise _unwritable(str(self._path), f"{directory} is not a directory")
        if not os.access(directory, os.W_OK | os.X_OK):
            raise _unwritable(str(self._path), f"nothing can be made in {directory}")

    def _write(self, content: bytes) -> None:
        """Replace the file, whole or not at all; not forced to the disk, as it is worth nothing after a crash."""
        assert self._path is not None
        directory, name = os.path.split(self._path)
        temporary = os.path.join(directory, f".new-{name}-{os.urandom(6).hex()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC
        self._held.append(os.open(temporary, flags, 0o644))
        try:
            directories.try_lock(self._held[-1])
            with os.fdopen(self._held[-1], "wb", closefd=False) as file:
                file.write(content)
            os.replace(temporary, self._path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
        self._let_go(but=1)


class _Drawing(observing.Relay):
    """An observer before another one, which draws each code into a file and takes it away when the code is spent."""

    def __init__(self, observer: observing.Observer, file: QrFile) -> None:
        super().__init__(observer)
        self._file = file

    def show(self, authorization: models.DeviceAuthorization, provider: authority.Provider, tenant: str) -> None:
        """Write the file, then have the code shown: who reads of the code finds the picture. Raises OutputError.

        SECURITY: none is drawn of an address on a host that is not known as one of the identity provider's.
        """
        try:
            verification_uri.require_known(authorization, is_oidc=provider.is_oidc)
        except errors.BadAnswerError as error:
            self._file.remove()
            self._observer.show(authorization, provider, tenant)
            self._observer.note(f"no QR code was drawn: {error.message}")
            return
        is_drawn = self._file.write(verification_uri.for_qr_code(authorization))
        self._observer.show(authorization, provider, tenant)
        if not is_drawn:
            self._observer.note("no QR code was drawn: the address is too long for one")

    def may_renew(self) -> bool:
        """Take the picture away, and ask the other observer."""
        self._file.remove()
        return self._observer.may_renew()


def _replaceable(path: str) -> str:
    try:
        return output.replaceable(path)
    except ValueError as error:
        raise _unwritable(path, str(error)) from error


def _unwritable(path: str, why: str) -> errors.OutputError:
    return errors.OutputError(f"cannot write the QR code to {path}: {why}", hint="name another file with --qr-image")
