"""The identity provider's description of itself: fetched, checked, and kept for the silent refreshes of a day."""

from devicelogin.authority.kept import known_provider
from devicelogin.authority.provider import Provider, request_provider

__all__ = ["Provider", "known_provider", "request_provider"]
