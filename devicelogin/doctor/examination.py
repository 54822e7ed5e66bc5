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
    if profile is not None:
        settings.check_profile_name(profile)
    ward = _Ward(environ, profile)
    home = _Group(subject.MACHINE, ward.admit, PROFILE_SECONDS).findings()
    patients = list(ward.patients)
    visits = [network.Visit(target, environ) for target in _targets(patients)]
    in_keyring = any(patient.is_in_keyring for patient in patients)
    # One profile after the other: they share a keyring, which answers the slower the more ask at a time.
    groups = [
        _Group(subject.MACHINE, lambda: session.look(environ, ward.places, in_keyring=in_keyring), PROFILE_SECONDS),
        *(_Group(visit.host, visit.look, _VISIT_SECONDS) for visit in visits),
        _Group("profiles", lambda: _look_at_all(patients, forecast), PROFILE_SECONDS + len(patients)),
    ]
    session_findings, *others = [group.findings() for group in groups]
    machine = subject.Subject(subject.MACHINE)
    findings = [
        machine.tried(versions.NAME, versions.look),
        *home,
        machine.tried(moment.NAME, lambda: moment.look(visits)),
        machine.tried(display.NAME, lambda: display.look(terminal)),
        *session_findings,
        *(finding for group in others for finding in group),
    ]
    if ward.left_out:
        words = f"{ward.left_out} more were not looked at; name one with --profile"
        findings.append(subject.Subject("other profiles").skipped("profiles", words))
    return findings


class _Ward:
    """Who is to be examined: `places` is where our files lie, None where nothing says it; `left_out` counts the others."""

    def __init__(self, environ: Mapping[str, str], profile: str | None) -> None:
        self._environ = environ
        self._profile = profile
        self.places: settings.Places | None = None
        self.patients: list[profiles.Patient] = []
        self.left_out = 0

    def admit(self) -> Iterator[models.Finding]:
        """Find the profiles and read their settings; yield whether there is a place for them."""
        home = subject.Subject(subject.MACHINE).tried("home", self._home)
        yield home
        if home.level == "red" or self.places is None:
            return
        names = (self._profile,) if self._profile is not None else self.places.profile_names() or ("default",)
        self.left_out = max(0, len(names) - _MOST)
        for name in names[:_MOST]:
            work = workplace.Workplace(name, flags={}, environ=self._environ)
            self.patients.append(profiles.Patient(work))

    def _home(self) -> models.Finding:
        self.places = settings.locate(self._environ)
        settings.check_home_owner(self._environ)
        return files.look_at_home(self.places, self._environ)


def _targets(patients: list[profiles.Patient]) -> tuple[network.Target, ...]:
    if not patients:
        return (_USUAL,)  # nothing tells which authority is meant
    found: dict[network.Target, network.Target] = {}
    for target in (patient.target for patient in patients):
        # One visit for all that share an authority; who is signed in there knows more about it.
        if target is not None and (target not in found or target.hosts):
            found[target] = target
    return tuple(found.values())


def _look_at_all(patients: list[profiles.Patient], forecast: profiles.Forecaster) -> Iterator[models.Finding]:
    for patient in patients:
        yield from patient.look(forecast)


class _Group:
    """Checks that come one after the other, on a thread of their own: a dead disk must not hold the other checks."""

    def __init__(self, about: str, look: Callable[[], Iterator[models.Finding]], seconds: float) -> None:
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
            found.append(subject.Subject(found[-1].about if found else self._about).red("time", late))
        return found

    def _run(self) -> None:
        try:
            for finding in self._look():
                self._found.append(finding)  # one by one: what is found by the deadline counts
        except Exception as error:
            self._found.append(subject.Subject(self._about).failed("rest", error))
