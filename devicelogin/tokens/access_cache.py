"""Cached access tokens in memory (a tmpfs): the format, and the one rule for when a cached token is good.

This is what `devicelogin token` runs thousands of times a day, so it imports nothing but `os`, `stat` and `time`; no
`json`, `re`, `typing` or `dataclasses`, neither `models` nor `errors`. One file per profile and scope set, lines of UTF-8:

    devicelogin-access-token 1
    profile   DEVICE INODE SIZE MTIME CTIME        stat of the profile file, times in nanoseconds; "-" without one
    sign-in   DEVICE INODE SIZE MTIME CTIME        stat of the file sign-in
    asked     SCOPE SCOPE ...                      lower case, sorted; empty for the profile's own scopes
    granted   SCOPE SCOPE ...                      as the server named them
    boot      ID                                   which boot the next two lines' boot seconds belong to
    received  BOOT WALL                            when it came, on both clocks of this machine (seconds)
    expires   BOOT WALL SERVER                     when it ends: boot clock, this machine's and the server's wall clock
    early     BOOT                                 from when on one process may refresh ahead of time
    min-valid SECONDS                              what the profile wants a token to last; "-" where it does not say
    token     TOKEN

A login, a logout, a move of the secret or an edit of the profile changes one of the two files, and with it their stats:
such an entry is not good any more, wherever the change was made (design decision D5).
"""

import os
import stat
import time

_HEADING = "devicelogin-access-token 1"
_FIELDS = ("profile", "sign-in", "asked", "granted", "boot", "received", "expires", "early", "min-valid", "token")

#: What is the file called that lies beside the entries and holds what was refused lately (see `refusals`)?
REFUSED = "refused"

#: How large may an entry be (bytes)?
_SIZE_LIMIT = 200_000

#: How long must a token last that nobody asked a certain validity of (seconds)? A third of its lifetime if that is less.
DEFAULT_MIN_VALID = 300

#: Which moment is none any more (seconds since 1970; the year 9999)?
_END_OF_TIME = 253_000_000_000.0

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Entry:
    """One cached access token and all that decides whether it is good."""

    profile_stat: str
    sign_in_stat: str
    asked: str
    granted: str
    boot: str
    received_boot: float
    received_wall: float
    expires_boot: float
    expires_wall: float
    expires_server: float
    early: float
    min_valid: "float | None"
    token: str

    def lifetime(self) -> float:
        """Return how many seconds the token was good for when it was received."""
        return float(self.expires_wall - self.received_wall)

    def seconds_left(self) -> float:
        """Return how many more seconds the token is good, 0 when it is not.

        Within one boot the boot clock says so, and the wall clock must not say that it has expired; after a reboot, the
        wall clock alone, by the server's word and by ours, whichever is earlier.
        """
        wall = time.time()
        if self.boot and self.boot == boot_id():
            now = boot_seconds()
            left = self.expires_boot - now if wall < self.expires_wall else 0.0
            if now < self.received_boot:
                left = 0.0  # one that is yet to come: a container that was frozen has another boot clock now
        else:
            left = min(self.expires_wall, self.expires_server) - wall
            if wall < self.received_wall:
                left = 0.0  # a clock that stands before the token came says nothing
        return max(0.0, left)

    def is_good(self, min_valid: float | None) -> bool:
        """Tell whether the token lasts `min_valid` more seconds; None: as the profile wants."""
        if min_valid is None:
            min_valid = self.min_valid if self.min_valid is not None else default_min_valid(self.lifetime())
        left = self.seconds_left()
        return left > 0 and left >= min_valid

    def was_received_since(self, boot_moment: float) -> bool:
        """Tell whether the token came after `boot_moment` (boot clock, this boot).

        None has come that is to come yet: so says an entry of a container that was frozen, and has another boot clock now.
        """
        return self.boot == boot_id() and boot_moment <= self.received_boot <= boot_seconds()

    def is_early_due(self) -> bool:
        """Tell whether the moment drawn for an early refresh has come."""
        return self.boot != boot_id() or boot_seconds() >= self.early

    def postpone_early(self, seconds: float) -> None:
        """Move the moment of the early refresh `seconds` into the future; boot seconds become this boot's."""
        now, left = boot_seconds(), self.seconds_left()
        if self.boot != boot_id():
            self.boot, self.received_boot, self.expires_boot = boot_id(), now, now + left
        self.early = now + seconds

    def render(self) -> str:
        """Return the entry in the format that `parse` reads."""
        lines = [
            _HEADING,
            f"profile {self.profile_stat}",
            f"sign-in {self.sign_in_stat}",
            f"asked {self.asked}",
            f"granted {self.granted}",
            f"boot {self.boot}",
            # To the microsecond: rounded to more, a token would look as if it had come after the call that asked for a new one.
            f"received {self.received_boot:.6f} {self.received_wall:.3f}",
            f"expires {self.expires_boot:.3f} {self.expires_wall:.3f} {self.expires_server:.3f}",
            f"early {self.early:.3f}",
            f"min-valid {'-' if self.min_valid is None else self.min_valid}",
            f"token {self.token}",
        ]
        return "\n".join(lines) + "\n"


def parse(text: str) -> "Entry | None":
    """Return the entry that `text` describes, None where it is none of this version."""
    lines = text.split("\n")
    if len(lines) != len(_FIELDS) + 2 or lines[0] != _HEADING or lines[-1]:
        return None
    values = []
    for name, line in zip(_FIELDS, lines[1:-1], strict=True):
        if not line.startswith(name + " "):
            return None
        values.append(line[len(name) + 1 :])
    entry = Entry()
    try:
        entry.profile_stat, entry.sign_in_stat, entry.asked, entry.granted, entry.boot = values[:5]
        entry.received_boot, entry.received_wall = map(_seconds, values[5].split())
        entry.expires_boot, entry.expires_wall, entry.expires_server = map(_seconds, values[6].split())
        entry.early = _seconds(values[7])
        entry.min_valid = None if values[8] == "-" else _seconds(values[8])
    except ValueError:
        return None
    entry.token = values[9]
    return entry if entry.token else None


def read(directory: str, asked: str, profile_file: str, sign_in_file: str) -> "Entry | None":
    """Return the entry for the scopes `asked` (see `scope_line`), None unless it is ours and nothing has changed since.

    `directory` is the profile's directory in the runtime directory. A hit opens one file and asks the stats of two.
    """
    text = read_private(os.path.join(directory, file_name(asked)))
    entry = parse(text) if text is not None else None
    if entry is None or entry.asked != asked:
        return None
    return entry if matches(entry, profile_file, sign_in_file) else None


def matches(entry: "Entry", profile_file: str, sign_in_file: str) -> bool:
    """Tell whether the two files are still the ones that the entry was made with."""
    current = stat_line(sign_in_file)
    return current != "-" and entry.sign_in_stat == current and entry.profile_stat == stat_line(profile_file)


def scope_line(scopes: tuple[str, ...]) -> str:
    """Return the scopes as the cache names them: lower case, sorted, without repetition."""
    return " ".join(sorted({scope.lower() for scope in scopes}))


def file_name(asked: str) -> str:
    """Return the name of the file for a scope line. Two lines that share a name only displace each other."""
    if not asked:
        return "own"
    mixed = 0xCBF29CE484222325  # FNV-1a: hashlib would cost a quarter of the whole start
    for byte in asked.encode():
        mixed = (mixed ^ byte) * 0x100000001B3 % (1 << 64)
    return f"scopes-{mixed:016x}"


def is_file_name(name: str) -> bool:
    """Tell whether a file of the cache can have that name."""
    digits = name.removeprefix("scopes-")
    return name in {"own", REFUSED} or (digits != name and len(digits) == 16 and set(digits) <= set("0123456789abcdef"))


def stat_line(path: str) -> str:
    """Return what identifies the present content of `path`: device, inode, size, mtime, ctime; "-" without a file."""
    try:
        facts = os.stat(path)
    except OSError:
        return "-"
    return f"{facts.st_dev} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def default_min_valid(lifetime: float) -> float:
    """Return how long a token of that lifetime must last for a caller who did not say (seconds)."""
    return min(float(DEFAULT_MIN_VALID), lifetime / 3)


def boot_id() -> str:
    """Return what tells this boot from any other; empty where the system does not say, and then no two are the same."""
    try:
        descriptor = os.open(_BOOT_ID, os.O_RDONLY)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 64).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)


def boot_seconds() -> float:
    """Return seconds on the boot clock, which also runs while the machine sleeps."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    except (AttributeError, OSError):
        return time.monotonic()


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < _END_OF_TIME:  # also without infinity and NaN
        raise ValueError
    return value


def read_private(path: str) -> str | None:
    """Return the text of a file of ours that nobody else may read, None where it is not one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077 or facts.st_size > _SIZE_LIMIT:
            return None
        if hasattr(os, "getuid") and facts.st_uid != os.getuid():
            return None
        return os.read(descriptor, _SIZE_LIMIT).decode()
    except (OSError, ValueError):
        return None
    finally:
        try:  # noqa: SIM105 - contextlib is not imported here
            os.close(descriptor)
        except OSError:
            pass  # what was read was read
