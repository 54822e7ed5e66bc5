"""What a server answered, read within limits: at most 1 MB for the identity provider, piece by piece for Graph."""

from __future__ import annotations

import json
import math
import re
import zlib
from dataclasses import field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

from devicelogin import clock, errors, models, retry
from devicelogin.http_session import failures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import urllib3

#: How large may an answer of the identity provider be? The largest real one, a set of keys, has some 20 kB.
JSON_LIMIT = 1_000_000

#: How much of a 429 is read, in bytes and seconds? All that it can be asked for is whether it says `slow_down`.
_BUSY_LIMIT, _BUSY_SECONDS = 65_536, 2.0

#: How deep may its JSON be nested? Real ones have 4 levels.
_DEPTH_LIMIT = 40

_PIECE = 65_536

#: The longest pause that is believed to be meant, in seconds.
_RETRY_BELIEVED = 86_400.0


@models.record
class JsonAnswer:
    """A JSON object and what came with it. `server_date` is the `Date` header in seconds since 1970."""

    status: int
    host: str
    headers: Mapping[str, str] = field(repr=False)
    text: str = field(repr=False)
    body: dict[str, object] = field(repr=False)
    server_date: float | None


class StreamAnswer:
    """An answer whose body is read piece by piece, without a limit of size or time.

    A pause of 60 s between two pieces raises NoAnswerError; a body that ends early or is damaged, BadAnswerError. Where
    `method` is a change that was done, both say so.
    """

    def __init__(self, raw: urllib3.BaseHTTPResponse, headers: Mapping[str, str], host: str, *, method: str) -> None:
        self.status = raw.status
        self.method = method
        self.headers = headers
        self.host = host
        self._raw = raw

    def chunks(self) -> Iterator[bytes]:
        """Yield the body, decompressed; it can be read once. Closes the answer at its end."""
        try:
            yield from read_decoded(self._raw, self.headers, self.host)
        except errors.DeviceLoginError as error:
            raise self._told(error) from None
        except Exception as error:
            raise self._told(_broken_off(error, self.host)) from None
        finally:
            self.close()

    def _told(self, error: errors.DeviceLoginError) -> errors.DeviceLoginError:
        """Return `error` in the words that fit what the status has already said."""
        if self.method in failures.SAFE_METHODS:
            return error
        return failures.was_done(error, self.method) if self.status < 300 else failures.in_doubt(error)

    def close(self) -> None:
        """Cut the connection if the body was not read to its end."""
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _broken_off(error: Exception, host: str) -> errors.DeviceLoginError:
    if failures.is_time_out(error):
        return failures.explain(error, failures.Attempt(method="GET", host=host, sent=True))
    return errors.BadAnswerError(
        f"the answer of {host} broke off before its end",
        hint="what was printed of it is not the whole; run the command again",
    )


def read_decoded(raw: urllib3.BaseHTTPResponse, headers: Mapping[str, str], host: str) -> Iterator[bytes]:
    """Yield the body of `raw`, decompressed, in pieces of moderate size whatever it expands to."""
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    pieces = iter(lambda: raw.read1(_PIECE, decode_content=False), b"")
    if encoding in ("identity", ""):
        yield from pieces
    elif encoding in ("gzip", "x-gzip"):
        yield from _gunzipped(pieces, host)
    else:
        # We ask for gzip at most.
        raise failures.not_the_service(host, status=raw.status)


def _gunzipped(pieces: Iterator[bytes], host: str) -> Iterator[bytes]:
    gzip_format = zlib.MAX_WBITS | 16
    decoder, is_empty = zlib.decompressobj(gzip_format), True
    for piece in pieces:
        data = piece
        while data:
            is_empty = False
            if decoder.eof:
                decoder = zlib.decompressobj(gzip_format)
            try:
                yield decoder.decompress(data, _PIECE)
            except zlib.error:
                raise failures.not_the_service(host) from None
            data = decoder.unconsumed_tail or decoder.unused_data
    while not (decoder.eof or is_empty):
        rest = decoder.decompress(b"", _PIECE)
        if not rest:
            raise EOFError
        yield rest


def read_json(
    raw: urllib3.BaseHTTPResponse, headers: Mapping[str, str], host: str, *, may_be_empty: bool = False
) -> tuple[str, dict[str, object]]:
    """Return the body of `raw` as text and as the JSON object it is, or as an empty one where it `may_be_empty` and is.

    Raises BadAnswerError for anything else.
    """
    body = bytearray()
    for piece in read_decoded(raw, headers, host):
        body += piece
        if len(body) > JSON_LIMIT:
            raise errors.BadAnswerError(
                f"the answer of {host} is larger than {JSON_LIMIT // 1_000_000} MB",
                hint=f"look at what answers: curl -sv -o /dev/null https://{host}/",
                detail=f"HTTP {raw.status}",
            )
    if may_be_empty and not body:
        return "", {}
    try:
        text = body.decode("utf-8-sig")
        return text, parse_object(text)
    except (ValueError, RecursionError):
        raise failures.not_the_service(host, status=raw.status) from None


def read_slow_down(
    raw: urllib3.BaseHTTPResponse, headers: Mapping[str, str], host: str
) -> tuple[str, dict[str, object]] | None:
    """Return the body of `raw` as `read_json` does where it is a 429 that says `slow_down`, else None.

    RFC 8628 section 3.5 gives that error no status of its own, and what it asks for must hold for all later polls.
    """
    if raw.status != 429:
        return None
    body, patience = bytearray(), clock.Deadline(_BUSY_SECONDS)
    try:
        for piece in read_decoded(raw, headers, host):
            body += piece
            if len(body) > _BUSY_LIMIT or patience.passed():
                return None
        text = body.decode("utf-8-sig")
        parsed = parse_object(text)
    except Exception:
        # The status and the headers say enough; that the explanation is damaged must not hide them.
        return None
    return (text, parsed) if parsed.get("error") == "slow_down" else None


def parse_object(text: str) -> dict[str, object]:
    """Return the JSON object in `text`. Raises ValueError (or RecursionError) for anything else.

    Stricter than `json.loads`: no NaN, no infinity, no lone surrogates, no deep nesting; all of these pass there and
    fail in whoever uses the value.
    """
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - the caller asks "is it one?", not for its type
    level: list[object] = [value]
    for _ in range(_DEPTH_LIMIT):
        level = [child for each in level if isinstance(each, (dict, list)) for child in _children(each)]
        if not level:
            break
    else:
        raise ValueError("nested too deep")
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _children(value: dict[str, object] | list[object]) -> list[object]:
    return list(value.values()) if isinstance(value, dict) else value


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("too large")
    return number


def read_date(value: str | None) -> float | None:
    """Return the seconds since 1970 that an HTTP date means, None for anything else."""
    try:
        moment = parsedate_to_datetime(value or "")
        # RFC 9110 section 5.6.7: HTTP dates are in UTC, whatever they say.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def read_retry_after(headers: Mapping[str, str], wall: Callable[[], float]) -> float | None:
    """Return the seconds that `Retry-After` asks to wait, at most an hour; None where it says nothing that can be meant.

    Graph sends decimals such as `0.249`. A date is compared with the server's own `Date`, as our clock may be wrong.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,12})?", value):
        seconds = float(value)
    else:
        moment = read_date(value)
        if moment is None:
            return None
        now = read_date(headers.get("Date"))
        seconds = moment - (wall() if now is None else now)
    return min(seconds, retry.CAP) if 0 <= seconds <= _RETRY_BELIEVED else None
