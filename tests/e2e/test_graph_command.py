"""`devicelogin graph` against a Graph, and a network, that do what they like: what was done is never said to be undone."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sandbox

from devicelogin import errors, secret_store
from devicelogin.client import graph_access
from devicelogin.emulator import Emulator, Fault

#: A program of somebody else, which knows only what the README says.
PROGRAM = """
import sys, devicelogin
login = devicelogin.DeviceLogin("default")
with login.graph() as graph:
    first = b"".join(graph.request("GET", "me").chunks)
second = devicelogin.GraphClient(login.access_token, login.status().sign_in.graph_root).request("GET", "me")
assert first == b"".join(second.chunks), first
third = devicelogin.GraphClient(lambda: login.access_token(), login.status().sign_in.graph_root, ca_file=sys.argv[1])
assert first == b"".join(third.request("GET", "me").chunks)
print(first.decode())
"""


@pytest.fixture
def writer(box: sandbox.Box) -> sandbox.Box:
    """A machine that is signed in with the permission to change something."""
    box.emulator.approve_next()
    assert box.run("login", "--scope", "User.Read", "--scope", "Tasks.ReadWrite", *box.app()).status == 0
    return box


def post(box: sandbox.Box, **options: Any) -> sandbox.Running:
    """Start a POST that makes a list."""
    body = box.home / "list.json"
    body.write_text('{"displayName": "errands"}')
    return box.start("graph", "POST", "/me/todo/lists", "--input", str(body), **options)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Fault.reset_after_processing(), 75),
        (Fault.status(504), 75),
        (Fault.html(), 76),
        (Fault.redirect("/v1.0/me"), 76),
    ],
    ids=["cut", "504", "page", "redirect"],
)
def test_a_mail_does_not_go_out_twice(writer: sandbox.Box, fault: Fault, status: int) -> None:
    """What may have been done is said to be so, whatever kept its answer from us; it is sent once."""
    writer.emulator.script("graph", [fault])
    result = post(writer).finish()
    assert result.status == status
    assert "may have been done all the same: look before you repeat it" in result.err
    assert "try again" not in result.err
    assert writer.emulator.count("graph") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_signal_in_the_middle_of_a_change_does_not_say_that_nothing_happened(
    writer: sandbox.Box, number: signal.Signals
) -> None:
    """The request had left; what the server made of it nobody here knows."""
    writer.emulator.script("graph", [Fault.delay(60)])
    running = post(writer)
    sandbox.wait_for(lambda: writer.emulator.count("graph") == 1, "the POST to arrive")
    running.process.send_signal(number)
    result = running.finish()
    assert result.status == 128 + number
    assert "the POST had been sent" in result.err
    assert "may have been done" in result.err
    assert "unchanged" not in result.err


def test_a_signal_in_the_middle_of_a_read_says_what_it_always_says(box: sandbox.Box) -> None:
    """A read changes nothing."""
    box.sign_in()
    box.emulator.script("me", [Fault.delay(60)])
    running = box.start("graph", "me")
    sandbox.wait_for(lambda: box.emulator.count("me") == 1, "the request to arrive")
    running.process.send_signal(signal.SIGTERM)
    assert running.finish().err == "devicelogin: ended by a signal; what was saved before is unchanged\n"


def test_a_full_disk_does_not_make_a_change_undone(writer: sandbox.Box) -> None:
    """74, and it says that the POST was done; the same for a read says nothing of the kind."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this machine")
    with open("/dev/full", "w") as full:
        result = post(writer, stdout=full).finish()
        assert result.status == 74
        assert "hint: the POST was done; do not repeat it for its answer" in result.err
        read = writer.start("graph", "me", stdout=full).finish()
    assert (read.status, "was done" in read.err) == (74, False)
    assert "errands" in writer.run("graph", "/me/todo/lists").out


def test_a_reader_that_is_gone_learns_that_the_change_was_done(writer: sandbox.Box) -> None:
    """141, with a word on stderr: who repeats it for its answer does it twice."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "w") as gone:
        result = post(writer, stdout=gone).finish()
    assert result.status == 141
    assert result.err == "devicelogin: the POST was done; nobody reads its answer\n"


def test_an_answer_that_breaks_off_is_that_of_a_change_that_was_done(writer: sandbox.Box) -> None:
    """76 that does not lead to doing it again."""
    writer.emulator.script("graph", [Fault.truncate(3)])
    result = post(writer).finish()
    assert result.status == 76
    assert "the POST was done" in result.err
    assert "run the command again" not in result.err


def test_a_filtering_proxys_page_is_not_printed(box: sandbox.Box) -> None:
    """76 and an empty stdout; and a sign-in lacks nothing because of it."""
    box.sign_in()
    for fault in (Fault.html(), Fault.html(403), Fault.html(503), Fault.text("")):
        box.emulator.script("me", [fault])
        result = box.run("graph", "me")
        assert (result.status, result.out) == (76, "")
        assert "permission" not in result.err


def test_a_file_is_fetched_from_where_it_lies(box: sandbox.Box, tmp_path: Path) -> None:
    """Its address is a secret: `-v` shows the host and no more, and the token does not go there."""
    with Emulator() as elsewhere:
        both = tmp_path / "both.pem"
        both.write_text("".join(Path(one.ca_file).read_text() for one in (box.emulator, elsewhere)))
        box.emulator.approve_next()
        assert box.run("login", *box.app(ca_file=str(both))).status == 0
        box.emulator.script("graph", [Fault.redirect(f"{elsewhere.origin}/y4mCanary?tempauth=canary")])
        elsewhere.script("unknown", [Fault.content(b"the file")])
        result = box.run("-v", "graph", "/me/drive/items/1/content")
        assert (result.status, result.out) == (0, "the file")
        assert "canary" not in result.err.lower()
        assert f"{elsewhere.host}:{elsewhere.port}" in result.err
        (request,) = elsewhere.requests
        assert "authorization" not in request.headers


def test_a_retry_after_of_zero_is_no_reason_to_ask_a_thousand_times(box: sandbox.Box) -> None:
    """75 with what Graph said, after a handful of requests in a minute."""
    box.sign_in()
    inner = {"code": "TooManyRequests", "message": "no", "innerError": {"request-id": "canary-id"}}
    box.emulator.script("me", itertools.repeat(Fault.json({"error": inner}, status=429, headers={"Retry-After": "0"})))
    result = box.run("graph", "me")
    assert result.status == 75
    assert box.emulator.count("me") <= 8
    assert "detail: HTTP 429, TooManyRequests, request-id canary-id" in result.err
    assert "no answer" not in result.err


def test_a_sign_in_that_comes_in_the_middle_of_a_call_lends_it_no_token(box: sandbox.Box) -> None:
    """SECURITY: its token is not sent to the Graph of the one before."""
    box.sign_in()
    work = box.workplace()
    with graph_access.graph_client(work) as calls:
        assert calls.request("GET", "me").status == 200
        other = dataclasses.replace(box.trace(), graph_root="https://graph.example.org")
        secret_store.write_sign_in(work.paths, other)
        with pytest.raises(errors.ConfigError) as caught:
            calls.request("GET", "me")
    assert caught.value.code == "sign_in_replaced"
    assert box.emulator.count("me") == 1


def test_a_program_reaches_graph_as_the_command_does(box: sandbox.Box) -> None:
    """With the certificates of the profile, in each of the ways that the README and the API have."""
    box.sign_in()
    arguments = [sys.executable, "-c", PROGRAM, box.emulator.ca_file]
    environment = box.environment({"DEVICELOGIN_CA_FILE": None, "REQUESTS_CA_BUNDLE": None})
    ran = subprocess.run(
        arguments, check=False, env=environment, capture_output=True, text=True, timeout=sandbox.PATIENCE
    )
    assert "Ada" in ran.stdout, ran.stderr
    box.emulator.challenge()
    count = box.emulator.count("refresh")
    ran = subprocess.run(
        arguments, check=False, env=environment, capture_output=True, text=True, timeout=sandbox.PATIENCE
    )
    assert "Ada" in ran.stdout, ran.stderr
    assert box.emulator.count("refresh") == count + 1


class SlowLine:
    """A relay that takes what is sent at `rate` bytes a second, and at once what comes back."""

    def __init__(self, port: int, rate: float) -> None:
        self._onward, self._rate = port, rate
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self.taken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            threading.Thread(target=self._pass_on, args=(peer,), daemon=True).start()

    def _pass_on(self, peer: socket.socket) -> None:
        with peer, socket.create_connection(("127.0.0.1", self._onward)) as server:
            back = threading.Thread(target=self._copy, args=(server, peer), daemon=True)
            back.start()
            while piece := peer.recv(4096):
                server.sendall(piece)
                self.taken += len(piece)
                time.sleep(len(piece) / self._rate)
            back.join(5)

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
        except OSError:
            pass


@pytest.mark.soak
def test_a_large_file_goes_over_a_slow_line(box: sandbox.Box) -> None:
    """Minutes are no trouble where bytes move, also those that still wait in this machine's own buffers."""
    relay = SlowLine(box.emulator.port, 60_000)
    box.emulator.approve_next()
    options = box.app(graph_root=f"https://127.0.0.1:{relay.port}")
    assert box.run("login", *options).status == 0
    body = box.home / "file"
    body.write_bytes(b"x" * 8_000_000)
    box.emulator.script("graph", [Fault.json({"id": "x"}, status=201)])
    result = box.run("graph", "PUT", "/me/drive/root:/a.bin:/content", "--input", str(body), timeout=400)
    assert (result.status, result.out) == (0, '{"id": "x"}'), result
    assert relay.taken > 8_000_000
