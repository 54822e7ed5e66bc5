"""The child that reads the saved sign-in as a job of cron would; says on stdout only whether it could."""

from __future__ import annotations

import dataclasses
import json
import os
import sys

from devicelogin import client, core_dumps, errors, hints, secret_store
from devicelogin.tokens import silent


def main() -> None:
    """Read the record of the profile that the argument names, and write `{"error": ...}`, null where that worked."""
    core_dumps.forbid()
    profile = sys.argv[1]
    failed = None
    try:
        _read(client.Workplace(profile, flags={}, environ=os.environ))
    except errors.DeviceLoginError as error:
        failed = error.as_json()
    sys.stdout.write(json.dumps({"error": failed}))


def _read(work: client.Workplace) -> None:
    trace = secret_store.read_sign_in(work.paths)
    for location in () if trace is None else (trace.location, trace.previous):
        if trace is not None and location is not None:
            record = work.open_store(dataclasses.replace(trace, location=location)).load()
            if record is not None:
                secret_store.unpack_record(record, login=hints.login(work.profile))
                return
    raise silent.not_signed_in(work.paths)


if __name__ == "__main__":
    main()
