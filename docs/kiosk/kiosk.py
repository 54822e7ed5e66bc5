#!/usr/bin/env python3
"""A web page on this machine that lets whoever stands before it sign the machine in with a phone.

    python3 kiosk.py [--port 8080] [--] OPTIONS OF devicelogin login
    chromium --kiosk http://127.0.0.1:8080/

Nothing but Python's standard library and the program devicelogin. The page has no script: it loads itself anew every
second. It is served to this machine alone. Ctrl-C or SIGTERM ends it, and the sign-in with it.
"""

import argparse
import contextlib
import html
import http.server
import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

#: After which exit codes does the kiosk begin anew, and after how many seconds? 5: somebody declined, or was another person
#: than the one expected; 75: no network. Every other one needs somebody who changes something.
AGAIN = {5: 20, 75: 30}


class SignIn:
    """What the events have said so far; every event replaces what it is about."""

    def __init__(self, picture: pathlib.Path) -> None:
        self.picture = picture
        self.code = None  # the event `code` or `renewed`
        self.ends = 0.0  # when that code expires, by the clock that nobody sets
        self.trouble = ""
        self.result = None  # the event `signed_in` or `failed`

    def take(self, event: dict) -> None:
        """Note what an event says; those that we do not know are for others."""
        name = event["event"]
        if name in ("code", "renewed"):
            self.code, self.trouble = event, ""
            self.ends = time.monotonic() + event["expires_in"]
        elif name == "waiting":
            self.ends = time.monotonic() + event["seconds_left"]
        elif name == "trouble":
            self.trouble = event["message"]
        elif name == "recovered":
            self.trouble = ""
        elif name in ("signed_in", "failed"):
            self.code, self.result = None, event

    def follow(self, process: subprocess.Popen) -> None:
        """Read the events until the last one."""
        for line in process.stdout:
            self.take(json.loads(line))
        if process.wait() and self.result is None:
            message = f"devicelogin ended with {process.returncode}; its log says why"
            self.result = {"event": "failed", "message": message, "hint": None, "exit": process.returncode}


STYLE = """
  body { font: 2.6vmin sans-serif; background: #fff; color: #111; text-align: center; margin: 3vmin }
  svg { width: 42vmin; height: 42vmin }
  .code { font: bold 11vmin monospace; white-space: nowrap; margin: 1vmin }
  .code span { margin: 0 0.25em }
  .address { font-size: 4.5vmin; font-weight: bold }
  .trouble { color: #a00 }
"""


def groups(user_code: str) -> list[str]:
    """Return the code in groups of three or four, which are easier to type; as it is where it has separators."""
    if not user_code.isalnum() or len(user_code) <= 4:
        return [user_code]
    size = 3 if len(user_code) % 3 == 0 else 4
    return [user_code[start : start + size] for start in range(0, len(user_code), size)]


def content(sign_in: SignIn) -> str:
    """Return what the page says now. Whatever comes from outside goes through html.escape."""
    code, result = sign_in.code, sign_in.result
    if result is not None and result["event"] == "signed_in":
        return f"<h1>Signed in</h1><p>{html.escape(result['username'])}</p>"
    if result is not None:
        hint = f"<p>{html.escape(result['hint'])}</p>" if result["hint"] else ""
        again = "<p>A new code comes in a moment.</p>" if result["exit"] in AGAIN else ""
        return f"<h1>Not signed in</h1><p>{html.escape(result['message'])}</p>{hint}{again}"
    trouble = f'<p class="trouble">{html.escape(sign_in.trouble)}</p>' if sign_in.trouble else ""
    left = math.ceil(sign_in.ends - time.monotonic())
    if code is None or left <= 0:
        return f"<h1>One moment</h1><p>A code is on its way.</p>{trouble}"
    picture = ""
    with contextlib.suppress(FileNotFoundError):  # there is none where the address is too long, or nobody's we know
        picture = sign_in.picture.read_text()
    letters = "".join(f"<span>{html.escape(group)}</span>" for group in groups(code["user_code"]))
    return f"""<h1>Sign in on {html.escape(socket.gethostname())}</h1>
{picture}
<p>Scan this with your phone, or open <span class="address">{html.escape(code["verification_uri"])}</span>, and enter</p>
<p class="code">{letters}</p>
<p>The code is good for {left // 60}:{left % 60:02} more. Enter it only if you stand before this machine.</p>
{trouble}"""


def page(sign_in: SignIn) -> bytes:
    """Return the whole page."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="1">
<title>Sign in</title><style>{STYLE}</style></head><body>
{content(sign_in)}
</body></html>
""".encode()


class Pages(http.server.BaseHTTPRequestHandler):
    """Serves the one page, to a browser on this machine."""

    def do_GET(self) -> None:
        # SECURITY: a web site can let its own name lead to 127.0.0.1 and would then read the code; the name tells.
        if self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self.send_error(403)
            return
        if self.path != "/":
            self.send_error(404)
            return
        body = page(self.server.sign_in)
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of a page every second."""


def end(_number: int, _frame: object) -> None:
    """Let SIGTERM, with which services are stopped, do what Ctrl-C does."""
    raise KeyboardInterrupt


def main() -> None:
    """Serve the page, and run sign-ins until one has worked or needs a person elsewhere."""
    parser = argparse.ArgumentParser(description="A page for signing this machine in.")
    parser.add_argument("--port", type=int, default=8080, help="where the page is; 0: a free one")
    parser.add_argument("options", nargs="*", help="options of devicelogin login, after --")
    wishes = parser.parse_args()
    program = shutil.which("devicelogin", path=f"{pathlib.Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        sys.exit("devicelogin is not on the PATH")
    signal.signal(signal.SIGTERM, end)
    with (
        tempfile.TemporaryDirectory(prefix="kiosk-") as directory,
        http.server.ThreadingHTTPServer(("127.0.0.1", wishes.port), Pages) as server,
    ):
        picture = pathlib.Path(directory) / "code.svg"
        server.daemon_threads, server.sign_in = True, SignIn(picture)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        command = [program, "login", "--json", "--renew", "--qr-image", str(picture), *wishes.options]
        while True:
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
                try:
                    server.sign_in.follow(process)
                finally:
                    process.terminate()
            # Where nobody is to sign in any more, the page goes on to say how it ended.
            threading.Event().wait(AGAIN.get(process.returncode))
            server.sign_in = SignIn(picture)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        try:
            main()
        except OSError as error:  # the port, most often: another program has it
            sys.exit(f"the page cannot be served: {error.strerror}; try another --port")
