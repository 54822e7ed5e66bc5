"""Tokens without a person: one refresh at a time, nothing lost, whatever the provider and the machine do."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
import time
from concurrent import futures
from typing import TYPE_CHECKING, Any

import conftest
import pytest
import sandbox

from devicelogin import clock, errors, models, secret_store
from devicelogin.client import signing_out
from devicelogin.emulator import Fault
from devicelogin.tokens import silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=["entra", "strict"])
def box(request: pytest.FixtureRequest) -> Iterator[sandbox.Box]:
    with sandbox.opened(mode=request.param) as opened:
        opened.sign_in()
        yield opened


@pytest.fixture
def strict() -> Iterator[sandbox.Box]:
    with sandbox.opened(mode="strict") as opened:
        opened.sign_in()
        yield opened


def still_works(box: sandbox.Box) -> None:
    """The last good refresh token works."""
    box.forget_refusals()
    box.emulator.id_token_fault = None
    assert box.access_token(force=True).token


def change_entry(box: sandbox.Box, name: str, value: str) -> None:
    file = box.runtime / "default" / "own"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(f"{name} {value}\n" if line.startswith(f"{name} ") else line for line in lines))


def test_a_good_cached_token_costs_no_request(box: sandbox.Box) -> None:
    """Login leaves a token, and it is used until it is too old."""
    first = box.access_token()
    assert box.access_token().token == first.token
    assert box.emulator.count("refresh") == 0
    assert box.access_token(min_valid=3500).token == first.token


def test_a_token_that_does_not_last_is_refreshed(box: sandbox.Box) -> None:
    """min_valid and force each make one refresh, and the new token is then everybody's."""
    first = box.access_token()
    forced = box.access_token(force=True)
    assert forced.token != first.token
    assert box.access_token().token == forced.token
    assert box.emulator.count("refresh") == 1


def test_a_token_shorter_than_asked_for_is_given_with_a_warning(box: sandbox.Box) -> None:
    """D5: a token just received is always good."""
    token = box.access_token(min_valid=7200)
    assert "7200" in token.warnings[0]
    assert box.emulator.count("refresh") == 1


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"id_token_on_refresh": False},
        {"refresh_token_on_refresh": False},
        {"client_info": False},
        {"client_info": False, "id_token_on_refresh": False, "refresh_token_on_refresh": False},
    ],
    ids=str,
)
def test_refreshes_go_on_whatever_the_answers_leave_out(box: sandbox.Box, knobs: dict[str, Any]) -> None:
    """Four in a row, each with what the one before saved; without a new refresh token the old one is kept."""
    for name, value in knobs.items():
        setattr(box.emulator, name, value)
    tokens = {box.access_token(force=True).token for _ in range(4)}
    assert len(tokens) == 4
    assert box.emulator.count("refresh") == 4


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.status(503), errors.TryLaterError),
        (Fault.status(429, retry_after="3600"), errors.TryLaterError),
        (Fault.html(), errors.BadAnswerError),
        (Fault.text("{}"), errors.BadAnswerError),
        (Fault.truncate(200), errors.DeviceLoginError),
        (Fault.patch({"token_type": "mac"}), errors.BadAnswerError),
        (Fault.oauth("invalid_grant", 700082), errors.LoginRequiredError),
        (Fault.oauth("invalid_grant", 53003, suberror="message_only"), errors.DeniedByPolicyError),
        (Fault.oauth("interaction_required", 50076), errors.LoginRequiredError),
        (Fault.oauth("invalid_client", 7000218, status=401), errors.ConfigError),
        (Fault.oauth("temporarily_unavailable"), errors.TryLaterError),
        (Fault.oauth("invalid_grant", 50196), errors.TryLaterError),
        (Fault.oauth("never_heard_of"), errors.LoginRequiredError),
    ],
)
def test_a_refresh_that_fails_deletes_nothing(fault: Fault, kind: type[errors.DeviceLoginError]) -> None:
    """D6: whatever was answered, the refresh token is still there and is tried again next time."""
    with sandbox.opened() as box:
        box.sign_in()
        box.expire_cached()
        record = (box.state / "default" / "record").read_bytes()
        box.emulator.script("refresh", [fault] * 2)  # an answer that was cut is asked for once more
        with pytest.raises(kind):
            box.access_token()
        box.emulator.script("refresh", [])
        assert (box.state / "default" / "record").read_bytes() == record
        still_works(box)


def test_a_token_that_still_lasts_a_minute_is_used_in_an_outage(box: sandbox.Box) -> None:
    """G04: 5xx while the cached token is good for a minute or more: that one, with a warning."""
    box.expire_cached()
    box.emulator.access_token_lifetime = 200
    short = box.access_token()
    box.emulator.script("refresh", [Fault.status(503)])
    kept = box.access_token(min_valid=250)
    assert kept.token == short.token
    assert "could not refresh" in kept.warnings[0]
    with pytest.raises(errors.TryLaterError):
        box.emulator.script("refresh", [Fault.status(503)])
        box.access_token(force=True)


def test_an_answer_lost_on_the_way_is_asked_for_once_more(box: sandbox.Box) -> None:
    """B14: Entra keeps the used token valid, so it works; a strict provider refuses, and 4 is the truth."""
    box.emulator.script("refresh", [Fault.reset_after_processing()])
    if box.emulator.mode == "entra":
        assert box.access_token(force=True).token
        still_works(box)
    else:
        with pytest.raises(errors.LoginRequiredError):
            box.access_token(force=True)
    assert box.emulator.count("refresh") >= 2


def test_somebody_elses_id_token_on_a_refresh_saves_nothing(box: sandbox.Box) -> None:
    """D7: 76, and neither the refresh token nor the access token of that answer is kept."""
    before = box.access_token().token
    record = (box.state / "default" / "record").read_bytes()
    box.emulator.id_token_fault = "wrong_subject"
    with pytest.raises(errors.BadAnswerError) as caught:
        box.access_token(force=True)
    assert caught.value.code == "other_account"
    assert (box.state / "default" / "record").read_bytes() == record
    assert box.access_token().token == before
    if box.emulator.mode == "entra":
        still_works(box)


def test_other_faults_of_an_id_token_on_a_refresh_do_not_matter(box: sandbox.Box) -> None:
    """Only the identity is compared: a provider with a slow clock or another key does not lock anybody out."""
    for fault in ("expired", "bad_signature", "no_dots", "wrong_audience", "alg_none", "missing"):
        box.emulator.id_token_fault = fault
        assert box.access_token(force=True).token
    still_works(box)


class BrokenStore:
    """A store handed in by a program, whose save fails while `broken` is set."""

    def __init__(self) -> None:
        self.record: models.SecretRecord | None = None
        self.broken = False
        self.on_save: Callable[[], None] = lambda: None
        self.location = models.StoreLocation(kind="file", key="file", bind="none")
        self.protection = "in this test's memory"

    def probe(self) -> None:
        pass

    def load(self) -> models.SecretRecord | None:
        return self.record

    def save(self, record: models.SecretRecord) -> None:
        self.on_save()
        if self.broken:
            raise errors.StoreUnusableError("the disk is full")
        self.record = record

    def delete(self) -> None:
        self.record = None


@pytest.mark.parametrize("mode", ["entra", "strict"])
def test_a_save_that_fails_after_a_good_refresh_still_gives_the_token(mode: str) -> None:
    """Issue part 9: the token is good, so it is printed, with a warning; the old record is as it was."""
    store = BrokenStore()
    with sandbox.opened(mode=mode) as box:
        box.sign_in(given=store)
        old = store.record
        store.broken = True
        token = box.access_token(store, force=True)
        assert "could not be saved" in token.warnings[0]
        assert store.record is old
        assert box.access_token(store).token == token.token
        store.broken = False
        if mode == "entra":
            assert not box.access_token(store, force=True).warnings
            assert store.record is not None
            assert old is not None
            assert store.record.generation == old.generation + 1


def test_a_full_disk_costs_a_warning_and_nothing_else() -> None:
    """The same with the sealed file itself: its directory is full, or cannot be written."""
    conftest.need_root("mount a small file system")
    with sandbox.opened() as box:
        box.sign_in()
        state = box.state / "default"
        kept = {file.name: file.read_bytes() for file in state.iterdir()}
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(state)], capture_output=True, check=False
        )
        if mounted.returncode != 0:
            pytest.skip("cannot mount here")
        try:
            for name, content in kept.items():
                (state / name).touch(mode=0o600)
                (state / name).write_bytes(content)
            with open(state / "filler", "wb", buffering=0) as filler:
                try:
                    while filler.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            result = box.run("token", "--force-refresh")
            assert result.status == 0, result
            assert "could not be saved" in result.lines("warning")[0]
            assert (state / "record").read_bytes() == kept["record"]
            (state / "filler").unlink()
            still_works(box)
        finally:
            subprocess.run(["umount", str(state)], check=True)


def test_a_refresh_that_is_due_early_is_made_by_one_and_waited_for_by_nobody(box: sandbox.Box) -> None:
    """D6: past the drawn moment one process refreshes; who finds the lock taken goes on with the valid token."""
    first = box.access_token()
    due_early(box)
    with secret_store.ProfileLock(box.workplace().paths):
        assert box.access_token().token == first.token
    assert box.emulator.count("refresh") == 0
    second = box.access_token()
    assert second.token != first.token
    assert box.emulator.count("refresh") == 1


@pytest.mark.parametrize("fault", [Fault.status(503), Fault.html(), Fault.oauth("invalid_grant", 700082)])
def test_an_early_refresh_that_fails_gives_the_valid_token_and_rests(box: sandbox.Box, fault: Fault) -> None:
    """D6: not tried again for a minute, so that an outage is not made worse by those who do not need it."""
    first = box.access_token()
    due_early(box)
    box.emulator.script("refresh", [fault] * 2)
    assert [box.access_token().token for _ in range(3)] == [first.token] * 3
    assert box.emulator.count("refresh") == 1


def due_early(box: sandbox.Box) -> None:
    change_entry(box, "early", "0.000")


def test_who_waited_for_a_forced_refresh_takes_its_token(strict: sandbox.Box) -> None:
    """Many that force a refresh at the same moment make one: what came after they asked is new enough."""
    strict.emulator.script("refresh", [Fault.delay(1.0)])
    with futures.ThreadPoolExecutor(8) as pool:
        tokens = {one.token for one in pool.map(lambda _: strict.access_token(force=True), range(8))}
    assert len(tokens) == 1
    assert strict.emulator.count("refresh") == 1
    assert strict.access_token(force=True).token not in tokens


def test_a_logout_during_a_refresh_is_not_undone(strict: sandbox.Box) -> None:
    """F11: the refresh ends first or finds nobody signed in; in no case is there a sign-in afterwards."""
    strict.emulator.script("refresh", [Fault.delay(0.5)])
    with futures.ThreadPoolExecutor(2) as pool:
        refreshing = pool.submit(strict.access_token, force=True)
        time.sleep(0.2)
        signing_out.logout(strict.workplace())
        refreshing.exception()
    assert strict.status().state == "signed-out"
    assert not (strict.state / "default" / "record").exists()
    assert not list(strict.runtime.glob("default/*"))
    with pytest.raises(errors.LoginRequiredError):
        strict.access_token()


def test_a_login_during_a_refresh_stays(strict: sandbox.Box) -> None:
    """The record of the new sign-in is not overwritten by a refresh of the old one."""
    strict.emulator.script("refresh", [Fault.delay(0.5)])
    with futures.ThreadPoolExecutor(2) as pool:
        refreshing = pool.submit(strict.access_token, force=True)
        time.sleep(0.2)
        strict.sign_in(client_id=strict.emulator.single_tenant_client_id)
        refreshing.exception()
    still_works(strict)
    assert strict.emulator.count("refresh", client_id=strict.emulator.single_tenant_client_id) == 1


def test_a_lock_that_stays_busy_is_75_and_a_good_token_needs_none() -> None:
    """Nobody goes on unlocked: who waits in vain is told so; who has a good token does not wait at all."""
    with sandbox.opened(access_token_lifetime=200) as box:
        box.sign_in()
        paths = box.workplace().paths
        with secret_store.ProfileLock(paths):
            lock = secret_store.ProfileLock(paths)
            with pytest.raises(errors.TryLaterError):
                lock.acquire(clock.Deadline(0.2))
            assert box.access_token().token


def test_a_refusal_is_told_by_status_until_a_refresh_works(box: sandbox.Box) -> None:
    """`status` knows without the network that a person is needed, and forgets it when one came."""
    box.emulator.script("refresh", [Fault.oauth("invalid_grant", 50173)])
    with pytest.raises(errors.LoginRequiredError):
        box.access_token(force=True)
    assert box.status().needs_login
    assert "revoked" in (box.status().reason or "")
    box.forget_refusals()
    box.access_token(force=True)
    assert not box.status().needs_login


def test_a_sign_in_that_was_killed_before_it_said_saved_is_found(box: sandbox.Box) -> None:
    """The record says whose it is; the trace follows it."""
    box.expire_cached()
    trace = box.trace()
    pending = dataclasses.replace(trace, state="pending", previous=trace.location)
    secret_store.write_sign_in(box.workplace().paths, pending)
    assert box.access_token().token
    assert (box.trace().state, box.trace().previous) == ("saved", None)


def test_threads_of_one_program_make_one_refresh(strict: sandbox.Box) -> None:
    """F08: 32 threads with one object find the token expired at the same moment."""
    strict.expire_cached()
    work = strict.workplace()
    barrier = threading.Barrier(32)

    def ask(_: int) -> str:
        barrier.wait()
        return work.silent_tokens().access_token(silent.Wish()).token

    with futures.ThreadPoolExecutor(32) as pool:
        assert len(set(pool.map(ask, range(32)))) == 1
    assert strict.emulator.count("refresh") == 1


def test_fifty_processes_with_an_expired_token_make_one_refresh(strict: sandbox.Box) -> None:
    """Acceptance: released together, a one-time refresh token: exactly one request, 50 times the same token, exit 0."""
    strict.expire_cached()
    gate = strict.home / "gate"
    os.mkfifo(gate)
    # Each waits for its line of the FIFO, so that all begin at the same moment. Open to the end: who comes late finds it too.
    before = ["sh", "-c", 'read _ < "$0"; exec "$@"', str(gate)]
    opened = os.open(gate, os.O_RDWR)
    running = [strict.start("token", before=before) for _ in range(50)]
    time.sleep(1)
    os.write(opened, b"\n" * 50)
    results = [one.finish() for one in running]
    os.close(opened)
    assert [result.status for result in results] == [0] * 50, [one for one in results if one.status]
    assert len({result.out for result in results}) == 1
    assert strict.emulator.count("refresh") == 1
    still_works(strict)
