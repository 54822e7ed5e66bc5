"""The page that a person opens on a phone: enter the code, see who asks for what, accept or decline."""

from __future__ import annotations

import html
import secrets
import threading
from typing import TYPE_CHECKING

from devicelogin.emulator.messages import Answer

if TYPE_CHECKING:
    from devicelogin.emulator.device_codes import DeviceCode, DeviceCodes
    from devicelogin.emulator.directory import Directory
    from devicelogin.emulator.messages import Request

_HEADERS = (
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("X-Frame-Options", "DENY"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; color: #1b1b1b; background: #f3f3f3; margin: 0; }}
main {{ max-width: 26rem; margin: 0 auto; padding: 1.5rem; background: #fff; min-height: 100vh; box-sizing: border-box; }}
input[type=text] {{ font: 1.8rem monospace; letter-spacing: .15em; text-transform: uppercase; width: 100%;
  padding: .5rem; box-sizing: border-box; }}
button {{ font: inherit; width: 100%; padding: .8rem; margin-top: 1rem; border: 1px solid #555; background: #fff; }}
button.main {{ background: #0b5cad; color: #fff; border-color: #0b5cad; }}
label {{ display: block; padding: .4rem 0; }}
dt {{ font-weight: bold; }} dd {{ margin: 0 0 .5rem; overflow-wrap: anywhere; }}
.error {{ color: #a4001c; }} footer {{ margin-top: 2rem; font-size: .85rem; color: #555; }}
</style>
</head>
<body><main>
<h1>{title}</h1>
{content}
<footer>This is the devicelogin emulator on this machine, not Microsoft.</footer>
</main></body>
</html>
"""

_MAX_NONCES = 1000


class SigninPage:
    """Serves `/device`. A form carries a nonce that is good for one submission."""

    def __init__(self, codes: DeviceCodes, directory: Directory) -> None:
        self._codes = codes
        self._directory = directory
        self._lock = threading.Lock()
        self._nonces: dict[str, None] = {}

    def answer(self, request: Request) -> Answer:
        """Answer a request to the sign-in page."""
        if request.path == "/device" and request.method in {"GET", "HEAD"}:
            return self._code_form(request.query.get("user_code", ""))
        if request.method != "POST" or request.path not in {"/device", "/device/answer"}:
            return _page("Not found", "<p>There is nothing here.</p>", status=404)
        if not self._is_ours(request):
            return self._code_form("", "This page was too old. Enter the code again.", status=403)
        code = self._codes.find(request.form.get("code", ""))
        if code is None:
            return self._code_form("", "That code is not known, or no longer valid.", status=400)
        if request.path == "/device":
            return self._question(code)
        return self._decide(request, code)

    def _decide(self, request: Request, code: DeviceCode) -> Answer:
        name = html.escape(code.client.name)
        if request.form.get("decision") != "accept":
            self._codes.decline(code.user_code)
            return _page("Declined", f"<p>You did not sign in to {name}. You may close this page.</p>")
        try:
            self._codes.approve(code.user_code, self._directory.user(request.form.get("user", "")))
        except (LookupError, PermissionError):
            return _page("No", "<p class='error'>This account cannot sign in to this application.</p>", status=403)
        return _page("Done", f"<p>You have signed in to {name} on your device. You may close this page.</p>")

    def _code_form(self, code: str, error: str = "", *, status: int = 200) -> Answer:
        content = f"""<p>Enter the code that your device shows.</p>
<p class="error">{html.escape(error)}</p>
<form method="post" action="/device">
<input type="hidden" name="nonce" value="{self._nonce()}">
<input type="text" name="code" value="{html.escape(code)}" aria-label="Code" autocomplete="off"
 autocapitalize="characters" spellcheck="false" maxlength="20" autofocus required>
<button class="main">Next</button>
</form>"""
        return _page("Enter code", content, status=status)

    def _question(self, code: DeviceCode) -> Answer:
        people = [user for user in self._directory.users if self._directory.may_sign_in(user, code.client, code.tenant)]
        choices = "\n".join(
            f'<label><input type="radio" name="user" value="{html.escape(user.object_id)}"'
            f"{' checked' if user is people[0] else ''}> {html.escape(user.display_name)} "
            f"({html.escape(user.user_principal_name)})</label>"
            for user in people
        )
        asked = [*sorted(code.scopes.reserved), *(one.prefix + one.name for one in code.scopes.asked)]
        content = f"""<p>Only go on if <strong>you</strong> started this sign-in yourself.</p>
<dl>
<dt>Application</dt><dd>{html.escape(code.client.name)}</dd>
<dt>Asked from</dt><dd>{html.escape(code.asked_by)}</dd>
<dt>Code</dt><dd>{html.escape(code.user_code)}</dd>
<dt>It wants</dt><dd>{html.escape(", ".join(asked))}</dd>
</dl>
<form method="post" action="/device/answer">
<input type="hidden" name="nonce" value="{self._nonce()}">
<input type="hidden" name="code" value="{html.escape(code.user_code)}">
{choices}
<button class="main" name="decision" value="accept">Accept</button>
<button name="decision" value="decline">Decline</button>
</form>"""
        return _page("Are you trying to sign in?", content)

    def _nonce(self) -> str:
        nonce = secrets.token_urlsafe(24)
        with self._lock:
            self._nonces[nonce] = None
            while len(self._nonces) > _MAX_NONCES:
                del self._nonces[next(iter(self._nonces))]
        return nonce

    def _is_ours(self, request: Request) -> bool:
        # SECURITY: another web page must not be able to accept for the person (cross-site request forgery).
        if request.headers.get("origin", request.origin) != request.origin:
            return False
        with self._lock:
            return self._nonces.pop(request.form.get("nonce", ""), False) is None


def _page(title: str, content: str, *, status: int = 200) -> Answer:
    body = _PAGE.format(title=html.escape(title), content=content)
    return Answer(status=status, body=body.encode(), content_type="text/html; charset=utf-8", headers=_HEADERS)
