"""What the project promises about its speed, and whether a run of the benchmark kept it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import fleet
import peers
import refresh
import sign_in
import timing
import warm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import growth

_TOKENS = (("`token`", warm.PLAIN), ("`token --profile`", warm.PROFILE), ("`token --scope`", warm.SCOPE))


@dataclasses.dataclass(frozen=True)
class Goal:
    """One promise; `kept` is None where this run did not measure it."""

    promise: str
    limit: str
    measured: str
    kept: bool | None


def of_warm(result: warm.Result) -> Iterator[Goal]:
    """Yield the promises about commands that need no network."""
    for short, name in _TOKENS:
        yield _ratio(result.samples, f"warm {short}, CPU to the empty console script", name, warm.EMPTY, 1.25)
        yield _ratio(result.samples, f"warm {short}, CPU to `python3 -I -S -c pass`", name, warm.BARE, 1.5)
        yield _ratio(result.samples, f"warm {short}, CPU to the MSAL recipe", name, peers.MSAL, 0.1)
        yield _ratio(result.samples, f"warm {short}, CPU to az", name, peers.AZURE_CLI, 0.05)
    yield _ratio(
        result.samples, "`python -m devicelogin token`, CPU to an empty package", warm.MODULE, warm.EMPTY_MODULE, 1.25
    )
    made = sum(result.requests[name] or 0 for name in warm.SILENT)
    yield Goal("HTTP requests of warm tokens, `status`, `--help`, `--version`", "0", str(made), made == 0)
    cut = {None: "could not be tried", True: "the token was printed", False: "it failed"}[result.without_network]
    yield Goal("warm `token` in a network namespace without any network", "works", cut, result.without_network)
    memory = result.memory[warm.PLAIN] / result.memory[warm.BARE]
    yield _at_most("warm `token`, peak memory to the bare interpreter", memory, 1.3)
    for name, limit in ((warm.VERSION, 8), (warm.HELP, 8), (warm.STATUS, 12)):
        yield _ratio(result.samples, f"{name}, CPU to `python3 -I -S -c pass`", name, warm.BARE, limit)


def of_refresh(result: refresh.Result) -> Iterator[Goal]:
    """Yield the promises about one refresh."""
    made = result.requests[refresh.FILE]
    yield Goal("refresh, file store, HTTP requests", "1 refresh", describe(made), made == {"refresh": 1})
    msal = f"{peers.MSAL}, refresh"
    yield _ratio(result.samples, "refresh, file store, CPU to the MSAL recipe", refresh.FILE, msal, 1.2)


def of_sign_in(result: sign_in.Result) -> Iterator[Goal]:
    """Yield the promises about the way to a code."""
    for name, store in ((sign_in.FILE, "file"), (sign_in.KEYRING, "keyring")):
        promise = f"start to code on screen, {store} store tried out, CPU to the MSAL recipe's message"
        yield _ratio(result.samples, promise, name, sign_in.MSAL, 2.5)


def of_fleet(trials: Sequence[fleet.Trial]) -> Iterator[Goal]:
    """Yield the promises about many processes at once."""
    for size in sorted({trial.size for trial in trials}):
        those = [trial for trial in trials if trial.size == size]
        refreshes = [trial.refreshes for trial in those]
        yield Goal(
            f"{size} processes at once, refreshes in each of {len(those)} trials",
            "1",
            ", ".join(map(str, refreshes)),
            all(number == 1 for number in refreshes),
        )
        failures = sum(trial.failures for trial in those)
        yield Goal(f"{size} processes at once, failures", "0", str(failures), failures == 0)
        lost = sum(not trial.is_signed_in for trial in those)
        yield Goal(f"{size} processes at once, lost sign-ins", "0", str(lost), lost == 0)
        slowest = max(trial.slowest for trial in those)
        limit = 10 + fleet.DELAY
        yield Goal(f"{size} processes at once, slowest", f"{limit:.1f} s", f"{slowest:.1f} s", slowest <= limit)


def of_growth(rows: Sequence[growth.Row]) -> Iterator[Goal]:
    """Yield the promises about many profiles."""
    most = rows[-1]
    yield _at_most(f"warm `token` with {most.profiles:,} profiles, CPU to one profile", most.ratio, 1.1)
    wall = most.status_wall / 1000
    yield Goal(f"`status` with {most.profiles:,} profiles, wall", "1 s", f"{wall:.2f} s", wall <= 1)
    touched = sum(row.touched for row in rows)
    yield Goal("files of other profiles that a refresh touches", "0", str(touched), touched == 0)


def describe(requests: dict[str, int]) -> str:
    """Return requests by endpoint in words."""
    return ", ".join(f"{number} {endpoint}" for endpoint, number in sorted(requests.items())) or "0"


def _ratio(samples: timing.Samples, promise: str, name: str, base: str, limit: float) -> Goal:
    if base not in samples:
        return Goal(promise, f"{limit:g} x", "not measured", None)
    goal = _at_most(promise, timing.ratio(samples, name, base), limit)
    low, high = timing.middle_half(samples, name, base)
    digits = 3 if limit < 1 else 2
    return dataclasses.replace(goal, measured=f"{goal.measured} ({low:.{digits}f} to {high:.{digits}f})")


def _at_most(promise: str, value: float, limit: float) -> Goal:
    return Goal(promise, f"{limit:g} x", f"{value:.3f} x" if limit < 1 else f"{value:.2f} x", value <= limit)
