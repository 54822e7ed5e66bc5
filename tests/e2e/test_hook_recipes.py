"""The recipes of docs/hooks do what they say, each against a real server of its protocol on this machine."""

from __future__ import annotations

import email
import email.header
import email.policy
import http.server
import json
import os
import queue
import re
import shlex
import socketserver
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import hook_notes
import pytest
import sandbox
from conftest import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOKS = sandbox.ROOT / "docs" / "hooks"

#: What a hook may be told that is more than plain ASCII.
REASON = 'a person must sign in on b\u00f6x, user ada: it\'s "over"; $(date) <b>'


class Server(socketserver.ThreadingTCPServer):
    """A server on this machine; `seen` is what came."""

    daemon_threads = True

    def __init__(self, handler: Any) -> None:
        self.seen: queue.Queue[Any] = queue.Queue()
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Http(http.server.BaseHTTPRequestHandler):
    """Takes every request: method, path, headers, body."""

    server: Server

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.put((self.command, self.path, dict(self.headers), body))
        self.send_response(200)
        self.end_headers()

    do_POST = do_PUT

    def log_message(self, *_: object) -> None:
        pass


class Smtp(socketserver.StreamRequestHandler):
    """Takes every mail (RFC 5321): sender, receivers, content."""

    server: Server

    def handle(self) -> None:
        envelope: list[str] = []
        self.say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.partition(" ")[0].upper()
            if verb in {"MAIL", "RCPT"}:
                envelope.append(line)
            if verb == "QUIT":
                self.say("221 bye")
                return
            if verb == "DATA":
                self.say("354 go on")
                content = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    content += part.removeprefix(b".") if part.startswith(b"..") else part
                self.server.seen.put((envelope, content))
            self.say("250 fine")

    def say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


def serving(handler: Any) -> Iterator[Server]:
    with Server(handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def http_server() -> Iterator[Server]:
    yield from serving(Http)


@pytest.fixture
def smtp_server() -> Iterator[Server]:
    yield from serving(Smtp)


def run(recipe: str, *arguments: str, **facts: str) -> None:
    """Run a recipe as it lies there, with the python3 of its first line, as a hook that is told `facts`."""
    variables = {
        f"DEVICELOGIN_{name}": value for name, value in {"PROFILE": "default", "REASON": REASON, **facts}.items()
    }
    plain = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LANG": "C.UTF-8"}
    subprocess.run([HOOKS / recipe, *arguments], env={**plain, **variables}, check=True, timeout=sandbox.PATIENCE)


@pytest.fixture
def code(tmp_path: Path) -> dict[str, str]:
    """What a hook is told of a code."""
    picture = tmp_path / "qr.png"
    picture.write_bytes(b"\x89PNG and so on")
    return {
        "EVENT": "code",
        "CODE": "ABCD1234",
        "URI": "https://microsoft.com/devicelogin",
        "EXPIRES_AT": "2026-11-21T12:00:00Z",
        "QR_FILE": str(picture),
    }


def test_ntfy_gets_the_picture_with_the_message_in_a_header(
    http_server: Server, code: dict[str, str], tmp_path: Path
) -> None:
    """As ntfy's publishing API has it: an attachment is the body of a PUT."""
    token = tmp_path / "token"
    token.write_text("tk_secret\n")
    run("ntfy.py", f"http://{http_server.address}/topic", str(token), **code)
    method, path, headers, body = http_server.seen.get(timeout=sandbox.SOON)
    assert (method, path, body) == ("PUT", "/topic", b"\x89PNG and so on")
    message = str(email.header.make_header(email.header.decode_header(headers["Message"])))
    assert message == f"Code ABCD1234 at {code['URI']}, until {code['EXPIRES_AT']}. {REASON}"
    assert (headers["Filename"], headers["Click"]) == ("code.png", code["URI"])
    assert headers["Authorization"] == "Bearer tk_secret"
    run("ntfy.py", f"http://{http_server.address}/topic", EVENT="login_needed")
    method, path, headers, body = http_server.seen.get(timeout=sandbox.SOON)
    assert (method, path, body.decode()) == ("PUT", "/topic", REASON)
    assert headers["Title"] == "devicelogin, profile default"
    assert not {"Click", "Filename", "Authorization"} & set(headers)


def test_mail_carries_the_code_and_the_picture(smtp_server: Server, code: dict[str, str]) -> None:
    """One message to one person, that every mail program shows."""
    run("mail.py", smtp_server.address, "box@example.org", "ada@example.org", **code)
    envelope, content = smtp_server.seen.get(timeout=sandbox.SOON)
    assert ["box@example.org" in envelope[0], "ada@example.org" in envelope[1], len(envelope)] == [True, True, 2]
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail["Subject"] == "devicelogin, profile default: a person must sign in"
    text = mail.get_body().get_content()
    assert REASON in text
    assert "Code:    ABCD1234" in text.splitlines()
    [picture] = mail.iter_attachments()
    assert (picture.get_content_type(), picture.get_content()) == ("image/png", b"\x89PNG and so on")
    run("mail.py", smtp_server.address, "box@example.org", "ada@example.org", EVENT="login_needed")
    _, content = smtp_server.seen.get(timeout=sandbox.SOON)
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert mail.get_content().splitlines() == [REASON]


def test_matrix_gets_a_text_message_in_the_room(http_server: Server, code: dict[str, str], tmp_path: Path) -> None:
    """As the client-server API has it; the room's name is escaped, and each message is one of its own."""
    token = tmp_path / "token"
    token.write_text("syt_secret\n")
    paths = set()
    for facts in (code, {"EVENT": "login_needed"}):
        run("matrix.py", f"http://{http_server.address}", "!room:example.org", str(token), **facts)
        method, path, headers, body = http_server.seen.get(timeout=sandbox.SOON)
        assert method == "PUT"
        assert re.fullmatch(r"/_matrix/client/v3/rooms/%21room%3Aexample\.org/send/m\.room\.message/[\w-]+", path)
        paths.add(path)
        assert headers["Authorization"] == "Bearer syt_secret"
        message = json.loads(body)
        assert message["msgtype"] == "m.text"
        assert REASON in message["body"]
        assert ("Code: ABCD1234" in message["body"]) == (facts is code)
    assert len(paths) == 2


def test_a_webhook_gets_one_object(http_server: Server, code: dict[str, str]) -> None:
    """With a code and without."""
    url = f"http://{http_server.address}/a/b?c=d"
    run("webhook.py", url, **code)
    method, path, headers, body = http_server.seen.get(timeout=sandbox.SOON)
    assert (method, path, headers["Content-Type"]) == ("POST", "/a/b?c=d", "application/json")
    assert set(json.loads(body)) == {"event", "profile", "reason", "code", "uri", "expires_at", "qr_png"}
    run("webhook.py", url, EVENT="login_needed")
    assert json.loads(http_server.seen.get(timeout=sandbox.SOON)[3]) == {
        "event": "login_needed",
        "profile": "default",
        "reason": REASON,
    }


@pytest.mark.parametrize("recipe", ["ntfy.py", "mail.py", "matrix.py", "webhook.py"])
def test_a_recipe_that_reaches_nobody_fails(recipe: str, tmp_path: Path) -> None:
    """Then `on_code` warns, and `on_login_needed` is noted as failed."""
    token = tmp_path / "token"
    token.write_text("x")
    arguments = {"mail.py": ["127.0.0.1:9", "a@example.org", "b@example.org"], "matrix.py": ["http://127.0.0.1:9", "!r", str(token)]}  # fmt: skip
    with pytest.raises(subprocess.CalledProcessError):
        run(recipe, *arguments.get(recipe, ["http://127.0.0.1:9/"]), EVENT="login_needed")


def test_a_recipe_is_a_hook(smtp_server: Server, http_server: Server) -> None:
    """From a real sign-in and a real end of it, as they are written into a profile."""
    need("zbarimg")
    with sandbox.opened() as box:
        mail = [str(HOOKS / "mail.py"), smtp_server.address, "box@example.org", "ada@example.org"]
        ended = "on_code said:"
        result = hook_notes.login_until(box, ended, "-v", "login", *box.app(), "--on-code", shlex.join(mail))
        assert not any("on_code" in line for line in result.lines("warning"))
        _, content = smtp_server.seen.get(timeout=sandbox.SOON)
        message = email.message_from_bytes(content, policy=email.policy.default)
        [attachment] = message.iter_attachments()
        picture = box.home / "received.png"
        picture.write_bytes(attachment.get_content())
        read = subprocess.run(
            ["zbarimg", "--raw", "-q", "--nodbus", picture], capture_output=True, text=True, check=True
        )
        assert read.stdout.strip() == box.emulator.signin_uri
        hook_notes.add_to_profile(
            box.config, on_login_needed=[str(HOOKS / "ntfy.py"), f"http://{http_server.address}/t"]
        )
        box.emulator.revoke()
        assert box.run("token").status == 4
        *_, body = http_server.seen.get(timeout=sandbox.SOON)
        assert b"ada@contoso.example" in body


def test_each_recipe_says_how_it_is_written_into_a_profile() -> None:
    """Its head holds a line for both keys, which is TOML, and it needs nothing but Python's own library."""
    import tomllib

    for recipe in HOOKS.glob("*.py"):
        text = recipe.read_text()
        assert text.startswith("#!/usr/bin/env python3\n")
        assert os.access(recipe, os.X_OK)
        lines = re.findall(r"^    (on_\w+ = .*)$", text, re.MULTILINE)
        written = tomllib.loads("\n".join(lines))
        assert set(written) == {"on_code", "on_login_needed"}
        assert all(words[0] == f"/usr/local/bin/{recipe.name}" for words in written.values())
        imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
        assert imported <= set(sys.stdlib_module_names)
