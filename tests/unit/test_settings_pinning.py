"""What a sign-in was made with cannot be changed from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devicelogin import errors, models, settings
from devicelogin.settings import resolve

if TYPE_CHECKING:
    from pathlib import Path

APP = "1f6c2f0e-0000-4000-8000-000000000001"
OTHER = "1f6c2f0e-0000-4000-8000-000000000002"


def signed_in(**changes: object) -> models.SignIn:
    """Return a sign-in of tenant contoso.com with Graph's ordinary root."""
    facts: dict[str, object] = {
        "state": "saved",
        "account": models.Account(username="ada@contoso.com", name="Ada", issuer="i", subject="s"),
        "client_id": APP,
        "authority": "https://login.microsoftonline.com/contoso.com",
        "is_oidc": False,
        "issuer": "https://login.microsoftonline.com/x/v2.0",
        "graph_root": "https://graph.microsoft.com",
        "scopes": ("User.Read",),
        "granted_scopes": ("User.Read",),
        "location": models.StoreLocation(kind="file"),
    }
    return models.SignIn(**(facts | changes))  # type: ignore[arg-type]


def check(
    tmp_path: Path,
    sign_in: models.SignIn,
    *,
    flags: dict[str, object] | None = None,
    environ: dict[str, str] | None = None,
    saved: dict[str, object] | None = None,
    profile: str = "default",
) -> None:
    """Check the settings that these three levels give against `sign_in`."""
    paths = settings.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of(profile)
    settings.write_profile(paths, saved or {})
    settings.check_pinned(resolve.resolve(paths, flags or {}, environ or {}, for_login=False), sign_in)


def test_defaults_never_conflict(tmp_path: Path) -> None:
    """A sign-in with everything of its own and no setting at all."""
    check(tmp_path, signed_in(authority="https://login.example:8443/x", graph_root="https://graph.example"))


@pytest.mark.parametrize(
    "environ",
    [
        {"DEVICELOGIN_TENANT": "contoso.com"},
        {"DEVICELOGIN_TENANT": "CONTOSO.com"},
        {"DEVICELOGIN_AUTHORITY": "https://LOGIN.microsoftonline.com:443/contoso.com/"},
        {"DEVICELOGIN_CLIENT_ID": APP.upper()},
        {"DEVICELOGIN_GRAPH_ROOT": "https://GRAPH.microsoft.com/"},
        {"DEVICELOGIN_SCOPE": "Mail.Read", "DEVICELOGIN_MIN_VALID": "5", "DEVICELOGIN_STORE": "file"},
        {"AZURE_CLIENT_ID": OTHER, "AZURE_TENANT_ID": "fabrikam.com"},
    ],
)
def test_the_same_in_other_words_is_no_conflict(tmp_path: Path, environ: dict[str, str]) -> None:
    """Case of host and GUID, the default port and a slash at the end make no difference; nor do Azure's variables."""
    check(tmp_path, signed_in(), environ=environ)


CONFLICTS = [
    ("client_id", OTHER, APP),
    ("tenant", "fabrikam.com", "https://login.microsoftonline.com/contoso.com"),
    ("tenant", "organizations", "https://login.microsoftonline.com/contoso.com"),
    ("authority", "https://login.microsoftonline.us/contoso.com", "https://login.microsoftonline.com/contoso.com"),
    (
        "authority",
        "https://login.microsoftonline.com:8443/contoso.com",
        "https://login.microsoftonline.com/contoso.com",
    ),
    ("oidc_issuer", "https://evil.example/contoso.com", "https://login.microsoftonline.com/contoso.com"),
    ("graph_root", "https://graph.evil.example", "https://graph.microsoft.com"),
    ("graph_root", "https://graph.microsoft.com:8443", "https://graph.microsoft.com"),
    ("graph_root", "https://graph.example", "https://graph.microsoft.com"),
]


@pytest.mark.parametrize(("key", "given", "pinned"), CONFLICTS)
@pytest.mark.parametrize("level", ["flag", "environment", "profile"])
def test_a_setting_that_differs_is_78_and_names_its_source_and_both_values(
    tmp_path: Path, level: str, key: str, given: str, pinned: str
) -> None:
    """Wherever it was slipped in, no token is sent there."""
    if level == "environment":
        levels: dict[str, dict[str, object]] = {"environ": {resolve.VARIABLES[key]: given}}
        source, undo = f"environment variable {resolve.VARIABLES[key]}", f"unset {resolve.VARIABLES[key]}"
    elif level == "flag":
        levels = {"flags": {key: given}}
        source, undo = resolve.FLAGS[key], f"leave out {resolve.FLAGS[key]}"
    else:
        levels = {"saved": {key: given}}
        source, undo = f"profile {tmp_path}/config/work.toml", "put the old value back"
    with pytest.raises(errors.ConfigError) as caught:
        check(tmp_path, signed_in(), profile="work", **levels)  # type: ignore[arg-type]
    for part in (source, given, pinned):
        assert part in caught.value.message
    assert undo in (caught.value.hint or "")
    assert "devicelogin login --profile work" in (caught.value.hint or "")


def test_an_issuer_is_not_an_authority_of_the_same_url(tmp_path: Path) -> None:
    """The same URL read in another way has other endpoints."""
    sign_in = signed_in(authority="https://login.example/x", is_oidc=True)
    check(tmp_path, sign_in, flags={"oidc_issuer": "https://login.example/x/"})
    with pytest.raises(errors.ConfigError, match=r"an Entra authority of --authority .* an OpenID issuer"):
        check(tmp_path, sign_in, flags={"authority": "https://login.example/x"})


def test_a_path_differs_by_case(tmp_path: Path) -> None:
    """Hosts have no case, paths do."""
    with pytest.raises(errors.ConfigError):
        check(tmp_path, signed_in(authority="https://h.example/x"), flags={"authority": "https://h.example/X"})


def test_a_sign_in_without_graph_gets_none_later(tmp_path: Path) -> None:
    """A Graph root cannot be added to a sign-in that was made without one."""
    with pytest.raises(errors.ConfigError, match="saved sign-in, none"):
        check(tmp_path, signed_in(graph_root=""), environ={"DEVICELOGIN_GRAPH_ROOT": "https://graph.example"})


def test_the_nearest_level_is_the_one_that_counts(tmp_path: Path) -> None:
    """A flag that agrees overrules a profile that does not, as everywhere."""
    check(tmp_path, signed_in(), flags={"tenant": "contoso.com"}, saved={"tenant": "fabrikam.com"})
