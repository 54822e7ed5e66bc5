"""`store move`, ended at any moment: a sign-in that works, no secret without a trace, and a second run that finishes it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import conftest
import keyring_session
import line_program
import move_until_killed
import pytest
import sandbox

from devicelogin import secret_store
from devicelogin.client import moving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FILE = "file"


class Movers(line_program.LineProgram):
    """Starts moves in a process of their own and ends them."""

    def __init__(self, box: sandbox.Box) -> None:
        super().__init__([sys.executable, move_until_killed.__file__], box.environment())

    def start(self, store: str, *, number: int = signal.SIGKILL, step: int = 0) -> int:
        """Start a move that sends itself the signal `number` before its step `step`; return its process id."""
        self.tell(f"{int(number)} {step} {store}")
        return int(self.line().split()[1])

    def ended(self, pid: int) -> tuple[int, int] | None:
        """Wait for the end of the move `pid`; return its exit code and its steps, None where it was killed."""
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.002)
        for line in self.lines_so_far():
            _, code, steps = line.split()
            return int(code), int(steps)
        return None


class Places:
    """The two places of one test, and what lies in them whatever the trace says."""

    def __init__(self, box: sandbox.Box, keyring: str, items: Callable[[], bool]) -> None:
        self.box = box
        self.keyring = keyring
        self._items = items

    def full(self) -> set[str]:
        """Return the kinds of the places in which anything of a secret lies."""
        state = self.box.state / "default"
        written = [file.name for file in state.iterdir() if file.name.startswith(("record", ".new-record"))]
        return {kind for kind, lies in ((FILE, bool(written)), (self.keyring, self._items())) if lies}

    def traced(self) -> set[str]:
        """Return the kinds of the places that the trace names."""
        found = self.box.trace()
        return {place.kind for place in (found.location, found.previous) if place is not None}

    def check_works(self, why: str) -> None:
        """See that nothing is forgotten and that the sign-in gives a token, and another one after that."""
        # Free when nobody writes any more: a child may outlive who was killed.
        with secret_store.ProfileLock(self.box.workplace().paths, wait_seconds=20):
            assert self.full() <= self.traced(), f"a secret without a trace, {why}"
        assert self.box.access_token(force=True).token, why

    def check_finished(self, kind: str, why: str) -> None:
        """See that a second run brings it to `kind`, and that nothing is left elsewhere."""
        moving.move(self.box.workplace({"store": kind}))
        assert (self.box.trace().state, self.box.trace().location.kind, self.box.trace().previous) == (
            "saved",
            kind,
            None,
        ), why
        assert self.full() == {kind}, f"something is left, {why}"
        assert (self.box.config / "keys" / "default.key").exists() == (kind == FILE), why
        assert f'store = "{kind}"' in (self.box.config / "default.toml").read_text(), why


def lie_secrets(names: Iterable[str]) -> bool:
    """Tell whether one of these items of a keyring is a secret's; what a probe left there is none."""
    return any("probe" not in name for name in names)


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    # "strict": a refresh token works once, so a copy of before a refresh would be found out.
    with sandbox.opened(mode="strict") as opened:
        yield opened


@pytest.fixture
def odd(box: sandbox.Box, monkeypatch: pytest.MonkeyPatch) -> Places:
    """The sealed file and a keyring whose items are files: each call is quick."""
    directory = box.give_odd_keyrings()
    monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(directory))
    box.sign_in()
    return Places(box, sandbox.HONEST, lambda: lie_secrets(os.listdir(directory)))


@pytest.fixture
def movers(box: sandbox.Box) -> Iterator[Callable[[], Movers]]:
    started: list[Movers] = []

    def start() -> Movers:
        started.append(Movers(box))
        return started[-1]

    yield start
    for one in started:
        one.end()


def chosen(steps: int, some: int) -> list[int]:
    """Return the steps to try: all of them in tests/soak, else `some`, spread over the whole move."""
    every = list(range(1, steps + 1))
    return (
        every
        if conftest.SOAK
        else [random.choice(every[part * steps // some : (part + 1) * steps // some]) for part in range(some)]
    )


@pytest.mark.parametrize(("number", "some"), [(signal.SIGKILL, 5), (signal.SIGTERM, 2)])
def test_a_move_that_ends_before_any_of_its_steps_leaves_a_sign_in_that_works(
    odd: Places, movers: Callable[[], Movers], number: int, some: int
) -> None:
    """K05, in both directions: neither `kill -9` nor SIGTERM loses the sign-in or forgets a secret; a second run finishes."""
    starter = movers()
    known = {}
    for kind in (sandbox.HONEST, FILE):
        outcome = starter.ended(starter.start(kind))
        assert outcome is not None
        assert outcome[0] == 0
        known[kind] = outcome[1]
    assert min(known.values()) > 20, "most of the steps were not seen"
    steps = {kind: chosen(known[kind], some) for kind in known}
    for one, other in zip(steps[sandbox.HONEST], steps[FILE], strict=False):  # the numbers differ a little
        for kind, step in ((sandbox.HONEST, one), (FILE, other)):
            why = f"signal {number} before step {step} of {known[kind]} to {kind}"
            outcome = starter.ended(starter.start(kind, number=number, step=step))
            # It may be the last one that it cannot be ended at any more: the lock is given back.
            assert outcome is None or outcome[0] in {143, 0}, (why, outcome)
            odd.check_works(why)
            odd.check_finished(kind, why)


@pytest.mark.keyring
def test_a_move_that_is_killed_at_a_random_moment_loses_nothing_in_the_real_keyring(
    box: sandbox.Box, movers: Callable[[], Movers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """K05 with gnome-keyring: after each kill a token comes out, and a move that ends leaves one secret."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        box.variables["DBUS_SESSION_BUS_ADDRESS"] = session.address
        box.sign_in()
        places = Places(box, "keyring", lambda: lie_secrets(session.items("devicelogin")))
        starter = movers()
        began = time.monotonic()
        assert (starter.ended(starter.start("keyring")) or (None,))[0] == 0
        takes = time.monotonic() - began
        seed = random.randrange(1 << 30)
        chance, met = random.Random(seed), 0
        for turn in range(conftest.repetitions(200)):
            kind = "keyring" if places.box.trace().location.kind == FILE else FILE
            why = f"kill {turn} to {kind} (seed {seed})"
            pid = starter.start(kind)
            time.sleep(chance.uniform(0, takes))
            with contextlib.suppress(ProcessLookupError):  # it was done already
                os.kill(pid, signal.SIGKILL)
            met += starter.ended(pid) is None
            if session.owner() is None:  # it dies now and then when its client does
                session.kill_service()
                session.start_service(unlock=True)
            places.check_works(why)
            if turn % 5 == 4:  # in between the next one begins where this one was killed
                places.check_finished(kind, why)
        assert met, "every kill came too late, so this proved nothing"
