"""An error of the provider in plain words: which exit code it deserves, and that nothing of its paragraph is shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicelogin import entra_errors, errors, explain, redaction

START, POLL, REFRESH = "start", "poll", "refresh"

#: (error, number, suberror) -> exit code at the start, at a poll, at a refresh.
TABLE = {
    ("invalid_grant", None, ""): (5, 5, 4),
    ("invalid_grant", 700082, ""): (5, 5, 4),
    ("invalid_grant", 70043, "token_expired"): (5, 5, 4),
    ("invalid_grant", 50173, "bad_token"): (5, 5, 4),
    ("invalid_grant", 50076, "basic_action"): (5, 5, 4),
    ("invalid_grant", 65001, "consent_required"): (5, 5, 4),
    ("invalid_grant", 53003, "message_only"): (77, 77, 77),
    ("interaction_required", 53000, ""): (77, 77, 77),
    ("invalid_grant", 530033, ""): (77, 77, 77),
    ("invalid_grant", 50057, ""): (77, 77, 77),
    ("invalid_grant", 50105, ""): (77, 77, 77),
    ("invalid_grant", 90094, ""): (77, 77, 77),
    ("interaction_required", 50079, ""): (5, 5, 4),
    ("interaction_required", None, ""): (5, 5, 4),
    ("login_required", None, ""): (5, 5, 4),
    ("consent_required", None, ""): (77, 77, 4),
    ("invalid_client", 7000218, ""): (78, 78, 78),
    ("invalid_client", None, ""): (78, 78, 78),
    ("unauthorized_client", 700016, ""): (78, 78, 78),
    ("unauthorized_client", 7000112, ""): (77, 77, 77),
    ("unsupported_grant_type", None, ""): (78, 78, 78),
    ("invalid_request", 50194, ""): (78, 78, 78),
    ("invalid_request", 90002, ""): (78, 78, 78),
    ("invalid_request", 900144, ""): (78, 78, 78),
    ("invalid_tenant", 90002, ""): (78, 78, 78),
    ("invalid_scope", 70011, ""): (78, 78, 78),
    ("invalid_resource", 500011, ""): (78, 78, 78),
    ("temporarily_unavailable", None, ""): (75, 75, 75),
    ("temporarily_unavailable", 50196, ""): (75, 75, 75),
    ("invalid_grant", 50196, ""): (75, 75, 75),
    ("server_error", None, ""): (75, 75, 75),
    ("slow_down", None, ""): (75, 75, 75),
    ("expired_token", 70019, ""): (5, 5, 4),
    ("code_expired", None, ""): (5, 5, 4),
    ("bad_verification_code", 70018, ""): (5, 5, 4),
    ("invalid_grant", 7000014, ""): (5, 5, 4),
    ("access_denied", None, ""): (5, 5, 4),
    ("authorization_declined", 65004, ""): (5, 5, 4),
    ("something_new", None, ""): (5, 5, 4),
    ("unknown_error", None, ""): (5, 5, 4),
}


def made(stage: str, refusal: explain.Refusal, profile: str = "default") -> errors.DeviceLoginError:
    if stage == START:
        return explain.start_refused(refusal, profile=profile)
    if stage == POLL:
        return explain.poll_refused(refusal, profile=profile)
    return explain.refresh_refused(refusal, profile=profile, who="ada@contoso.example")


@pytest.mark.parametrize(("case", "exits"), TABLE.items(), ids=str)
def test_each_refusal_has_its_exit_code(case: tuple[str, int | None, str], exits: tuple[int, int, int]) -> None:
    """The code follows `error`; a known number chooses between a person (4 or 5) and an administrator (77)."""
    refusal = explain.Refusal(error=case[0], number=case[1], suberror=case[2])
    assert tuple(made(stage, refusal).exit_code for stage in (START, POLL, REFRESH)) == exits


def test_both_of_entras_answers_to_a_dead_code_mean_that_it_expired() -> None:
    """A code that was never used is `expired_token` for a while and `invalid_grant` 7000014 later."""
    for error, number in (("expired_token", 70020), ("invalid_grant", 7000014)):
        assert made(POLL, explain.Refusal(error=error, number=number)).code == "code_expired"


@given(
    error=st.sampled_from(["invalid_grant", "interaction_required", "consent_required", "login_required", "new"]),
    number=st.integers(1, 10**9 - 1).filter(lambda number: number not in entra_errors.KNOWN),
    stage=st.sampled_from([POLL, REFRESH]),
)
def test_a_number_nobody_knows_changes_nothing(error: str, number: int, stage: str) -> None:
    """Microsoft says that numbers may change: an unknown one leaves the decision to `error`."""
    known_dead = {70019, 70020, 7000014}
    if number in known_dead:
        return
    assert (
        made(stage, explain.Refusal(error=error, number=number)).exit_code
        == made(stage, explain.Refusal(error=error)).exit_code
    )


@pytest.mark.parametrize("error", ["invalid_grant", "interaction_required", "unauthorized_client", "invalid_request"])
def test_a_known_number_chooses_words_and_who_can_help_and_no_more(error: str) -> None:
    """D9: it may turn a sign-in into an administrator's task, never into a configuration error; one, into a retry."""
    plain = made(REFRESH, explain.Refusal(error=error)).exit_code
    for number in entra_errors.KNOWN:
        loop = {75} if (error, number) == ("invalid_grant", 50196) else set()
        assert made(REFRESH, explain.Refusal(error=error, number=number)).exit_code in {plain, 77} | loop, number


@pytest.mark.parametrize("stage", [START, POLL, REFRESH])
@pytest.mark.parametrize("error", sorted({case[0] for case in TABLE}))
def test_every_refusal_is_one_plain_line_with_a_hint(error: str, stage: str) -> None:
    """One line, lower case, no full stop, one next step; the codes stand in the detail, and the profile in the command."""
    for number in (None, 4242, *entra_errors.KNOWN):
        is_plain_and_helps(made(stage, explain.Refusal(error=error, number=number, suberror="sub"), profile="home"))
        shown = made(stage, explain.Refusal(error=error, number=number, suberror="sub"), profile="home")
        assert shown.detail is None or error in shown.detail
        assert number is None or shown.detail is None or f"AADSTS{number}" in shown.detail


def is_plain_and_helps(shown: errors.DeviceLoginError) -> None:
    assert shown.message
    assert "\n" not in shown.message
    assert shown.message[0].islower()
    assert not shown.message.endswith(".")
    assert shown.hint
    assert "{" not in shown.hint
    assert "devicelogin login" not in shown.hint or "--profile home" in shown.hint


PARAGRAPH = (
    "AADSTS53003: Access has been blocked by Conditional Access policies. Call +1 555 0100 now!\r\n"
    "Trace ID: 9fa3f5a0-0000-4000-8000-000000000000\r\nCorrelation ID: 3c6d1f2e-0000-4000-8000-000000000000"
)


@pytest.mark.parametrize("stage", [START, POLL, REFRESH])
def test_nothing_of_the_servers_paragraph_is_shown_but_the_number(stage: str) -> None:
    """D11 and style: the paragraph may hold anything; the number and the correlation id are looked up."""
    refusal = explain.read_refusal(
        {
            "error": "invalid_grant",
            "error_description": PARAGRAPH,
            "correlation_id": "3c6d1f2e-0000-4000-8000-000000000000",
        }
    )
    shown = made(stage, refusal)
    text = " ".join(str(value) for value in shown.as_json().values())
    assert "555" not in text
    assert "Trace" not in text
    assert refusal.number == 53003
    assert shown.correlation_id == "3c6d1f2e-0000-4000-8000-000000000000"
    assert shown.exit_code == 77


@given(
    st.dictionaries(
        st.sampled_from(["error", "suberror", "error_codes", "error_description", "correlation_id", "claims"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists),
    )
)
def test_an_error_of_any_shape_is_read(answer: dict[str, object]) -> None:
    """Whatever stands where: a refusal comes out, and nothing in it moves a terminal."""
    refusal = explain.read_refusal(answer)
    for stage in (START, POLL, REFRESH):
        shown = made(stage, refusal)
        for text in (shown.message, shown.hint or "", shown.detail or "", shown.correlation_id or ""):
            assert "\n" not in text
            assert text.isprintable()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("invalid_client", "--client-id ID"),
        ("invalid_scope", "--scope SCOPE"),
        ("invalid_tenant", "--tenant TENANT"),
    ],
)
def test_without_a_number_the_error_chooses_what_to_do(error: str, words: str) -> None:
    """Other providers than Entra have none, and no tenants or "Application (client) ID" either."""
    refusal = explain.read_refusal({"error": error})
    for made in (
        explain.refresh_refused(refusal, profile="default", who="ada"),
        explain.poll_refused(refusal, profile="default"),
        explain.start_refused(refusal, profile="default"),
    ):
        assert words in str(made.hint)
        assert error == "invalid_tenant" or "tenant" not in str(made.hint)
        assert "Application (client) ID" not in str(made.hint)


@pytest.mark.parametrize("error", ["invalid_request", "odd_error", "interaction_required"])
def test_nobody_whose_login_was_refused_is_told_to_type_it_again(error: str) -> None:
    """It would be refused again; a saved sign-in that is refused, however, is mended by it."""
    refusal = explain.read_refusal({"error": error, "error_description": "The client may not.\x1b[2J\r\nTrace: 1"})
    started = explain.start_refused(refusal, profile="default")
    assert started.hint == "ask who runs the identity provider about the code below"
    assert "sign in again: devicelogin login" in str(explain.refresh_refused(refusal, profile="default", who="a").hint)
    assert str(started.detail).startswith(f"{error}: The client may not.")
    assert str(started.detail).isprintable()
    assert "Trace" not in str(started.detail)


def test_what_a_provider_says_is_in_the_detail_without_secrets() -> None:
    """Without a number it is all that there is to know; with one it is explained here, and the paragraph is not shown."""
    redaction.hide("0.canary-refresh-token")
    words = "The token 0.canary-refresh-token of eyJhbGciOiJSUzI1NiJ9.e30.x is unknown"
    refusal = explain.read_refusal({"error": "invalid_grant", "error_description": words})
    assert refusal.detail == "invalid_grant: The token [redacted] of [redacted] is unknown"
    numbered = explain.read_refusal({"error": "invalid_grant", "error_description": f"AADSTS50173: {words}"})
    assert numbered.detail == "invalid_grant, AADSTS50173"


@pytest.mark.parametrize(
    ("answer", "was_pending"),
    [
        ({"error": "invalid_grant"}, False),
        ({"error": "invalid_request", "error_description": "Unknown device code"}, False),
        ({"error": "expired_token"}, False),
        ({"error": "bad_verification_code"}, False),
        ({"error": "invalid_grant", "error_codes": [7000014]}, False),
        ({"error": "invalid_client"}, True),
        ({"error": "unauthorized_client", "error_codes": [700016]}, True),
        ({"error": "invalid_tenant"}, True),
    ],
)
def test_a_server_that_has_forgotten_the_code_is_no_wrong_setting(answer: dict[str, object], was_pending: bool) -> None:
    """5, and a new code can be asked for: a server that was restarted knows neither the code nor who asked for it."""
    refused = explain.poll_refused(explain.read_refusal(answer), profile="default", was_pending=was_pending)
    assert (refused.exit_code, refused.code) == (5, explain.CODE_EXPIRED)
    assert str(answer["error"]) in str(refused.detail)


def test_an_app_that_is_wrong_from_the_first_poll_on_is_a_wrong_setting() -> None:
    """78: and so is one that Entra calls no public client, which it says after the approval."""
    wrong = explain.read_refusal({"error": "invalid_client"})
    assert explain.poll_refused(wrong, profile="default").exit_code == 78
    no_public_client = explain.read_refusal({"error": "invalid_client", "error_codes": [7000218]})
    assert explain.poll_refused(no_public_client, profile="default", was_pending=True).exit_code == 78
