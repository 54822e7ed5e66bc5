"""The files `sign-in` and `times`: what is written is read, what is damaged is said, what is newer is not guessed at."""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from devicelogin import errors, models, secret_store
from devicelogin.settings import paths

if TYPE_CHECKING:
    from pathlib import Path

SIGN_IN = models.SignIn(
    state="saved",
    account=models.Account(
        username="ada@contoso.com",
        name="Ada Łovelace",
        issuer="https://login.microsoftonline.com/t/v2.0",
        subject="s",
        home_account_id="o.t",
        tenant_id="t",
        object_id="o",
    ),
    client_id="c",
    authority="https://login.microsoftonline.com/organizations",
    is_oidc=False,
    issuer="https://login.microsoftonline.com/t/v2.0",
    graph_root="https://graph.microsoft.com",
    scopes=("User.Read", "Mail.Send"),
    granted_scopes=("User.Read",),
    location=models.StoreLocation(kind="keyring", backend="a.B", service="devicelogin", user="default"),
)


@pytest.fixture
def profile(tmp_path: Path) -> paths.ProfilePaths:
    """The paths of a profile that is not the default one."""
    return paths.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("work")


def rewrite(path: str, **changes: Any) -> None:
    """Change fields of a JSON file of ours; None takes one away."""
    with open(path, encoding="ascii") as file:
        data = json.load(file)
    data = {name: value for name, value in {**data, **changes}.items() if value is not None}
    with open(path, "w", encoding="ascii") as file:
        json.dump(data, file)


def test_a_trace_comes_back_and_goes(profile: paths.ProfilePaths) -> None:
    """Both files come back as they were written, with and without optional fields, and removing them twice is fine."""
    assert secret_store.read_sign_in(profile) is None
    assert secret_store.read_times(profile) is None
    times = models.Times(generation=3, made=1, last_refreshed=2)
    oidc = dataclasses.replace(
        SIGN_IN,
        state="pending",
        is_oidc=True,
        account=dataclasses.replace(SIGN_IN.account, tenant_id=None, object_id=None),
        location=models.StoreLocation(kind="file", key="file", bind="none"),
    )
    for sign_in in (SIGN_IN, oidc):
        secret_store.write_sign_in(profile, sign_in)
        secret_store.write_times(profile, times)
        assert secret_store.read_sign_in(profile) == sign_in
        assert secret_store.read_times(profile) == times
    for _ in range(2):
        secret_store.remove_sign_in(profile)
        assert os.listdir(profile.state) == []


def test_fields_of_a_later_program_are_ignored(profile: paths.ProfilePaths) -> None:
    """A field that this version does not know is no damage, in any of the objects."""
    secret_store.write_sign_in(profile, SIGN_IN)
    account = {**dataclasses.asdict(SIGN_IN.account), "shoe_size": 39}
    location = {**dataclasses.asdict(SIGN_IN.location), "vault": "x"}
    rewrite(profile.sign_in, account=account, location=location, new_field=[1])
    assert secret_store.read_sign_in(profile) == SIGN_IN


def test_a_newer_format_is_65_and_says_so(profile: paths.ProfilePaths) -> None:
    """Format version 2 is not guessed at, and the file is kept."""
    secret_store.write_sign_in(profile, SIGN_IN)
    rewrite(profile.sign_in, format_version=2)
    with pytest.raises(errors.DataBadError, match="newer version") as caught:
        secret_store.read_sign_in(profile)
    assert caught.value.exit_code == 65
    assert os.path.exists(profile.sign_in)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "halfway"},
        {"state": None},
        {"format_version": None},
        {"format_version": "1"},
        {"format_version": True},
        {"account": "ada"},
        {"account": {}},
        {"account": {**dataclasses.asdict(SIGN_IN.account), "tenant_id": 5}},
        {"location": None},
        {"location": {"kind": None}},
        {"scopes": "User.Read"},
        {"granted_scopes": [1]},
        {"is_oidc": "no"},
        {"client_id": 12},
    ],
)
def test_a_trace_of_the_wrong_shape_is_65_with_the_login_of_its_profile(
    profile: paths.ProfilePaths, changes: dict[str, Any]
) -> None:
    """A missing field or one of another type is damage: one line, and the command for this very profile."""
    secret_store.write_sign_in(profile, SIGN_IN)
    rewrite(profile.sign_in, **changes)
    with pytest.raises(errors.DataBadError, match="is damaged") as caught:
        secret_store.read_sign_in(profile)
    assert caught.value.hint == "sign in again: devicelogin login --profile work"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format_version": 1}'])
def test_whatever_else_stands_there_is_65_and_for_times_nothing(profile: paths.ProfilePaths, content: bytes) -> None:
    """Junk is damage in `sign-in`; in `times`, which only informs, it is as if there were none."""
    secret_store.write_sign_in(profile, SIGN_IN)
    for path in (profile.sign_in, profile.times):
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, 0o600)
    with pytest.raises(errors.DataBadError):
        secret_store.read_sign_in(profile)
    assert secret_store.read_times(profile) is None


def test_the_trace_is_private(profile: paths.ProfilePaths) -> None:
    """0600, as everything of ours; who is signed in is nobody else's business."""
    secret_store.write_sign_in(profile, SIGN_IN)
    assert os.stat(profile.sign_in).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("moment", [10**15, -1, True, 1.5, "1", None])
@pytest.mark.parametrize("name", ["made", "last_refreshed"])
def test_a_moment_that_is_none_makes_the_times_unknown(profile: paths.ProfilePaths, name: str, moment: object) -> None:
    """No calendar has the year 31690708: status says less, and does not end as a bug."""
    fields = {"format_version": 1, "generation": 1, "made": 1, "last_refreshed": 2}
    os.makedirs(profile.state, mode=0o700)
    with open(profile.times, "w", encoding="utf-8") as file:
        json.dump({**fields, name: moment}, file)
    assert secret_store.read_times(profile) is None
