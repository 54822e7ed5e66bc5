"""The record: the text that a secret store keeps for a sign-in.

It holds MSAL's RefreshToken, Account and AppMetadata entries (design decision D3) and, sealed with them, what the sign-in
was made with. The refresh token goes to the origin that stands here, whatever has become of the file `sign-in`; and after
a crash in the middle of a login the trace can be made anew from it.
"""

from __future__ import annotations

import dataclasses
import json

from devicelogin import errors, models
from devicelogin.secret_store import sign_in as trace

#: Which version of the record do we write, and up to which do we read?
FORMAT_VERSION = 1


@models.record
class SavedSignIn:
    """A sign-in with what its next refresh needs (`credentials`, MSAL's entries as JSON text)."""

    sign_in: models.SignIn
    credentials: str = dataclasses.field(repr=False)


def pack_record(saved: SavedSignIn, *, generation: int) -> models.SecretRecord:
    """Return the record for `saved`."""
    fields = {
        "format_version": FORMAT_VERSION,
        "sign_in": dataclasses.asdict(saved.sign_in),
        "msal": json.loads(saved.credentials),
    }
    return models.SecretRecord(generation=generation, text=json.dumps(fields, sort_keys=True, separators=(",", ":")))


def unpack_record(record: models.SecretRecord, *, login: str) -> SavedSignIn:
    """Return what `record` holds. Raises DataBadError where it is no record of ours or of a newer version.

    `login` is the command that signs in again, for the hint.
    """
    try:
        fields = json.loads(record.text)
        version = fields["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise errors.DataBadError(
                "the saved sign-in was written by a newer version of devicelogin",
                hint=f"use that version, or sign in again with this one: {login}",
                code="newer_version",
            )
        return SavedSignIn(sign_in=trace.sign_in_from(fields["sign_in"]), credentials=json.dumps(fields["msal"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        # SECURITY: without the cause: its message would quote the record.
        raise errors.DataBadError(
            "the saved sign-in is damaged; it was left as it is", hint=f"sign in again: {login}", code="damaged"
        ) from None
