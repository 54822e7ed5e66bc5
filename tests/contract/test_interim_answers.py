"""Answers that come before the answer: RFC 9110 section 15.2 lets a server send any number of 1xx first."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from devicelogin import errors, graph, http_session, models
from devicelogin.emulator import Emulator, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sandbox

ONE_OR_MORE = [(103,), (102,), (100, 102, 103, 103, 199)]


@pytest.fixture
def session(emulator: Emulator) -> Iterator[http_session.HttpSession]:
    with http_session.HttpSession(environ={}, ca_file=emulator.ca_file) as made:
        yield made


def _client(emulator: Emulator, session: http_session.HttpSession) -> graph.GraphClient:
    token = models.AccessToken(token="a.b.c", expires_at=dt.datetime.now(dt.UTC), scopes=())
    return graph.GraphClient(lambda: token, emulator.graph_root, session=session)


def _before(answer: Fault, *statuses: int) -> Fault:
    return Fault(replacement=answer.replacement, interim=statuses)


@pytest.mark.parametrize("statuses", ONE_OR_MORE)
def test_an_answer_is_found_behind_interim_ones(
    emulator: Emulator, session: http_session.HttpSession, statuses: tuple[int, ...]
) -> None:
    """The identity provider's JSON is the one that came last, with its own headers; the connection is used again."""
    emulator.script("discovery", [Fault.interim_answers(*statuses)] * 2)
    url = f"{emulator.authority}/v2.0/.well-known/openid-configuration"
    for _ in range(2):
        answer = session.get_json(url)
        assert answer.status == 200
        assert answer.body["token_endpoint"]
        assert "Link" not in answer.headers
    pools = session._adapter.poolmanager.pools
    assert [pools[key].num_connections for key in pools.keys()] == [1]  # noqa: SIM118 - urllib3's container is no dict


@pytest.mark.parametrize("statuses", ONE_OR_MORE)
def test_graph_answers_and_refuses_behind_interim_answers(
    emulator: Emulator, session: http_session.HttpSession, statuses: tuple[int, ...]
) -> None:
    """An interim answer is neither success nor failure: the body of a 200 comes whole, and a 403 is 22."""
    refusal = Fault.json({"error": {"code": "Authorization_RequestDenied", "message": "No."}}, status=403)
    emulator.script("me", [_before(Fault.text("the body"), *statuses), _before(refusal, *statuses)])
    client = _client(emulator, session)
    answer = client.request("GET", "me")
    assert (answer.status, b"".join(answer.chunks)) == (200, b"the body")
    with pytest.raises(errors.HttpAnswerError):
        client.request("GET", "me")


def test_no_device_code_and_no_refresh_token_is_lost_to_an_interim_answer(box: sandbox.Box) -> None:
    """Both are good once: who misses the answer has lost the sign-in."""
    box.emulator.mode = "strict"
    for endpoint in ("discovery", "devicecode", "token", "refresh"):
        box.emulator.script(endpoint, [Fault.interim_answers(103)])
    box.sign_in()
    box.check_works()
    box.check_works()


@pytest.mark.parametrize("fault", [Fault.status(101), Fault.interim_answers(*[102] * 100)], ids=["101", "too many"])
def test_what_never_becomes_an_answer_is_a_bad_one(
    emulator: Emulator, session: http_session.HttpSession, fault: Fault
) -> None:
    """76: nobody asked for another protocol, and interim answers without an end are no answer."""
    for endpoint in ("discovery", "me", "token"):
        emulator.script(endpoint, [fault])
    with pytest.raises(errors.BadAnswerError):
        session.get_json(f"{emulator.authority}/v2.0/.well-known/openid-configuration")
    with pytest.raises(errors.BadAnswerError):
        session.post_form(f"{emulator.authority}/oauth2/v2.0/token", {}, may_be_empty=True)
    with pytest.raises(errors.BadAnswerError) as caught:
        _client(emulator, session).request("GET", "me")
    assert "expected service" in caught.value.message
