"""Takes the pictures of the README: types commands on the machine of `stage.sh`, and writes what its terminal shows."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import fake_time
import keyring_session
import x_terminal

from devicelogin.emulator import Emulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parents[2]

#: Where the person is sent: one of Entra's two addresses.
ADDRESS = "https://login.microsoft.com/device"

#: Colours that stand out from the page a little, as its blocks of code do.
DARK = (
    "#e6edf3",
    "#161b22",
    {0: "#484f58", 1: "#ff7b72", 2: "#3fb950", 3: "#d29922", 7: "#b1bac4", 9: "#ffa198", 15: "#ffffff"},
)
LIGHT = (
    "#1f2328",
    "#f6f8fa",
    {0: "#24292f", 1: "#cf222e", 2: "#1a7f37", 3: "#9a6700", 7: "#6e7781", 9: "#a40e26", 15: "#8c959f"},
)

#: Nearly twice as large as they are shown: sharp on every display.
FONT = ("-fa", "DejaVu Sans Mono", "-fs", "17")
_RESOURCES = ("XTerm*internalBorder: 24", "XTerm*alwaysHighlight: true", "XTerm*title: pictures")

_HOUR = 3600.0
_DAY = 24 * _HOUR

#: How many colours may a picture have? The letters' edges are shades between two.
_COLOURS = 48


@dataclasses.dataclass(frozen=True)
class Stage:
    """What the scenes have: the directory of `stage.sh`, the identity provider, and the display."""

    directory: Path
    emulator: Emulator
    display: str

    def run(self, *arguments: str, ago: float = 0) -> None:
        """Run our command without a terminal; where it was so many seconds ago, by the wall clock of both ends."""
        variables = fake_time.variables(FAKETIME=f"-{ago:.0f}")
        self.emulator.clock.set(time.time() - ago)
        done = subprocess.run(
            ["devicelogin", *arguments],
            env={**os.environ, **(variables if ago else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        self.emulator.clock.set(time.time())
        if done.returncode not in {0, 4}:
            raise SystemExit(f"devicelogin {shlex.join(arguments)} ended with {done.returncode}:\n{done.stderr}")

    def sign_in(self, profile: str, user: str, *, store: str = "file", ago: float = 0) -> None:
        """Sign somebody in, so many seconds ago."""
        self.emulator.approve_next(user=user)
        app = ["--client-id", self.emulator.client_id, "--tenant", "contoso.com", "--store", store]
        self.run("login", "--profile", profile, *app, ago=ago)

    def sign_everybody_in(self) -> None:
        """Fill the machine: two sign-ins that are well, one of them in the keyring, one that ends soon, one that is over."""
        self.sign_in("default", "ada@contoso.com", ago=3 * _HOUR)
        self.sign_in("kiosk", "grace@contoso.com", ago=12 * _DAY)
        self.sign_in("reports", "ada@contoso.com", ago=64 * _DAY)
        self.emulator.revoke("grace@contoso.com")
        self.run("token", "--profile", "kiosk", "--force-refresh")
        self.sign_in("work", "grace@contoso.com", store="keyring")


class Window:
    """A terminal with a shell of ada's."""

    def __init__(self, stage: Stage, environ: dict[str, str]) -> None:
        self._stage = stage
        self._environ = environ

    def type(self, line: str) -> None:
        """Type a line."""
        self._tmux("send-keys", line, "Enter")

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until `text` stands on the screen that often."""
        end = time.monotonic() + x_terminal.PATIENCE
        while self.text().count(text) < times:
            if time.monotonic() > end:
                raise SystemExit(f"{text!r} did not appear:\n{self.text()}")
            time.sleep(0.05)

    def text(self) -> str:
        """Return what stands on the screen."""
        return self._tmux("capture-pane", "-p")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", *words],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=x_terminal.PATIENCE,
        )
        return done.stdout

    def picture(self, target: Path) -> None:
        """Write what the window shows to `target`, as a small PNG."""
        shot = self._stage.directory / "shot.ppm"
        x_terminal.picture(self._stage.display, shot, window="pictures")
        small = ["-strip", "-colors", str(_COLOURS), "-define", "png:compression-level=9", f"PNG8:{target}"]
        subprocess.run(["convert", shot, "+dither", *small], check=True, timeout=60)


@contextlib.contextmanager
def window(stage: Stage, scheme: x_terminal.Scheme, size: str, **variables: str) -> Iterator[Window]:
    """Open a terminal in which somebody can type."""
    shell = [
        "env",
        "TERM=screen-256color",
        "PS1=\\u@\\h:\\w$ ",
        *(f"{name}={value}" for name, value in variables.items()),
    ]
    # tmux is who types: its bar would tell the time.
    start = ["sh", "-c", f"tmux set -g status off; exec {shlex.join([*shell, 'bash', '--norc', '-i'])}"]
    with x_terminal.terminal(
        stage.display,
        # A socket's path must be short.
        Path(os.environ["XDG_RUNTIME_DIR"]),
        start,
        size=size,
        scheme=scheme,
        font=FONT,
        around="tmux",
        resources=_RESOURCES,
    ) as environ:
        opened = Window(stage, environ)
        opened.wait_for("cellar-pi:~$")
        yield opened


def sign_in(stage: Stage, target: Path, scheme: x_terminal.Scheme) -> None:
    """The moment in which the phone is needed."""
    with window(stage, scheme, "104x24") as terminal:
        terminal.type("devicelogin login")
        terminal.wait_for("the code expires in 14:")
        terminal.picture(target)
    if x_terminal.decoded(target) != [ADDRESS]:
        raise SystemExit(f"the QR code in {target} cannot be read")


def status(stage: Stage, target: Path) -> None:
    """Who is signed in, and who has to."""
    with window(stage, DARK, "104x17") as terminal:
        terminal.type("devicelogin status")
        terminal.wait_for("cellar-pi:~$", times=2)
        terminal.picture(target)


def doctor(stage: Stage, target: Path) -> None:
    """A machine that is fit, but for one thing, with the command that mends it."""
    with window(stage, DARK, "104x30") as terminal:
        terminal.type("devicelogin doctor --profile work")
        terminal.wait_for("cellar-pi:~$", times=2)
        terminal.picture(target)


@contextlib.contextmanager
def keyring() -> Iterator[None]:
    """Run the keyring of ada's session, open, as a desktop has one."""
    session = keyring_session.KeyringSession(Path(os.environ["XDG_RUNTIME_DIR"]))
    try:
        session.start_bus()
        session.start_service()
        yield
    finally:
        session.end()


PICTURES: dict[str, Callable[[Stage, Path], None]] = {
    "sign-in-dark": lambda stage, target: sign_in(stage, target, DARK),
    "sign-in-light": lambda stage, target: sign_in(stage, target, LIGHT),
    "status": status,
    "doctor": doctor,
}


def main() -> None:
    """Take the pictures that the arguments name."""
    options = _options()
    into = options.into.resolve()
    into.mkdir(exist_ok=True)
    install(Path.home() / ".local" / "bin")
    os.chdir(Path.home())
    with Emulator(
        host="localhost",
        port=443,
        names=["login.microsoftonline.com", "graph.microsoft.com"],
        msgraph_host="graph.microsoft.com",
        verification_uri=ADDRESS,
        interval=1,
    ) as emulator, x_terminal.display("2000x1800") as shown_on, contextlib.ExitStack() as until_end:  # fmt: skip
        emulator.add_domain("contoso.com")
        for number, user in enumerate(emulator.users):
            name = user.user_principal_name.partition("@")[0]
            emulator.users[number] = dataclasses.replace(user, user_principal_name=f"{name}@contoso.com")
        until_end.callback(fake_time.clean_up)
        (options.stage / "ca.pem").write_bytes(Path(emulator.ca_file).read_bytes())
        stage = Stage(options.stage, emulator, shown_on)
        names = options.pictures or list(PICTURES)
        if all(name.startswith("sign-in") for name in names):
            stage.sign_in("default", "ada@contoso.com")
        else:
            until_end.enter_context(keyring())
            stage.sign_everybody_in()
        for name in names:
            PICTURES[name](stage, into / f"{name}.png")


def install(directory: Path) -> None:
    """Put the command where pipx puts it, as pip writes it, for this checkout."""
    directory.mkdir(parents=True)
    program = directory / "devicelogin"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from devicelogin.__main__ import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/pictures/run")
    parser.add_argument("--into", type=Path, default=CHECKOUT / "docs" / "pictures", metavar="DIRECTORY")
    parser.add_argument("--stage", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("pictures", nargs="*", choices=[[], *PICTURES], metavar="PICTURE")
    return parser.parse_args()


if __name__ == "__main__":
    main()
