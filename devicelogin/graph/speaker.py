"""Whether it is Graph that answers: a filtering proxy whose certificate is trusted here can answer for every host.

Graph signs every answer with a `request-id` (throttling front ends do not). What comes without one is believed as far as it
looks like an answer of Graph: JSON, or the bytes of a path that has bytes. A web page is somebody else's.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devicelogin import http_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PAGE = ("text/html", "application/xhtml+xml")

#: How does a web page begin, whatever type it claims to have?
_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body")

#: How does JSON begin?
_JSON = tuple(b'{["-0123456789tfn')

_BOM = b"\xef\xbb\xbf"

#: Which refusals do filters send, in whatever words? Graph says in JSON what it refuses.
_OF_FILTERS = frozenset({403, 451})

#: Which statuses have no body?
_EMPTY = frozenset({204, 205, 304})


def is_signed(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer with these `headers` has Graph's own mark."""
    return bool(headers.get("request-id", "").strip())


def is_page(headers: Mapping[str, str]) -> bool:
    """Tell whether an answer with these `headers` is a web page."""
    return _type(headers) in _PAGE


def check_refusal(answer: http_session.StreamAnswer, body: bytes) -> None:
    """Raise BadAnswerError where the error `answer`, of which `body` was read, is somebody else's page or refusal."""
    is_foreign = (
        is_page(answer.headers)
        or _begins_page(body)
        or (answer.status in _OF_FILTERS and not body.removeprefix(_BOM).lstrip().startswith(b"{"))
    )
    if answer.status in {407, 511} or (is_foreign and not is_signed(answer.headers)):
        raise http_session.not_the_service(answer.host, status=answer.status)


def checked(answer: http_session.StreamAnswer, url: str) -> Iterator[bytes]:
    """Return the body of the 2xx `answer` to a request of `url`. Raises BadAnswerError where it is not Graph's."""
    if is_signed(answer.headers) or answer.status in _EMPTY:
        return answer.chunks()
    chunks: Iterator[bytes] = answer.chunks()
    first = b"" if answer.method == "HEAD" else next((chunk for chunk in chunks if chunk), b"")
    is_read = answer.method == "GET" and answer.status == 200
    if is_page(answer.headers) or _begins_page(first) or (is_read and not _is_content(answer.headers, first, url)):
        answer.close()
        raise http_session.not_the_service(answer.host, status=answer.status)
    return itertools.chain([first], chunks)


def _is_content(headers: Mapping[str, str], first: bytes, url: str) -> bool:
    """Tell whether a body that begins with `first` may be what Graph has at `url`."""
    name = urlsplit(url).path.rpartition("/")[2]
    if name.startswith(("$", "content", "microsoft.graph.")):
        return True
    kind, beginning = _type(headers), first.removeprefix(_BOM).lstrip()[:1]
    if beginning == b"<":
        return False  # markup of whatever type: Graph has it at the paths above
    if kind and not kind.startswith("text/") and not kind.endswith("json"):
        return True
    return beginning in [bytes([one]) for one in _JSON]


def _begins_page(body: bytes) -> bool:
    return body.removeprefix(_BOM).lstrip()[:20].lower().startswith(_BEGINNINGS)


def _type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()
