"""The discovery document kept beside the sign-in, so that a silent refresh is one request and no more.

It is no secret but it says where a refresh token goes: so it lies in a private file, names the URL that it belongs to, and
is checked on every read exactly as it was when it came. Older than a day it is fetched anew; if that fails, the old one
serves for 30 days, so that an outage of that one address does not stop refreshes that would work.
"""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING

from devicelogin import errors, http_session, private_files
from devicelogin.authority import provider as providers

if TYPE_CHECKING:
    from devicelogin.authority.provider import Provider
    from devicelogin.http_session import HttpSession

_logger = logging.getLogger("devicelogin.authority")

#: How old may a kept document be before it is fetched anew, and before it is not used any more (seconds)?
FRESH_SECONDS, USEFUL_SECONDS = 86_400, 30 * 86_400

FORMAT_VERSION = 1


def known_provider(http: HttpSession, path: str, url: str, *, is_oidc: bool, anew: bool = False) -> Provider:
    """Return the provider at `url`, from the file `path` if what is kept there is of today, else fetched and kept.

    `anew`: what is kept has proved to be wrong. Raises what `request_provider` raises where nothing useful is kept.
    """
    kept, age = (None, 0.0) if anew else _read(path, url, is_oidc=is_oidc)
    if kept is not None and age < FRESH_SECONDS:
        return kept
    try:
        document = providers.request_document(http, url, is_oidc=is_oidc)
    except (errors.TryLaterError, errors.BadAnswerError, errors.ConfigError) as error:
        # ConfigError: a 404 may be that of a gateway. If the tenant is gone indeed, the refresh says so, too.
        return _kept_after(error, kept)
    try:
        found = providers.check_document(document, url, is_oidc=is_oidc)
    except errors.BadAnswerError as error:
        # JSON, but no such document. A ConfigError is different: that one names another issuer or foreign hosts.
        return _kept_after(error, kept)
    _write(path, url, document)
    return found


def _kept_after(error: errors.DeviceLoginError, kept: Provider | None) -> Provider:
    """Return what is kept, where it can serve although there was `error` instead of the document. Else raises that."""
    if kept is None or _is_same_trouble(error, kept):
        raise error
    _logger.debug("using the kept discovery document: %s", error.code)
    return kept


def _is_same_trouble(error: errors.DeviceLoginError, kept: Provider) -> bool:
    """Tell whether a refresh would fail in the same way, and take as long: its host cannot even be sent anything."""
    if not isinstance(error, http_session.NoAnswerError) or error.request_may_have_arrived:
        return False
    return providers.host_of(kept.token_endpoint) == kept.origin


def _read(path: str, url: str, *, is_oidc: bool) -> tuple[Provider | None, float]:
    """Return what is kept for `url` and how old it is (seconds), None where nothing useful is."""
    try:
        content = private_files.read(path)
        kept = json.loads(content) if content is not None else None
        if not isinstance(kept, dict) or kept.get("format_version") != FORMAT_VERSION or kept.get("url") != url:
            return None, 0.0
        age = time.time() - float(kept["fetched"])
        # A clock that went backwards says nothing about the age.
        if not 0 <= age < USEFUL_SECONDS or not isinstance(kept["document"], dict):
            return None, 0.0
        return providers.check_document(kept["document"], url, is_oidc=is_oidc), age
    except (errors.DeviceLoginError, ValueError, TypeError, KeyError, RecursionError):
        return None, 0.0


def _write(path: str, url: str, document: dict[str, object]) -> None:
    fields = {"format_version": FORMAT_VERSION, "url": url, "fetched": int(time.time()), "document": document}
    try:
        private_files.replace(path, (json.dumps(fields, indent=1) + "\n").encode())
    except errors.DeviceLoginError as error:
        _logger.debug("the discovery document could not be kept: %s", error.code)
