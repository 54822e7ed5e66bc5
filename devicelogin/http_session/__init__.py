"""The one session factory: every byte to and from the network passes here (design decision D8)."""

from devicelogin.http_session.answers import JsonAnswer, StreamAnswer, read_date, read_retry_after
from devicelogin.http_session.failures import (
    PROXY_REFUSED,
    SAFE_METHODS,
    NoAnswerError,
    ServerBusyError,
    in_doubt,
    not_the_service,
    was_done,
)
from devicelogin.http_session.session import HttpSession

__all__ = [
    "PROXY_REFUSED",
    "SAFE_METHODS",
    "HttpSession",
    "JsonAnswer",
    "NoAnswerError",
    "ServerBusyError",
    "StreamAnswer",
    "in_doubt",
    "not_the_service",
    "read_date",
    "read_retry_after",
    "was_done",
]
