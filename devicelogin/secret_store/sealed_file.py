"""The sealed file: the secret store of machines without an OS keyring (design decision D4).

One file per record: a header line of JSON, then a nonce of 96 bits, fresh for each write, then the text sealed with
AES-256-GCM. The header says the format version, the profile, the record's name and generation, the key source and what the
record is bound to; it and the machine id are authenticated with the text (additional data), so that a record can be
neither changed nor swapped for another one of ours. The key comes from a key source through HKDF-SHA256. Version 2 of the
format has `key_parameters`, which a passphrase needs to be stretched; version 3 has them for what a command prints or a
credential holds as well. What needs none is written as version 1 still, and versions 1 open whatever they were sealed with.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from types import NoneType
from typing import TYPE_CHECKING, Any

from devicelogin import errors, hints, models, private_files, redaction
from devicelogin.secret_store import key_sources, machine, record_files, sealed_header, stretching

if TYPE_CHECKING:
    from collections.abc import Callable

    from devicelogin.settings import paths as settings_paths

#: How long may a sealed text be (bytes)? Far more than a sign-in has, well under what we read of a file.
LONGEST = 512 * 1024

_NONCE_LENGTH = 12
_TAG_LENGTH = 16
_PROBE_LENGTH = 3000
_BINDS = ("machine", "none")


class SealedFile:
    """The record `name` of one profile in a sealed file.

    `supply` is what its key source needs from outside; without one: our environment and nobody to ask. `machine_root` is
    for tests.
    """

    def __init__(
        self,
        location: models.StoreLocation,
        paths: settings_paths.ProfilePaths,
        name: str = "record",
        *,
        supply: key_sources.KeySupply | None = None,
        machine_root: str = "/",
    ) -> None:
        self._paths = paths
        self._supply = key_sources.KeySupply() if supply is None else supply
        self._sources: dict[str, key_sources.KeySource] = {}
        self._name = name
        self._path = record_files.path_of(paths, name)
        self._machine_root = machine_root
        self._source = self._source_named(location.key or "file")
        self._bind = location.bind or machine.binding(machine_root)
        if self._bind not in _BINDS:
            raise errors.ConfigError(
                f"bind = {redaction.printable(self._bind)!r} is unknown", hint='write bind = "machine" or "none"'
            )

    @property
    def location(self) -> models.StoreLocation:
        """Where the record lies."""
        return models.StoreLocation(kind="file", key=self._source.name, bind=self._bind)

    @property
    def protection(self) -> str:
        """What protects the record, for people."""
        bound = "; bound to this machine's id" if self._bind == "machine" else ""
        return self._source.protection + bound

    def probe(self) -> None:
        """Try the key source, the directory and the disk with a throw-away secret. Raises StoreUnusableError.

        Makes the key where the key source can and nothing is sealed with it yet. Raises DataBadError where a passphrase
        was typed that does not open the saved record: it must not become the new one.
        """
        record = models.SecretRecord(generation=1, text=os.urandom(_PROBE_LENGTH // 2).hex())
        with self._plain_hints():
            self._check_typed()
            content, check = self._sealed(record)
            private_files.try_out(self._path, content, check=check)

    def load(self) -> models.SecretRecord | None:
        """Return the saved record or None.

        Raises DataBadError where it is damaged, of another machine, profile or key or of a newer version,
        StoreUnusableError where the key source is missing, ConfigError where the file is not private to us.
        """
        with self._plain_hints():
            content = private_files.read(self._path)
            try:
                return None if content is None else self._open(content)
            except errors.DataBadError:
                # Nobody need hold the lock to read: the record and its key may have been changed between the two looks.
                again = private_files.read(self._path)
                if again is None or again == content:
                    raise
                return self._open(again)

    def is_there(self) -> bool:
        """Tell whether there is a record. Raises what `load` would, as far as that shows without unsealing it."""
        with self._plain_hints():
            content = private_files.read(self._path)
            if content is None:
                return False
            header = self._header_for_here(content[: content.find(b"\n") + 1])
            if header.key == "file" and not os.access(self._paths.key_file, os.R_OK):
                self._secret_of(header)  # which says what is missing
            return True

    def save(self, record: models.SecretRecord) -> None:
        """Replace the record; what was written is read back and opened before the old one goes.

        Sweeps what killed writers left. Raises StoreUnusableError.
        """
        with self._plain_hints():
            for directory in (self._paths.state, os.path.dirname(self._paths.key_file)):
                private_files.sweep(directory)
            self._settle_key()
            content, check = self._sealed(record)
            private_files.replace(self._path, content, check=check)

    def choose_new_key(self) -> None:
        """Choose the key that `rekey` seals with; a person may be asked for it. Nothing is written."""
        with self._plain_hints():
            self._source.choose_new()

    def rekey(self, record: models.SecretRecord) -> None:
        """Seal `record`, the saved one, with the key that was chosen; then the former key goes.

        Killed at any moment, or where it fails, the record opens as it did before or with the new key, and the next save
        lets one of the two keys be the only one. Raises as `save` does.
        """
        with self._plain_hints():
            try:
                self._source.keep_new()
                content, check = self._sealed(record)
                private_files.replace(self._path, content, check=check)
                # What is deleted next is the only other way in. Byte for byte: the former record says the same.
                if private_files.read(self._path) != content:
                    raise _lost(self._path)
            finally:
                self._settle_key()

    def delete(self) -> None:
        """Delete the record, and one that was set aside; verified. Raises StoreUnusableError. The key file stays."""
        private_files.remove(self._path)
        private_files.remove(record_files.aside(self._path))
        private_files.sweep(self._paths.state)
        if os.path.lexists(self._path):
            raise errors.StoreUnusableError(
                f"cannot delete {self._path}", hint=f"delete it yourself: rm {private_files.as_word(self._path)}"
            )

    def _sealed(self, record: models.SecretRecord) -> tuple[bytes, Callable[[bytes], None]]:
        """Return what to write for `record`, and what checks that it was written. Makes the key where there is none."""
        text = record.text.encode("utf-8", "surrogatepass")
        if len(text) > LONGEST:
            raise errors.StoreUnusableError(
                f"the sign-in has {len(text)} bytes and the sealed file takes {LONGEST}; what was saved before is unchanged",
                hint="ask for fewer scopes in one sign-in",
                code="too_long",
            )
        if not self._anything_sealed():
            self._source.make()

        def check(written: bytes) -> None:
            if self._open(written) != record:
                raise _lost(self._path)

        return self._seal(record.generation, text), check

    def _settle_key(self) -> None:
        """Finish a change of the key that was interrupted, or take it back."""
        fields = sealed_header.read_fields(self._paths.record)
        mark = fields.get("key_mark") if fields.get("key") == self._source.name else None
        self._source.settle(lambda secret: mark == _mark(secret))

    def _anything_sealed(self) -> bool:
        """Tell whether there is a record that this source's key is needed for; a damaged one may be."""
        # A key that is missing must not be replaced by a new one while something may still need the old one.
        try:
            names = os.listdir(self._paths.state)
        except OSError:
            return False
        records = [name for name in names if name == "record" or name.startswith("record-")]
        keys = [sealed_header.key_named_in(os.path.join(self._paths.state, name)) for name in records]
        # A passphrase is in nobody's backup: one that cannot be compared with a record is typed twice.
        return self._source.name in keys or (None in keys and not self._source.is_typed)

    def _check_typed(self) -> None:
        content = private_files.read(self._path) if self._source.is_typed else None
        if content is None:
            return
        try:
            header = self._parse_header(content[: content.find(b"\n") + 1])
        except errors.DataBadError:
            return  # a new sign-in moves it aside
        if header.key == self._source.name:
            self._secret_of(header)

    def _seal(self, generation: int, text: bytes) -> bytes:
        from cryptography.hazmat.primitives.ciphers import aead

        self._keep_parameters()
        parameters = self._source.new_parameters()
        secret = self._source.read(parameters)
        # The lowest version that knows this, so that a former release opens what it can and says what it cannot.
        version = 1 if parameters is None else 2 if self._source.is_typed else 3
        header = sealed_header.Header(
            magic=sealed_header.MAGIC,
            format_version=version,
            profile=self._paths.profile,
            name=self._name,
            generation=generation,
            key=self._source.name,
            key_mark=_mark(secret),
            bind=self._bind,
            machine_mark=self._machine_mark(),
            key_parameters=parameters,
        ).as_line()
        # SECURITY: 96 random bits a write; even at one write a second their repetition stays out of reach for ages.
        nonce = os.urandom(_NONCE_LENGTH)
        additional = header + self._machine_bytes(self._bind)
        return header + nonce + aead.AESGCM(_derive(secret, "seal")).encrypt(nonce, text, additional)

    def _keep_parameters(self) -> None:
        """Take those of the saved record, which is going to be read in this command if it was not yet."""
        if self._supply.parameters is None:
            fields = sealed_header.read_fields(self._path)
            if fields.get("key") == self._source.name and isinstance(fields.get("key_parameters"), dict):
                stretching.keep(fields["key_parameters"], self._supply)

    def _open(self, content: bytes) -> models.SecretRecord:
        from cryptography import exceptions
        from cryptography.hazmat.primitives.ciphers import aead

        line, newline, sealed = content.partition(b"\n")
        header = self._header_for_here(line + newline)
        secret = self._secret_of(header)
        if len(sealed) < _NONCE_LENGTH + _TAG_LENGTH:
            raise self._bad("is cut off", "damaged")
        nonce, text = sealed[:_NONCE_LENGTH], sealed[_NONCE_LENGTH:]
        additional = line + newline + self._machine_bytes(header.bind)
        try:
            opened = aead.AESGCM(_derive(secret, "seal")).decrypt(nonce, text, additional)
        except exceptions.InvalidTag:
            raise self._bad("is damaged", "damaged") from None
        return models.SecretRecord(generation=header.generation, text=opened.decode("utf-8", "surrogatepass"))

    def _secret_of(self, header: sealed_header.Header) -> bytes:
        """Return the bytes of the source that `header` names. Raises DataBadError where they are not those it was sealed with."""
        source = self._source_named(header.key)
        try:
            for secret in source.candidates(header.key_parameters):
                if header.key_mark == _mark(secret):
                    stretching.keep(header.key_parameters, self._supply)
                    return secret
        except ValueError:
            raise self._bad("is damaged", "damaged") from None
        if source.is_typed:
            raise errors.DataBadError(
                f"the passphrase does not open the saved sign-in {self._path}",
                hint="try again; if it is forgotten: devicelogin logout, then devicelogin login",
                code="another_key",
            )
        if source.name == "command":
            raise errors.DataBadError(
                f"the saved sign-in {self._path} was sealed with another key than the command in the profile prints",
                hint=f"write the former command back into {self._paths.profile_file}, or sign in again: devicelogin login",
                code="another_key",
            )
        raise self._bad("was sealed with another key", "another_key")

    def _header_for_here(self, line: bytes) -> sealed_header.Header:
        """Return the header of a record. Raises DataBadError where that was sealed with a machine id that is not here now."""
        header = self._parse_header(line)
        if header.bind == "machine" and header.machine_mark != self._machine_mark("machine"):
            why = machine.why_not_lasting(self._machine_root) or "or this one has had another machine id since"
            raise self._bad(f"was sealed on another machine, {why}", "another_machine")
        return header

    def _parse_header(self, line: bytes) -> sealed_header.Header:
        data = sealed_header.fields_of(line)
        if data is None:
            raise self._bad("is damaged", "damaged")
        if data["format_version"] > sealed_header.FORMAT_VERSION:
            raise self._bad("was written by a newer version of devicelogin", "newer_version")
        header = (
            sealed_header.Header(**data)
            if data.keys() == set(sealed_header.FIELDS.get(data["format_version"], ()))
            else None
        )
        if (
            header is None
            or type(header.generation) is not int
            or header.bind not in _BINDS
            or not isinstance(header.key_parameters, (dict, NoneType))
        ):
            raise self._bad("is damaged", "damaged")
        if (header.profile, header.name) != (self._paths.profile, self._name):
            raise self._bad(
                f"belongs to the profile {redaction.printable(header.profile, limit=64)} "
                f"(as {redaction.printable(header.name, limit=64)})",
                "another_profile",
            )
        return header

    def _source_named(self, name: object) -> key_sources.KeySource:
        if not isinstance(name, str) or name not in key_sources.names():
            raise self._bad(f"has a key source that this version does not know: {redaction.printable(name)}", "damaged")
        if name not in self._sources:
            source = key_sources.of(name, self._paths, self._supply)
            assert source is not None
            self._sources[name] = source
        return self._sources[name]

    def _machine_mark(self, bind: str | None = None) -> str | None:
        if (bind or self._bind) == "none":
            return None
        found = machine.machine_id(self._machine_root)
        # A hash: the machine id itself is not for other people's eyes (machine-id(5)).
        return None if found is None else hashlib.sha256(b"devicelogin machine " + found.encode()).hexdigest()[:16]

    def _machine_bytes(self, bind: str) -> bytes:
        if bind == "none":
            return b""
        found = machine.machine_id(self._machine_root)
        if found is None:
            raise errors.StoreUnusableError(
                "this machine has no machine id to bind the saved sign-in to",
                hint='write bind = "none" into the profile, or make one: systemd-machine-id-setup',
                code="no_machine_id",
            )
        return found.encode("ascii")

    def _bad(self, what: str, code: str) -> errors.DataBadError:
        return errors.DataBadError(
            f"the saved sign-in {self._path} {what}", hint="sign in again: devicelogin login", code=code
        )

    @contextlib.contextmanager
    def _plain_hints(self) -> Any:
        try:
            yield
        except errors.DeviceLoginError as error:
            error.hint = hints.for_profile(error.hint or "", self._paths.profile) or None
            raise


def _mark(secret: bytes) -> str:
    return _derive(secret, "mark").hex()[:16]


def _derive(secret: bytes, purpose: str) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf import hkdf

    info = f"devicelogin sealed record v1 {purpose}".encode("ascii")
    return hkdf.HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secret)


def _lost(path: str) -> errors.StoreUnusableError:
    return errors.StoreUnusableError(
        f"{path} did not keep what was written; what was saved before is unchanged",
        hint="that disk may be dying: dmesg | tail",
        code="lost",
    )
