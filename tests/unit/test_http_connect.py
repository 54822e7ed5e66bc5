"""How a connection is found among several addresses, some of which are dead."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import sandbox

from devicelogin.http_session import transport

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = tuple[int, int, int, str, Any]


def _address(port: int, host: str = "127.0.0.1") -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))


@pytest.fixture
def silent() -> Iterator[Address]:
    """Return an address whose packets get no answer, as behind a wrongly configured IPv6 router."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        # Nobody accepts; once the queue is full, Linux drops what comes next.
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield _address(listener.getsockname()[1])


@pytest.fixture
def refusing(refused_port: int) -> Address:
    return _address(refused_port)


@pytest.fixture
def answering() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield _address(listener.getsockname()[1])


def test_dead_addresses_cost_a_quarter_of_a_second_each(silent: Address, refusing: Address, answering: Address) -> None:
    """A black hole in front of the living address delays it by the stagger, not by a time-out (B03)."""
    started = time.monotonic()
    with transport.Race([silent, refusing, silent, answering], each=sandbox.LATER).winner() as won:
        assert won.getpeername() == answering[4]
    assert 0.4 < time.monotonic() - started < sandbox.SOON


def test_an_address_that_stays_silent_is_given_up(silent: Address, refusing: Address) -> None:
    """After its seconds, with the time-out as the error; a refusal is told as one."""
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        transport.Race([refusing, silent], each=0.6).winner()
    assert 0.5 < time.monotonic() - started < sandbox.SOON
    with pytest.raises(ConnectionRefusedError):
        transport.Race([refusing, refusing]).winner()


def test_no_address_is_an_error() -> None:
    """A resolver may answer with nothing."""
    with pytest.raises(OSError, match="no address"):
        transport.Race([]).winner()


def test_families_take_turns() -> None:
    """Eight dead IPv6 addresses do not all come before the first IPv4 one; the system's favourite stays first."""
    six = [(socket.AF_INET6, 1, 6, "", (f"fd00::{i}", 443, 0, 0)) for i in range(3)]
    four = [(socket.AF_INET, 1, 6, "", (f"10.0.0.{i}", 443)) for i in range(2)]
    assert transport.take_turns([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert transport.take_turns([*four, *six])[0] == four[0]
    assert transport.take_turns([]) == []
