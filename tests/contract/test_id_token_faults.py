"""A sign-in whose ID token is not good ends with 76 and leaves nothing; one whose keys are late is waited for."""

from __future__ import annotations

import dataclasses
import typing
from http import HTTPStatus

import jwt
import pytest
import sandbox
from cryptography.hazmat.primitives.asymmetric import rsa

from devicelogin import authority, errors, http_session
from devicelogin.client import observing, signing_in
from devicelogin.emulator import Fault, directory
from devicelogin.emulator.behaviour import IdTokenFault

FAULTS = sorted(typing.get_args(IdTokenFault))

#: Which faults contradict nothing that a first sign-in could know?
UNSEEN = {("oidc", "wrong_tenant"), ("oidc", "wrong_subject"), ("entra", "wrong_subject")}
PAIRS = [(dialect, fault) for dialect in ("entra", "oidc") for fault in FAULTS]


class FarFromNow(sandbox.HurriedClock):
    """The clock of a board whose battery is empty: 1970."""

    def wall(self) -> float:
        return 100.0


class Told(observing.Calling):
    """Notes the trouble."""

    def __init__(self) -> None:
        super().__init__(lambda _: None)
        self.trouble_heard: list[str] = []

    def trouble(self, message: str) -> None:
        self.trouble_heard.append(message)


@pytest.mark.parametrize(("dialect", "fault"), [pair for pair in PAIRS if pair not in UNSEEN])
def test_a_bad_id_token_at_login_is_76_and_nothing_is_stored(box: sandbox.Box, fault: str, dialect: str) -> None:
    """D7: who signed in is not believed before signature, issuer, audience, tenant and times were checked."""
    box.emulator.id_token_fault = fault
    issuer = {"oidc_issuer": box.emulator.oidc_issuer} if dialect == "oidc" else {}
    with pytest.raises(errors.BadAnswerError) as caught:
        box.sign_in(**issuer)
    assert caught.value.exit_code == 76
    assert caught.value.hint
    assert box.status().state == "signed-out"
    assert not (box.state / "default" / "record").exists()
    assert not list(box.runtime.rglob("*"))
    assert not (box.config / "default.toml").exists()


def test_a_bad_id_token_does_not_cost_the_sign_in_saved_before(box: sandbox.Box) -> None:
    """The old refresh token works on after a login that was refused."""
    box.sign_in()
    box.emulator.id_token_fault = "bad_signature"
    with pytest.raises(errors.BadAnswerError):
        box.sign_in()
    box.emulator.id_token_fault = None
    assert box.access_token(force=True).token


@pytest.mark.parametrize("tenant", ["organizations", "common"])
def test_the_issuer_of_a_document_for_many_tenants_is_a_template(box: sandbox.Box, tenant: str) -> None:
    """The token's own tenant is put into it, and is then the account's."""
    assert box.sign_in(authority=box.emulator.authority_for(tenant)).account.tenant_id == box.emulator.tenant_id


def test_a_personal_account_is_signed_with_a_key_of_its_own_issuer(box: sandbox.Box) -> None:
    """`consumers`: another key, restricted to the tenant of personal accounts."""
    signed_in = box.sign_in(authority=box.emulator.authority_for("consumers"), user="mary@outlook.example")
    assert signed_in.account.username == "mary@outlook.example"


def test_times_are_judged_by_the_servers_date(box: sandbox.Box) -> None:
    """A board in 1970 can sign in, and still sees that a token has expired."""
    options = signing_in.Options(clock=FarFromNow())
    assert box.sign_in(options).account.username == "ada@contoso.example"
    box.emulator.id_token_fault = "expired"
    with pytest.raises(errors.BadAnswerError, match="expired"):
        box.sign_in(options)


def test_a_key_that_was_changed_while_the_person_typed_is_fetched_again(box: sandbox.Box) -> None:
    """An unknown `kid` means a new key, not a forgery, until the provider has been asked."""

    class Rotating(observing.Calling):
        def waiting(self, seconds_left: float) -> None:
            if box.emulator.count("jwks") == 1:
                box.emulator.rotate_keys(keep_old=False)

    assert box.sign_in(observer=Rotating(lambda _: None)).state == "saved"
    assert box.emulator.count("jwks") == 2


@pytest.mark.parametrize(
    "trouble", [Fault.status(503), Fault.html(), Fault.reset(), Fault.status(429, retry_after="3")]
)
def test_keys_that_cannot_be_fetched_after_the_approval_are_waited_for(box: sandbox.Box, trouble: Fault) -> None:
    """The person has approved: their approval is not thrown away for a fetch that fails."""
    told = Told()
    box.emulator.script("jwks", [None, trouble, trouble, trouble])

    class Rotating(Told):
        def waiting(self, seconds_left: float) -> None:
            if not self.trouble_heard and box.emulator.count("token") == 0 and box.emulator.count("jwks") == 1:
                box.emulator.rotate_keys()

    told = Rotating()
    assert box.sign_in(observer=told).state == "saved"
    assert box.emulator.count("jwks") == 5
    assert len(told.trouble_heard) == 3


def test_keys_that_never_come_are_given_up_when_the_code_expires(box: sandbox.Box) -> None:
    """75 then, not 76: nobody forged anything, and nothing was stored."""

    class Rotating(observing.Calling):
        def waiting(self, seconds_left: float) -> None:
            if box.emulator.count("jwks") == 1:
                box.emulator.rotate_keys()

    box.emulator.device_code_lifetime = 30
    box.emulator.script("jwks", [None, *[Fault.status(503)] * 100])
    with pytest.raises(errors.TryLaterError):
        box.sign_in(observer=Rotating(lambda _: None))
    assert box.status().state == "signed-out"


def test_keys_are_fetched_before_anybody_is_asked(box: sandbox.Box) -> None:
    """A provider whose keys cannot be had is found out before a person takes out their phone."""
    box.emulator.script("jwks", [Fault.html()])
    with pytest.raises(errors.BadAnswerError):
        box.sign_in()
    assert box.emulator.count("devicecode") == 0


def published(box: sandbox.Box) -> dict[str, typing.Any]:
    """Return what the provider publishes now."""
    with http_session.HttpSession(environ={}, ca_file=box.emulator.ca_file) as http:
        known = authority.request_provider(http, box.emulator.authority, is_oidc=False)
        return http.get_json(known.jwks_uri).body


def test_a_new_key_under_the_old_name_is_fetched_again(box: sandbox.Box) -> None:
    """A signature that does not match may be that of a key made while the person typed."""
    keys = published(box)["keys"]
    another = jwt.algorithms.RSAAlgorithm.to_jwk(rsa.generate_private_key(65537, 2048).public_key(), as_dict=True)
    box.emulator.script("jwks", [Fault.json({"keys": [{**key, "n": another["n"]} for key in keys]})])
    assert box.sign_in().state == "saved"
    assert box.emulator.count("jwks") == 3


def test_a_forger_is_not_waited_for(box: sandbox.Box) -> None:
    """One look whether the key is a new one, and the answer is 76."""
    box.emulator.id_token_fault = "bad_signature"
    with pytest.raises(errors.BadAnswerError, match="does not match"):
        box.sign_in()
    assert box.emulator.count("jwks") == 2


def test_a_copy_of_the_old_keys_is_outwaited(box: sandbox.Box) -> None:
    """Between us and the provider a cache may have them a little longer; the approval is not lost for that."""
    old = published(box)
    box.emulator.script("jwks", [None, Fault.json(old), Fault.json(old)])

    class Rotating(Told):
        def waiting(self, seconds_left: float) -> None:
            if box.emulator.count("jwks") == 2:
                box.emulator.rotate_keys(keep_old=False)

    told = Rotating()
    assert box.sign_in(observer=told).state == "saved"
    assert box.emulator.count("jwks") == 5
    assert len(told.trouble_heard) == 2


def test_a_key_that_is_never_published_is_asked_for_some_times_and_no_more(box: sandbox.Box) -> None:
    """76, long before the code expires."""
    box.emulator.id_token_fault = "unknown_kid"
    with pytest.raises(errors.BadAnswerError, match="does not publish"):
        box.sign_in()
    assert box.emulator.count("jwks") == 5


@pytest.mark.parametrize("status", [403, 404])
def test_a_gateways_error_does_not_end_the_wait(box: sandbox.Box, status: int) -> None:
    """JSON with an `error` that is the status in words: a server is being restarted, nobody has refused."""
    body = {"status": status, "error": HTTPStatus(status).phrase, "path": "/oauth2/v2.0/token"}
    told = Told()
    box.emulator.script("token", [Fault.json(body, status=status)] * 2)
    assert box.sign_in(observer=told).state == "saved"
    assert len(told.trouble_heard) == 2


@pytest.mark.parametrize("status", [403, 404])
def test_a_gateways_error_does_not_end_the_saved_sign_in(box: sandbox.Box, status: int) -> None:
    """75, and good again afterwards. At 404 the provider may have moved: it is looked up and asked once more."""
    tries = 2 if status == 404 else 1
    box.sign_in()
    box.emulator.script("refresh", [Fault.json({"error": HTTPStatus(status).phrase}, status=status)] * tries)
    with pytest.raises(errors.TryLaterError):
        box.access_token(force=True)
    assert box.access_token(force=True).token


@pytest.mark.parametrize("subject", ["\u65e5\u672c", "two\nlines", "auth0|5"])
def test_a_subject_may_be_any_text_elsewhere(box: sandbox.Box, subject: str) -> None:
    """The library puts it into a header for Microsoft's machines, which is for nobody else and takes no such text."""
    odd = dataclasses.replace(directory.ADA, object_id=subject, user_principal_name="odd@contoso.example")
    box.emulator.directory.users.append(odd)
    box.sign_in(oidc_issuer=box.emulator.oidc_issuer, user="odd@contoso.example")
    assert box.access_token(force=True).token
    refresh = next(request for request in box.emulator.requests if request.endpoint == "refresh")
    assert "x-anchormailbox" not in {name.lower() for name in refresh.headers}
