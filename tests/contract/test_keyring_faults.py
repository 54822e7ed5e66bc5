"""What a keyring that fails gets: 73 with its reason and one next step, in time, with nothing lost and no secret told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import keyring_session
import pytest
import sandbox

from devicelogin import errors, models, secret_store
from devicelogin.settings import paths

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-refresh-token-0123456789"


@pytest.fixture
def profile(tmp_path: Path) -> paths.ProfilePaths:
    """The paths of the default profile."""
    return paths.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")


@pytest.fixture
def odd(tmp_path: Path, profile: paths.ProfilePaths, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Open the store over one of the odd keyrings, unprobed."""
    directory = tmp_path / "odd"
    directory.mkdir()
    monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(directory))
    return lambda name: secret_store.open_store(
        models.StoreLocation(kind=f"keyring:odd_keyrings.{name}", service="devicelogin", user="default"), profile
    )


def record(text: str = CANARY, generation: int = 1) -> models.SecretRecord:
    """Return a record."""
    return models.SecretRecord(generation=generation, text=text)


@pytest.mark.keyring
@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("locked", "store_locked", "locked"),
        ("no-collection", "store_no_collection", "never set up"),
        ("absent", "store_no_backend", "no OS keyring runs"),
    ],
)
def test_a_keyring_that_cannot_be_used_is_73_with_its_reason(
    state: str, code: str, words: str, profile: paths.ProfilePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locked, never set up and absent are told apart, at once, and `auto` names the command that takes the file."""
    with keyring_session.started(state) as session:
        keyring_session.make_current(session, monkeypatch)
        with pytest.raises(errors.StoreUnusableError) as caught:
            secret_store.choose_store("auto", profile)
    assert (caught.value.exit_code, caught.value.code) == (73, code)
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(": devicelogin login --store file")
    assert not os.path.exists(profile.record), "never another store silently"


def test_without_a_session_bus_auto_is_73_and_names_the_profile_in_its_command(tmp_path: Path) -> None:
    """In a plain SSH session the reason is the missing bus; the command is for the profile that was asked for."""
    work = paths.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("work")
    with pytest.raises(errors.StoreUnusableError, match="there is no session bus") as caught:
        secret_store.choose_store("auto", work)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(": devicelogin login --profile work --store file")


@pytest.mark.keyring
def test_a_hung_keyring_is_73_after_its_deadline_and_is_not_asked_again(
    profile: paths.ProfilePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that never answers costs one deadline per process, whatever is asked of it afterwards."""
    with keyring_session.started("hung") as session:
        keyring_session.make_current(session, monkeypatch)
        begun = time.monotonic()
        with pytest.raises(errors.StoreUnusableError, match="did not answer within 5 seconds") as caught:
            secret_store.choose_store("keyring", profile)
        assert time.monotonic() - begun > 4
        assert caught.value.code == "store_hung"
        asked = session.connections()
        with pytest.raises(errors.StoreUnusableError, match="did not answer"):
            secret_store.choose_store("keyring", profile)
        assert session.connections() == asked


@pytest.mark.keyring
def test_the_record_survives_a_locked_a_dead_and_a_restarted_keyring(
    profile: paths.ProfilePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the keyring is locked or gone load and save are 73, and delete claims no success; then the record is back."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        chosen = secret_store.choose_store("auto", profile)
        assert chosen.location.backend == "keyring.backends.SecretService.Keyring"
        store = secret_store.open_store(chosen.location, profile)
        store.save(record())
        session.lock()
        for attempt in (store.load, store.delete, lambda: store.save(record("new"))):
            with pytest.raises(errors.StoreUnusableError, match="locked"):
                attempt()
        session.kill_service()
        for attempt in (store.load, store.delete, lambda: store.save(record("new"))):
            with pytest.raises(errors.StoreUnusableError):
                attempt()
        session.start_service()
        assert store.load() == record()


@pytest.mark.keyring
def test_each_call_is_one_connection_to_the_bus(profile: paths.ProfilePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting anew for each item is slow, and gnome-keyring may abort when one connection ends as the next one asks."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        store = secret_store.choose_store("keyring", profile)
        for call in (store.probe, lambda: store.save(record("x" * 5000)), store.load, store.delete):
            before = session.connections()
            call()
            assert session.connections() == before + 1


@pytest.mark.keyring
def test_the_environment_and_keyringrc_choose_no_backend(
    profile: paths.ProfilePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither PYTHON_KEYRING_BACKEND nor KEYRING_PROPERTY_* nor keyringrc.cfg nor a keyring.py in the way is heard."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
        monkeypatch.setenv("KEYRING_PROPERTY_PREFERRED_COLLECTION", "/org/freedesktop/secrets/collection/evil")
        configured = Path(session.variables["XDG_CONFIG_HOME"]) / "python_keyring"
        configured.mkdir(parents=True)
        (configured / "keyringrc.cfg").write_text("[backend]\ndefault-keyring=keyring.backends.null.Keyring\n")
        (tmp_path / "keyring.py").write_text("raise SystemExit('the wrong keyring')")
        monkeypatch.chdir(tmp_path)
        store = secret_store.choose_store("auto", profile)
        store.save(record())
        assert store.load() == record()
        assert any(CANARY in secret for secret in session.items("devicelogin").values())


@pytest.mark.keyring
def test_the_users_bus_is_found_without_the_variable_that_names_it(
    profile: paths.ProfilePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cron job has no DBUS_SESSION_BUS_ADDRESS; where systemd keeps the user's bus it is used all the same."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
        with pytest.raises(errors.StoreUnusableError, match="no session bus"):
            secret_store.choose_store("auto", profile)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(session.directory))
        assert secret_store.choose_store("auto", profile).location.kind == "keyring"


@pytest.mark.keyring
def test_two_homes_do_not_meet_in_one_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same profile name under two DEVICELOGIN_HOMEs is two sign-ins, though the keyring is one."""
    with keyring_session.started() as session:
        keyring_session.make_current(session, monkeypatch)
        stores = [
            secret_store.choose_store(
                "keyring", paths.locate({"DEVICELOGIN_HOME": str(tmp_path / home)}).of("default"), service="other"
            )
            for home in ("one", "two")
        ]
        for number, store in enumerate(stores):
            store.save(record(f"of {number}"))
        assert [store.load() for store in stores] == [record("of 0"), record("of 1")]
        assert session.items("devicelogin") == {}
        for store in stores:
            store.delete()
        assert session.items() == {}


@pytest.mark.parametrize(
    "name",
    [
        "keyring.backends.null.Keyring",
        "keyring.backends.fail.Keyring",
        "keyring.backends.chainer.ChainerBackend",
        "keyrings.alt.file.PlaintextKeyring",
        "keyrings.alt.file.EncryptedKeyring",
        "odd_keyrings.DisguisedNull",
        "odd_keyrings.Alias",
    ],
)
def test_a_backend_that_loses_or_shows_secrets_is_refused_by_name(name: str, profile: paths.ProfilePaths) -> None:
    """Null, fail, chainer and keyrings.alt are 73 even where somebody asks for them, under whatever name."""
    with pytest.raises(errors.StoreUnusableError, match="this keyring backend is refused") as caught:
        secret_store.choose_store(f"keyring:{name}", profile)
    assert caught.value.hint
    assert caught.value.detail


def test_a_saved_location_cannot_smuggle_in_a_backend(profile: paths.ProfilePaths) -> None:
    """The trace of a sign-in says `keyring` and a class: another class than the allowed ones is refused."""
    location = models.StoreLocation(
        kind="keyring", backend="odd_keyrings.Honest", service="devicelogin", user="default"
    )
    with pytest.raises(errors.StoreUnusableError, match="this keyring backend is refused"):
        secret_store.open_store(location, profile).load()


@pytest.mark.parametrize("name", ["nowhere.Class", "odd_keyrings.NoKeyring", "odd_keyrings.missing"])
def test_a_class_that_is_no_keyring_is_73(name: str, profile: paths.ProfilePaths) -> None:
    """A backend that is not there is named."""
    with pytest.raises(errors.StoreUnusableError, match="cannot be found") as caught:
        secret_store.choose_store(f"keyring:{name}", profile)
    assert name in (caught.value.detail or "")


@pytest.mark.parametrize("wanted", ["vault", "", "keyring:", "keyring:os", "keyring:os;x.Y", "FILE"])
def test_a_store_of_no_known_kind_is_78(wanted: str, profile: paths.ProfilePaths) -> None:
    """A setting that names no store is a configuration error, before any process is started."""
    with pytest.raises(errors.ConfigError):
        secret_store.choose_store(wanted, profile)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Forgetful", "lost what it was given"),
        ("Shortening", "lost what it was given"),
        ("Undeleting", "did not delete"),
    ],
)
def test_a_keyring_that_loses_or_keeps_what_it_should_not_fails_its_probe(
    name: str, words: str, odd: Callable[..., secret_store.SecretStore]
) -> None:
    """A store that says yes and does no is found out before a person is asked to sign in, and at every save."""
    with pytest.raises(errors.StoreUnusableError, match=words):
        odd(name).probe()
    if name != "Undeleting":
        with pytest.raises(errors.StoreUnusableError, match=words):
            odd(name).save(record("n" * 500))


def test_a_save_that_is_lost_leaves_the_old_record(odd: Callable[..., secret_store.SecretStore]) -> None:
    """Where a keyring begins to cut what it is given, the record of before is still there."""
    odd("Honest").save(record("old" * 500))
    with pytest.raises(errors.StoreUnusableError, match="what was saved before is unchanged"):
        odd("Shortening").save(record("new" * 500, 2))
    assert odd("Honest").load() == record("old" * 500)


def test_what_a_backend_raises_or_prints_tells_no_secret(odd: Callable[..., secret_store.SecretStore]) -> None:
    """An exception of any family becomes 73 with its kind; its text, which may quote the secret, stays in the child."""
    with pytest.raises(errors.StoreUnusableError) as caught:
        odd("Blabbing").save(record())
    assert caught.value.detail == "LookupError"
    assert CANARY not in json.dumps(caught.value.as_json()) + repr(caught.value) + repr(caught.value.__cause__)


def test_a_service_that_was_restarted_is_asked_once_more(odd: Callable[..., secret_store.SecretStore]) -> None:
    """One broken connection is mended by a fresh child; a service that stays away is 73."""
    odd("DiesOnce").save(record())
    assert odd("Honest").load() == record()
    with pytest.raises(errors.StoreUnusableError, match="stopped in the middle of the call, twice"):
        odd("DiesAlways").load()


def test_a_collection_that_is_missing_for_a_moment_costs_no_sign_in(
    odd: Callable[..., secret_store.SecretStore],
) -> None:
    """gnome-keyring loses sight of its collection now and then; whoever has just approved a code must not pay for it."""
    odd("AbsentMinded").save(record())
    assert odd("Honest").load() == record()


def test_the_child_shows_no_secret_outside_and_keeps_the_lock(
    odd: Callable[..., secret_store.SecretStore], profile: paths.ProfilePaths, tmp_path: Path
) -> None:
    """The secret is in neither arguments nor environment; the lock's descriptor is inherited while the lock is held."""
    with secret_store.ProfileLock(profile):
        odd("Nosy").save(record())
    seen = json.loads((tmp_path / "odd" / "seen").read_text())
    assert CANARY not in seen["cmdline"]
    assert CANARY not in json.dumps(seen["environ"])
    assert os.path.realpath(profile.lock) in seen["open"]
    odd("Nosy").save(record())
    seen = json.loads((tmp_path / "odd" / "seen").read_text())
    assert os.path.realpath(profile.lock) not in seen["open"]


_SAVE_SLOWLY = """
import sys
from devicelogin import models, secret_store
from devicelogin.settings import paths
profile = paths.locate({"DEVICELOGIN_HOME": sys.argv[1]}).of("default")
location = models.StoreLocation(kind="keyring:odd_keyrings.Slow", service="devicelogin", user="default")
with secret_store.ProfileLock(profile):
    secret_store.open_store(location, profile).save(models.SecretRecord(generation=2, text="late"))
"""


def test_a_killed_process_writes_nothing_late_and_frees_its_lock(
    odd: Callable[..., secret_store.SecretStore], profile: paths.ProfilePaths, tmp_path: Path
) -> None:
    """Whoever kills us kills the child that talks to the keyring: a late write would put an old token over a newer one."""
    odd("Honest").save(record())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen([sys.executable, "-c", _SAVE_SLOWLY, str(tmp_path)], env=environment)
    begun = tmp_path / "odd" / "begun"
    sandbox.wait_for(begun.exists, "the beginning of the save")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with secret_store.ProfileLock(profile, wait_seconds=10):
        time.sleep(0.1)
        assert odd("Honest").load() == record()
    time.sleep(1.3)
    assert not (tmp_path / "odd" / "written").exists()


def test_variables_that_steer_the_package_keyring_have_no_say(
    odd: Callable[..., secret_store.SecretStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which backend and how it works stands in the trace: an environment could lead a secret elsewhere, or nowhere."""
    odd("Honest").save(record())
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.setenv("KEYRING_PROPERTY_GET_PASSWORD", "no method")
    monkeypatch.setenv("KEYRING_PROPERTY_SET_PASSWORD", "no method")
    assert odd("Honest").load() == record()
    odd("Honest").save(record(generation=2))
    assert odd("Honest").load() == record(generation=2)


def test_a_module_beside_which_a_command_is_run_is_no_keyring(
    odd: Callable[..., secret_store.SecretStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file keyring.py in somebody's download directory would be handed the refresh token."""
    odd("Honest").save(record())
    here = tmp_path / "downloads"
    here.mkdir()
    for name in ("keyring.py", "json.py", "odd_keyrings.py", "devicelogin.py"):
        (here / name).write_text("raise SystemExit('not this one')\n")
    monkeypatch.chdir(here)
    assert odd("Honest").load() == record()
