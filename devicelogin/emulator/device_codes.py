"""Device codes from their issue to their one use (RFC 8628 sections 3.2 to 3.5)."""

from __future__ import annotations

import contextlib
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devicelogin.emulator import oauth_errors

if TYPE_CHECKING:
    from devicelogin.emulator.behaviour import Behaviour
    from devicelogin.emulator.clock import MovableClock
    from devicelogin.emulator.directory import Client, Directory, User
    from devicelogin.emulator.messages import Request
    from devicelogin.emulator.scopes import ScopeRequest

# Without 0, 1, I and O, which people mistake for each other (RFC 8628 section 6.1).
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CONSONANTS = "BCDFGHJKLMNPQRSTVWXZ"


@dataclass(slots=True, kw_only=True, eq=False)
class DeviceCode:
    """One sign-in that was asked for."""

    device_code: str
    user_code: str
    client: Client
    tenant: str
    scopes: ScopeRequest
    asked_by: str
    expires_at: float
    interval: int
    state: Literal["pending", "approved", "declined", "used"] = "pending"
    user: User | None = None
    signed_in_at: float = 0.0
    last_polled: float | None = None
    announced: bool = False
    approve_at: float | None = None


class DeviceCodes:
    """All codes. Every method takes the lock that was handed in."""

    def __init__(self, behaviour: Behaviour, clock: MovableClock, directory: Directory, lock: threading.RLock) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._directory = directory
        self._changed = threading.Condition(lock)
        self._codes: dict[str, DeviceCode] = {}
        self._approvals: list[tuple[float, User | None]] = []

    def issue(self, client: Client, tenant: str, scopes: ScopeRequest, request: Request) -> DeviceCode:
        """Return a new code for the person behind `request` to enter."""
        now = self._clock.now()
        code = DeviceCode(
            device_code=secrets.token_urlsafe(150),
            user_code=_user_code(is_oidc=request.is_oidc),
            client=client,
            tenant=tenant,
            scopes=scopes,
            asked_by=_description(request),
            expires_at=now + self._behaviour.device_code_lifetime,
            interval=self._behaviour.interval,
        )
        with self._changed:
            if self._approvals:
                after, user = self._approvals.pop(0)
                code.approve_at, code.user = now + after, user
            elif self._behaviour.approve_after is not None:
                code.approve_at = now + self._behaviour.approve_after
            self._codes[code.device_code] = code
            self._changed.notify_all()
        return code

    def redeem(self, device_code: str, client: Client, tenant: str) -> DeviceCode:
        """Return the approved code, used up by this. Raises Refusal while it is not, and for ever once it was."""
        with self._changed:
            code = self._codes.get(device_code)
            if code is None or code.client is not client or code.tenant != tenant or code.state == "used":
                raise oauth_errors.Refusal(
                    "invalid_grant",
                    7000014,
                    "The provided value for the input parameter 'device_code' is not valid.",
                )
            now = self._clock.now()
            self._approve_when_due(code)
            if now >= code.expires_at:
                raise oauth_errors.Refusal(
                    "expired_token",
                    70020,
                    "The provided value for the input parameter 'device_code' is not valid. This device code has "
                    "expired.",
                )
            self._check_speed(code, now, is_oidc=tenant == "home")
            if code.state == "declined":
                # The facts name no number for this error; the one of a declined consent is the nearest.
                error = "access_denied" if tenant == "home" else "authorization_declined"
                raise oauth_errors.Refusal(error, 65004, "User declined to consent to access the app.")
            if code.state == "pending":
                raise oauth_errors.Refusal(
                    "authorization_pending",
                    70016,
                    "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
                )
            code.state = "used"
            return code

    def approve(self, user_code: str, user: User | None) -> None:
        """Let `user` accept; None: the first one who can sign in there. Raises LookupError, PermissionError."""
        with self._changed:
            code = self._pending(user_code)
            self._approve(code, user)

    def decline(self, user_code: str) -> None:
        """Let the person refuse. Raises LookupError for a code that is not pending."""
        with self._changed:
            self._pending(user_code).state = "declined"

    def expire(self, user_code: str) -> None:
        """Let the code's time be over. Raises LookupError for a code that is not pending."""
        with self._changed:
            self._pending(user_code).expires_at = self._clock.now()

    def approve_next(self, after: float, user: User | None) -> None:
        """Approve the next code to be issued, `after` seconds of the emulator's clock later."""
        with self._changed:
            self._approvals.append((after, user))

    def pending(self) -> list[DeviceCode]:
        """Return the codes that wait for a person, oldest first."""
        with self._changed:
            now = self._clock.now()
            for code in self._codes.values():
                self._approve_when_due(code)
            return [code for code in self._codes.values() if code.state == "pending" and now < code.expires_at]

    def find(self, user_code: str) -> DeviceCode | None:
        """Return the pending code that a person typed, however they wrote it."""
        wanted = _plain(user_code)
        return next((code for code in self.pending() if _plain(code.user_code) == wanted), None)

    def wait(self, timeout: float) -> DeviceCode:
        """Return the oldest pending code that no call returned before. Raises TimeoutError."""
        with self._changed:
            found = self._changed.wait_for(lambda: [one for one in self.pending() if not one.announced], timeout)
            if not found:
                raise TimeoutError(f"nobody asked for a device code within {timeout} s")
            found[0].announced = True
            return found[0]

    def _pending(self, user_code: str) -> DeviceCode:
        code = self.find(user_code)
        if code is None:
            raise LookupError(f"no pending sign-in has the code {user_code!r}")
        return code

    def _approve_when_due(self, code: DeviceCode) -> None:
        if code.state != "pending" or code.approve_at is None:
            return
        if code.approve_at <= min(self._clock.now(), code.expires_at):
            code.approve_at = None
            # Who cannot sign in there is told so by the page, and the client goes on waiting.
            with contextlib.suppress(PermissionError):
                self._approve(code, code.user)

    def _approve(self, code: DeviceCode, user: User | None) -> None:
        fitting = [
            one
            for one in ([user] if user is not None else self._directory.users)
            if self._directory.may_sign_in(one, code.client, code.tenant)
            and one.object_id not in self._directory.disabled
        ]
        if not fitting:
            raise PermissionError(f"no such user can sign in to {code.client.name} in the tenant {code.tenant}")
        code.user = fitting[0]
        code.signed_in_at = self._clock.now()
        code.state = "approved"

    def _check_speed(self, code: DeviceCode, now: float, *, is_oidc: bool) -> None:
        previous, code.last_polled = code.last_polled, now
        # A tenth of a second is forgiven: the client counts from when it got the answer, we from when it asked.
        if not self._behaviour.enforce_interval or previous is None or now - previous >= code.interval - 0.1:
            return
        # RFC 8628 section 3.5: the interval grows by five seconds for this and all later requests.
        code.interval += 5
        raise oauth_errors.Refusal("slow_down", None, "" if is_oidc else "Slow down.")


def _user_code(*, is_oidc: bool) -> str:
    if is_oidc:
        return "-".join("".join(secrets.choice(_CONSONANTS) for _ in range(4)) for _ in range(2))
    return "".join(secrets.choice(_LETTERS) for _ in range(9))


def _plain(user_code: str) -> str:
    return "".join(character for character in user_code.upper() if character.isalnum())


def _description(request: Request) -> str:
    told = [request.headers.get(name, "") for name in ("x-app-name", "x-client-sku", "x-client-os", "user-agent")]
    return f"{request.peer} ({', '.join(part for part in told if part)})"
