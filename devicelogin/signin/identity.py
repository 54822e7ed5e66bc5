"""Whom the ID token of a refresh names: an unverified look at who it is, for comparing with the saved account (D7).

The signature was checked at login. A refresh is answered by the endpoint that was trusted then; this only notices a mix-up.
It is apart from the check because every refresh comes here, and the check brings a whole library of cryptography along.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devicelogin import models


def names_same_person(id_token: str, account: models.Account) -> bool:
    """Tell whether `id_token` names `account`; one that cannot be read says nothing about anybody and does not object."""
    try:
        payload = id_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError, RecursionError):
        return True
    if not isinstance(claims, dict):
        return True
    if account.tenant_id and account.object_id and claims.get("oid") and claims.get("tid"):
        return (str(claims["tid"]).lower(), str(claims["oid"]).lower()) == account.key
    return (claims.get("iss"), claims.get("sub")) == (account.issuer, account.subject)
