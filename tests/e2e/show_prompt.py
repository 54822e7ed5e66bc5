"""A program of its own for the tests: shows one sign-in prompt on stderr, says when it stands there, and waits.

Usage: show_prompt.py URI QR READY SECONDS [COMPLETE | --copy], where READY is a file that is made once the prompt and the
countdown are drawn, and COMPLETE is the verification_uri_complete. It ends when SECONDS are over or the file READY.end is
there, whichever comes first.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from devicelogin import models
from devicelogin.terminal import screen, sign_in_prompt


def main() -> None:
    """Show the prompt and count down until it is told to end, the time is over or somebody interrupts."""
    uri, qr, ready, seconds, *more = sys.argv[1:]
    authorization = models.DeviceAuthorization(
        user_code="BPPVYQZMA",
        verification_uri=uri,
        verification_uri_complete=next((word for word in more if word.startswith("https:")), None),
        expires_in=900,
        interval=5,
        client_id="1f6c2f0e-7d3c-4a52-9b1e-2f3d4c5b6a79",
        authority="https://login.microsoftonline.com/contoso.com",
        scopes=("User.Read", "openid", "profile", "offline_access"),
        device_code="never-shown-device-code",
    )
    target = screen.Screen(sys.stderr, environ=os.environ)
    end = time.monotonic() + float(seconds)
    with sign_in_prompt.SignInPrompt(target, qr=qr, copy="--copy" in more) as prompt:
        prompt.show(authorization, host_name="board-7", user="ada", app=authorization.client_id, tenant="contoso.com")
        while time.monotonic() < end and not Path(f"{ready}.end").exists():
            prompt.waiting(840 + end - time.monotonic())
            Path(ready).touch()
            time.sleep(0.05)
        prompt.done("signed in")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
