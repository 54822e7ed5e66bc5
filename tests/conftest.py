"""What every test shares: sample counts, a machine on which no test can reach the real home, keyring or network, and what
most of them begin with: a sandbox, an emulator, its client.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
from typing import TYPE_CHECKING

import emulator_client
import fake_time
import pytest
import sandbox

from devicelogin.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Is this the full run with the counts that the issues name?
SOAK = os.environ.get("DEVICELOGIN_SOAK") == "1"

# In the background of a script, and under nohup, these are ignored, and every program we start would ignore them too. One
# that has a handler here is at its default there.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def repetitions(full: int) -> int:
    """Return how often to repeat something: `full` times in tests/soak, else a tenth of that, at least once."""
    return full if SOAK else max(1, full // 10)


def pytest_configure() -> None:
    """Let no example fail for its time: a machine that stalls for a moment shows nothing about the program."""
    import hypothesis  # which the benchmark, whose parts look in here, does not have

    hypothesis.settings.register_profile(
        "devicelogin",
        hypothesis.settings.default,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("devicelogin")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is marked `soak` to tests/soak."""
    left = [] if SOAK else [item for item in items if item.get_closest_marker("soak")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.fixture(autouse=True)
def _no_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the real home, the real session bus, or settings of whoever runs it."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in list(os.environ):
        if (
            name.startswith(("DEVICELOGIN_", "XDG_", "AZURE_", "DBUS_", "KEYRING_", "PYTHON_KEYRING"))
            and name != "DEVICELOGIN_SOAK"
        ):
            monkeypatch.delenv(name)
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "REQUESTS_CA_BUNDLE",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(autouse=True)
def _no_clocks_left() -> Iterator[None]:
    """What the clocks of a test's commands share ends with it."""
    yield
    fake_time.clean_up()


@pytest.fixture
def box() -> Iterator[sandbox.Box]:
    """A machine on which nobody is signed in."""
    with sandbox.opened() as opened:
        yield opened


@pytest.fixture
def odd_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[sandbox.Box]:
    """A machine with `odd_keyrings`, for commands and for calls in this process; a refresh token works once."""
    with sandbox.opened(mode="strict") as opened:
        monkeypatch.setenv("ODD_KEYRING_DIRECTORY", str(opened.give_odd_keyrings()))
        yield opened


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """An identity provider and a Graph, for which nobody waits."""
    with Emulator() as running:
        yield running


@pytest.fixture
def refused_port() -> Iterator[int]:
    """A port where nobody listens, and where nobody else can begin to: it is taken, and connections to it are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def client(emulator: Emulator) -> Iterator[emulator_client.Client]:
    """Somebody who speaks to the emulator by hand."""
    with emulator_client.Client(emulator) as session:
        yield session


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their parameter: compressed ones hold the time, and all workers must find the same names."""
    return argname if isinstance(val, bytes) else None


#: How the reasons begin of what an ordinary user cannot do, and root must; and of what a container may refuse to both.
ONLY_ROOT = "only root can "
REFUSED = "no namespace can be made here: "


def need_root(deed: str) -> None:
    """Skip the test where whoever runs it is not root, who alone can do the `deed`."""
    if os.geteuid() != 0:
        pytest.skip(f"{ONLY_ROOT}{deed}")


def only_root(deed: str) -> pytest.MarkDecorator:
    """Return the mark of tests that `need_root` for all they do."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"{ONLY_ROOT}{deed}")


def need(*programs: str) -> None:
    """Skip the test where one of `programs` is missing; in CI a missing real part is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        reason = f"not installed: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With CI=true a skipped test fails the run, whoever skipped it and why, but for what this user or machine cannot do."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])]
    # No package brings a namespace to a container that refuses them.
    excuses = (REFUSED,) if os.geteuid() == 0 else (REFUSED, ONLY_ROOT)
    if unexcused := [reason for reason in reasons if not reason.startswith(excuses)]:
        reporter.write_line(f"with CI=true every test must run, and these were skipped: {'; '.join(unexcused)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
