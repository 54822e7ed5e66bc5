"""Somebody elsewhere: a server on this machine to which a hook posts, and what a person does with the code that came.

with inbox.opened() as elsewhere:
    message = elsewhere.messages.get(timeout=90)
    inbox.approve_on_the_page(box, message, "ada@contoso.example")
"""

from __future__ import annotations

import contextlib
import html
import http.server
import json
import queue
import re
import threading
from typing import TYPE_CHECKING, Any

from emulator_client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sandbox


class Inbox(http.server.ThreadingHTTPServer):
    """The server; `messages` are the JSON objects that came."""

    def __init__(self) -> None:
        self.messages: queue.Queue[dict[str, Any]] = queue.Queue()
        inbox = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                inbox.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server_address[1]}/devicelogin"


@contextlib.contextmanager
def opened() -> Iterator[Inbox]:
    """Open an inbox, for as long as the context lasts."""
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def approve_on_the_page(box: sandbox.Box, message: dict[str, Any], user: str) -> None:
    """Do what a person does with a phone: open the address, enter the code, accept."""
    with Client(box.emulator) as phone:
        where = message["uri"]
        question = phone.post(where, data=_hidden(phone.get(where).text) | {"code": message["code"]})
        form = _hidden(question.text) | {"decision": "accept", "user": user}
        assert phone.post(f"{where}/answer", data=form).status_code == 200


def _hidden(page: str) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}
