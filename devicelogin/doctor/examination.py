"""All checks in their order, the slow ones side by side, each with its deadline: `examine`.

The machine first, then the way to each authority, then each profile. The exit code of `doctor` is that of the first red
finding, so the order is the order in which things are to be mended.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from devicelogin import clock, clouds, errors, models, settings
from devicelogin.client import workplace
from devicelogin.doctor import display, files, moment, network, profiles, session, subject, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from devicelogin.terminal import screen

#: How long may the checks of one profile take (seconds)? The design's limit for a store that hangs.
PROFILE_SECONDS = 8.0

#: And the way to an authority, with the look at a refused certificate at its end?
_VISIT_SECONDS = network.SECONDS + 3.0

#: How many profiles and authorities are looked at? Whoever has more names one.
_MOST = 12

_USUAL = network.Target(f"https://{clouds.DEFAULT_LOGIN_HOST}/organizations", is_oidc=False)


def examine(
    environ: Mapping[str, str],
    *,
    profile: str | None,
    terminal: screen.Screen | None,
    forecast: profiles.Forecaster,
) -> list[models.Finding]:
    """Return the findings about this machine, and about `profile`, else about every profile, in order.

    Takes half a minute at worst. Raises UsageError for what cannot be a profile's name; everything else is a finding.
    """
    machine = subject.Subject(subject.MACHINE)
    places: list[settings.Places] = []
    home = machine.tried("home", lambda: _home(environ, places))
    names = _names(profile, places)
    patients = _patients(names, environ) if home.level != "red" else []
    targets = list(dict.fromkeys(target for patient in patients if (target := patient.target) is not None))
    if not patients:
        targets = [_USUAL]  # nothing tells which authority is meant
    visits = [network.Visit(target, environ) for target in targets]
    in_keyring = any(patient.is_in_keyring for patient in patients)
    groups = [
        _Group(subject.MACHINE, lambda: session.look(environ, places[0] if places else None, in_keyring=in_keyring)),
        *(_Group(visit.host, visit.look, _VISIT_SECONDS) for visit in visits),
        *(_Group(patient.about.about, _looker(patient, forecast)) for patient in patients),
    ]
    session_findings, *others = [group.findings() for group in groups]
    findings = [
        machine.tried(versions.NAME, versions.look),
        home,
        machine.tried(moment.NAME, lambda: moment.look(visits)),
        machine.tried(display.NAME, lambda: display.look(terminal)),
        *session_findings,
    ]
    findings += [finding for group in others for finding in group]
    if len(names) > _MOST:
        words = f"{len(names) - _MOST} more profiles were not looked at; name one with --profile"
        findings.append(machine.skipped("profiles", words))
    return findings


def _home(environ: Mapping[str, str], places: list[settings.Places]) -> models.Finding:
    found = settings.locate(environ)
    settings.check_home_owner(environ)
    places.append(found)
    return files.look_at_home(found, environ)


def _names(profile: str | None, places: list[settings.Places]) -> tuple[str, ...]:
    if profile is not None:
        return (settings.check_profile_name(profile),)
    names = places[0].profile_names() if places else ()
    return names or ("default",)


def _patients(names: tuple[str, ...], environ: Mapping[str, str]) -> list[profiles.Patient]:
    return [profiles.Patient(workplace.Workplace(name, flags={}, environ=environ)) for name in names[:_MOST]]


def _looker(patient: profiles.Patient, forecast: profiles.Forecaster) -> Callable[[], Iterator[models.Finding]]:
    return lambda: patient.look(forecast)


class _Group:
    """Checks that come one after the other, on a thread of their own: a dead disk must not hold the other checks."""

    def __init__(
        self, about: str, look: Callable[[], Iterator[models.Finding]], seconds: float = PROFILE_SECONDS
    ) -> None:
        self._about = about
        self._look = look
        self._seconds = seconds
        self._deadline = clock.Deadline(seconds)
        self._found: list[models.Finding] = []
        self._thread = threading.Thread(target=self._run, name="devicelogin-doctor", daemon=True)
        self._thread.start()

    def findings(self) -> list[models.Finding]:
        """Return what was found by the deadline; where that was not all, a red one says so."""
        self._thread.join(self._deadline.remaining())
        found = list(self._found)
        if self._thread.is_alive():
            late = errors.TryLaterError(
                f"the next check did not end within {self._seconds:.0f} seconds",
                hint="look at what does not answer, a disk or a network: dmesg",
            )
            found.append(subject.Subject(self._about).red("time", late))
        return found

    def _run(self) -> None:
        try:
            for finding in self._look():
                self._found.append(finding)  # one by one: what is found by the deadline counts
        except Exception as error:
            self._found.append(subject.Subject(self._about).failed("rest", error))
