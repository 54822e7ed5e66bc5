"""What is believed of an answer: its JSON, its dates, its wish to be left alone."""

from __future__ import annotations

import json

import pytest
import requests.structures
from hypothesis import given
from hypothesis import strategies as st

from devicelogin.http_session import answers

NOW = 1_800_000_000.0
DATE = "Fri, 15 Jan 2027 08:00:00 GMT"


def _headers(**given_headers: str) -> requests.structures.CaseInsensitiveDict[str]:
    return requests.structures.CaseInsensitiveDict({k.replace("_", "-"): v for k, v in given_headers.items()})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("5", 5),
        (" 7 ", 7),
        ("0.249", 0.249),
        ("1.5", 1.5),
        ("3600", 3600),
        ("3601", 3600),
        ("86400", 3600),
        ("86401", None),
        ("1000000000", None),
        ("9" * 400, None),
        ("-1", None),
        ("+5", None),
        ("1e3", None),
        ("0x10", None),
        ("nan", None),
        ("inf", None),
        ("\u0665", None),
        ("5 s", None),
        ("", None),
        ("soon", None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30),
        ("Friday, 15-Jan-27 08:00:30 GMT", 30),
        ("Fri, 15 Jan 2027 07:59:00 GMT", None),
        ("Fri, 15 Jan 2027 10:00:00 GMT", 3600),
        ("Fri, 15 Jan 2127 10:00:00 GMT", None),
        ("Fri, 99 Jan 99999 08:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_within_reason(value: str, seconds: float | None) -> None:
    """Seconds, decimals and dates are read, at most an hour is honoured, nonsense is None."""
    assert answers.read_retry_after(_headers(Retry_After=value), lambda: NOW) == seconds


def test_a_retry_after_date_is_compared_with_the_servers_own_clock() -> None:
    """A board that believes in 1970 waits the 30 seconds that were meant."""
    headers = _headers(retry_after="Fri, 15 Jan 2027 08:00:30 GMT", DATE=DATE)
    assert answers.read_retry_after(headers, lambda: 0.0) == 30


def test_no_retry_after_is_none() -> None:
    """Graph sometimes sends none."""
    assert answers.read_retry_after(_headers(), lambda: NOW) is None


@given(st.text(max_size=60))
def test_any_date_is_survived(value: str) -> None:
    """A date header is seconds or None, never an exception."""
    assert isinstance(answers.read_date(value), (float, type(None)))


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": [{"b": null}], "c": -1.5e3, "d": "\\ud83d\\ude00"} ', "{}"])
def test_a_json_object_is_what_json_says_it_is(text: str) -> None:
    """The strictness costs no ordinary answer."""
    assert answers.parse_object(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "null",
        "1",
        '"text"',
        "[]",
        '[{"a": 1}]',
        "<html></html>",
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": [-1e999]}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\\ud800"}',
        '{"\\udfff": 1}',
        '{"a": 1} trailing',
        '{"a": 1',
        "{'a': 1}",
        '{"a":' * 41 + "1" + "}" * 41,
        '{"a":' + "[" * 40 + "]" * 40 + "}",
        '{"a":' * 100_000,
        "[" * 100_000,
    ],
    ids=lambda text: text[:30],
)
def test_what_is_no_plain_json_object_is_refused(text: str) -> None:
    """Everything that json.loads lets pass and that fails later in whoever uses it, and every bomb, is refused."""
    with pytest.raises((ValueError, RecursionError)):
        answers.parse_object(text)
