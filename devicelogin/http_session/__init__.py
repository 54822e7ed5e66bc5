"""The one session factory: every byte to and from the network passes here (design decision D8)."""

from devicelogin.http_session.answers import JsonAnswer, StreamAnswer, read_date, read_retry_after
from devicelogin.http_session.failures import NoAnswerError, ServerBusyError
from devicelogin.http_session.session import HttpSession

__all__ = [
    "HttpSession",
    "JsonAnswer",
    "NoAnswerError",
    "ServerBusyError",
    "StreamAnswer",
    "read_date",
    "read_retry_after",
]
