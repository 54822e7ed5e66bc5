"""What a person reads when a sign-in has worked: who, where it is kept, how long it lasts, cron, and what comes next."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devicelogin import hints, redaction, resources, user_session
from devicelogin.client import reporting
from devicelogin.unattended import forecast

if TYPE_CHECKING:
    from devicelogin import client, models

#: How long may what the provider calls a person or itself be (characters)?
_LONGEST = 80

#: With which permissions does Graph answer `/me`?
_READS_ME = frozenset({"user.read", "user.readwrite", "user.readbasic.all", "user.read.all", "user.readwrite.all"})

#: What seals the file, by the source of its key?
_SEALED_BY = {
    "file": "a key on the same disk",
    "credential": "a systemd credential",
    "command": "the key that a command prints",
    "passphrase": "your passphrase",
}


def lines(work: client.Workplace, sign_in: models.SignIn, *, stays: bool) -> list[str]:
    """Return the sentences, of which each fits a line of 80 columns where names are short and it can be helped.

    `stays`: False where the sign-in does not outlive this command, so that nothing is to be said of cron.
    """
    told = [_who(sign_in), f"Kept in {_where(sign_in.location, work)} (limits: devicelogin status)."]
    expected = forecast.forecast(reporting.read_status(work))
    if expected.words is not None:
        how_long = "How long it lasts:" if expected.level == "unknown" else "It lasts"
        told.append(f"{how_long} {expected.words}.")
    if stays:
        told.append(_cron(sign_in, work))
    return [*told, _next(sign_in, work)]


def _who(sign_in: models.SignIn) -> str:
    account = sign_in.account
    who = _shown(account.username)
    if account.shown_name:
        who += f" ({_shown(account.shown_name)})"
    tenant = (account.tenant_id or "").lower()
    if tenant == reporting.PERSONAL_TENANT:
        return f"Signed in as {who}, a personal Microsoft account."
    return f"Signed in as {who}, {f'tenant {_shown(tenant)}' if tenant else f'at {_shown(sign_in.issuer)}'}."


def _where(location: models.StoreLocation, work: client.Workplace) -> str:
    if location.kind == "file":
        if location.key == "file" and not _share_a_disk(work.paths.key_file, work.paths.record):
            return "a file sealed by a key on another file system"
        return f"a file sealed by {_SEALED_BY.get(location.key or '', 'a key')}"
    if location.kind == "keyring":
        from devicelogin.doctor import durability

        return "the OS keyring, " + (
            "which has no password" if durability.is_open(location) else "encrypted on the disk"
        )
    return f"the keyring backend {_shown(location.kind.removeprefix('keyring:'))}"


def _share_a_disk(one: str, other: str) -> bool:
    try:
        return os.stat(one).st_dev == os.stat(other).st_dev
    except OSError:
        return True  # nothing better is known


def _cron(sign_in: models.SignIn, work: client.Workplace) -> str:
    """Return whether cron's jobs can use it, or how to find out: a keyring may be locked, a command may ask somebody."""
    find_out = hints.command("doctor --as-cron", work.profile)
    if sign_in.location.key == "passphrase":
        return "Cron cannot use it: the passphrase has to be typed."
    if sign_in.location.key != "file":
        return f"Whether cron can use it: {find_out}"
    from devicelogin.doctor import durability, scheduler

    found = scheduler.find()
    if found.name is None:
        why = str(found.remark)
        return f"{why[:1].upper()}{why[1:]}; devicelogin token works without a person."
    who = "Cron" if found.name == "cron" else "A systemd timer"
    ca_file = work.settings().ca_file.value
    lack = _lack_of_jobs(by_cron=found.name == "cron", ca_file=ca_file)
    if lack is not None:
        return f"{who} {lack}: {find_out}"
    outlooks = durability.of_sign_in(sign_in, work.paths, os.environ, ca_file=ca_file)
    end = durability.first_end(outlooks)
    if end is not None:
        return f"{who} can use it {end}: {find_out}"
    return f"{who} can use it." if found.remark is None else f"{who} can use it, but {found.remark}."


def _lack_of_jobs(*, by_cron: bool, ca_file: str | None) -> str | None:
    """Return what keeps a job from doing as this session does: it looks elsewhere, or has no proxy; None for nothing."""
    from devicelogin.doctor import crontab

    job = user_session.cron_environment()
    if by_cron and (
        crontab.missing_places(os.environ, job) or crontab.missing_others(os.environ, job, ca_file=ca_file)
    ):
        job = crontab.environment()  # the crontab may have the lines; only now is it worth reading
    if crontab.missing_places(os.environ, job):
        return "looks for it elsewhere"
    names = [line.partition("=")[0] for line in crontab.missing_others(os.environ, job, ca_file=ca_file)]
    # What `login` takes from its own variables is in the profile now.
    lacking = next((name for name in names if not name.startswith("DEVICELOGIN_")), None)
    return None if lacking is None else f"lacks this session's {lacking}"


def _next(sign_in: models.SignIn, work: client.Workplace) -> str:
    """Return what these scopes allow, and the token of another API where the profile has one."""
    words = "status"
    if sign_in.graph_root and any(_reads_me(scope, sign_in.graph_root) for scope in sign_in.granted_scopes):
        words = "graph me"
    also = work.settings(for_login=True).also.value
    if also:
        words = f"token {resources.options(also[:1])}"
    return f"Next: {hints.command('token', work.profile)}, or {hints.command(words, work.profile)}"


def _reads_me(scope: str, graph_root: str) -> bool:
    """Tell whether `scope` is one of Graph's by which people read who they are themselves."""
    name = scope.rpartition("/")[2].lower()
    return resources.of(scope, graph_root) == resources.GRAPH and (name in _READS_ME or name == resources.DEFAULT)


def _shown(text: str) -> str:
    return redaction.printable(text, limit=_LONGEST)
