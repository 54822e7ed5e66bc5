"""The provider's published signing keys, as they came: fetched before a person is asked, read by `id_token` while they type.

Reading keys takes the import of cryptography, a third of what `login` needs until its code is on the screen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devicelogin import errors, models

if TYPE_CHECKING:
    from devicelogin.authority import Provider
    from devicelogin.http_session import HttpSession

#: How many keys do we look at?
_MOST_KEYS = 200


@models.short_record
class Published:
    """The entries of a JWK Set (RFC 7517) that are for signatures, of a kind that ID tokens are signed with."""

    entries: tuple[dict[str, Any], ...]
    host: str
    uri: str

    def none_to_use(self) -> errors.BadAnswerError:
        """Return the error for a provider without a key that we could use."""
        return errors.BadAnswerError(
            f"{self.host} publishes no keys by which a sign-in could be checked",
            hint=f"open it in a browser to see what answers there: {self.uri}",
        )


def request_keys(http: HttpSession, provider: Provider) -> Published:
    """Fetch the provider's signing keys. Raises BadAnswerError where it publishes none."""
    answer = http.get_json(provider.jwks_uri, headers={"Accept": "application/json"})
    listed = answer.body.get("keys")
    entries = tuple(
        entry
        for entry in (listed[:_MOST_KEYS] if answer.status == 200 and isinstance(listed, list) else ())
        if isinstance(entry, dict) and entry.get("use") in (None, "sig") and entry.get("kty") in {"RSA", "EC", "OKP"}
    )
    published = Published(entries, answer.host, provider.jwks_uri)
    if not entries:
        raise published.none_to_use()
    return published
