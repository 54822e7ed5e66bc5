"""What Entra's numbers (AADSTS) mean, in plain words, and what to do; the evidence stands in Microsoft's error code reference.

They may change at any time, so a number only chooses words, and whether a person or an administrator must act (D9).
"""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """The words for what happened and for what to do; `admin`: only an administrator can."""

    words: str
    hint: str
    admin: bool = False


#: `{login}` stands for the command that signs in to the profile.
AGAIN = "sign in again: {login}"
#: What helps whose `login` was refused just now? Not to type it again.
ASK = "ask who runs the identity provider about the code below"
_BLOCKED = "ask an administrator to exclude this app or user from that Conditional Access policy, naming the code below"
_CLIENT = (
    "check the Application (client) ID and the tenant in the app registration: {login} --client-id ID --tenant TENANT"
)

#: Entra's loop detection: the same request too often in a row.
LOOP = 50196

#: What the numbers mean; the evidence for each stands in Microsoft's error code reference.
KNOWN: dict[int, Advice] = {
    # the app registration
    7000218: Advice(
        "the app registration does not allow public client flows, which the device flow is",
        'its owner sets "Allow public client flows" to Yes (Entra admin center, App registrations, Authentication)',
    ),
    700016: Advice("the tenant does not know this app", _CLIENT),
    700025: Advice("the app registration is one for a web server, not a public client", _CLIENT),
    7000112: Advice(
        "the app is disabled in this tenant", "ask an administrator to enable the enterprise app", admin=True
    ),
    50194: Advice("the app is registered for one tenant only", "name it: {login} --tenant TENANT"),
    9002332: Advice("the app does not accept personal accounts", "name the tenant: {login} --tenant TENANT"),
    90133: Advice("this tenant name does not allow the device flow", "name the tenant: {login} --tenant TENANT"),
    50059: Advice("the tenant is not known from the request", "name it: {login} --tenant TENANT"),
    90002: Advice("there is no such tenant", "check the tenant's id or domain: {login} --tenant TENANT"),
    650057: Advice("the app registration does not list that permission", "add it under API permissions, then: {login}"),
    65005: Advice("the app registration does not list that permission", "add it under API permissions, then: {login}"),
    **dict.fromkeys(
        (28000, 700022),
        Advice(
            "the scopes belong to more than one API, and a token is for one",
            "sign in for one API at a time: {login} --scope SCOPE",
        ),
    ),
    # scopes
    70011: Advice(
        "one of the scopes is not valid",
        "check their spelling: {login} --scope SCOPE",
    ),
    28002: Advice("one of the scopes is not valid", "check their spelling: {login} --scope SCOPE"),
    500011: Advice(
        "the resource of the scope is not known in this tenant", "check the scope's address: {login} --scope SCOPE"
    ),
    # consent
    65001: Advice("a permission was not consented to", AGAIN),
    65004: Advice("consent was declined", "sign in again and accept: {login}"),
    90094: Advice(
        "the permission needs an administrator's consent",
        "ask an administrator to grant consent to the app",
        admin=True,
    ),
    90095: Advice(
        "an administrator has to approve the request for consent first",
        "wait for the approval, then: {login}",
        admin=True,
    ),
    # the refresh token is over
    700082: Advice(
        "its refresh token was not used for too long", AGAIN + "; a job that runs at least monthly keeps it alive"
    ),
    70043: Advice(
        "a policy limits how long a sign-in lasts",
        AGAIN + "; it will end again after the same time unless the policy changes",
    ),
    50173: Advice("it was revoked or the password was changed", AGAIN),
    50132: Advice("the session was ended by a password change or an administrator", AGAIN),
    50133: Advice("the session was ended by a password change", AGAIN),
    70008: Advice("its refresh token has expired or was revoked", AGAIN),
    70000: Advice("its refresh token is not valid any more", AGAIN),
    700084: Advice(
        "the app is registered as a single-page app, whose sign-ins end after a day",
        "register it as a mobile and desktop app, then: {login}",
    ),
    # more proof is wanted
    50072: Advice(
        "the account must set up multi-factor authentication", "do that at https://aka.ms/mfasetup, then: {login}"
    ),
    50079: Advice(
        "the account must set up multi-factor authentication", "do that at https://aka.ms/mfasetup, then: {login}"
    ),
    50074: Advice("multi-factor authentication is needed", AGAIN),
    50076: Advice("multi-factor authentication is needed", AGAIN),
    50078: Advice("the multi-factor authentication is too old", AGAIN),
    50158: Advice("another service's challenge has to be met", AGAIN),
    50055: Advice("the password has expired", "change it, then: {login}"),
    50144: Advice("the password has expired", "change it, then: {login}"),
    # only an administrator can help
    50057: Advice("the user account is disabled", "ask an administrator to enable it", admin=True),
    50105: Advice(
        "the user is not assigned to the app",
        "ask an administrator to assign the user to the enterprise app",
        admin=True,
    ),
    50053: Advice("the account is locked", "wait a while, or ask an administrator to unblock it", admin=True),
    50005: Advice("a policy does not allow this platform", _BLOCKED, admin=True),
    50097: Advice("a policy wants a registered device, which the device flow cannot prove", _BLOCKED, admin=True),
    50131: Advice("a Conditional Access policy refused", _BLOCKED, admin=True),
    53000: Advice("a policy wants a compliant device, which the device flow cannot prove", _BLOCKED, admin=True),
    53001: Advice("a policy wants a domain-joined device, which the device flow cannot prove", _BLOCKED, admin=True),
    53002: Advice("a policy wants another app", _BLOCKED, admin=True),
    53003: Advice("a Conditional Access policy blocks it", _BLOCKED, admin=True),
    53004: Advice("a policy blocks setting up multi-factor authentication", _BLOCKED, admin=True),
    53010: Advice("a policy blocks setting up multi-factor authentication from here", _BLOCKED, admin=True),
    53011: Advice("the account is blocked because it is at risk", _BLOCKED, admin=True),
    530004: Advice("the tenant does not accept that another one calls the device compliant", _BLOCKED, admin=True),
    530032: Advice("a security policy of the tenant blocks it", _BLOCKED, admin=True),
    530033: Advice("a Conditional Access policy blocks the device flow", _BLOCKED, admin=True),
    530034: Advice("a policy of the home tenant blocks it", _BLOCKED, admin=True),
    530035: Advice("the tenant's security defaults block it", _BLOCKED, admin=True),
    500021: Advice("tenant restrictions block it", _BLOCKED, admin=True),
    500212: Advice("a cross-tenant policy blocks it", _BLOCKED, admin=True),
    # loops
    LOOP: Advice("too many requests in a row", "wait some minutes; nothing was lost"),
}
