"""Flag > environment > profile > default, and every value knows its source."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from conftest import repetitions
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devicelogin import errors, settings
from devicelogin.settings import resolve

APP = "1f6c2f0e-0000-4000-8000-00000000000{}"

# Setting: what each level says (flag, environment, profile, default), and the field it ends in.
MATRIX: dict[str, tuple[str, list[object], list[object]]] = {
    "client_id": (
        "client_id",
        [APP.format(1), APP.format(2), APP.format(3)],
        [APP.format(n) for n in (1, 2, 3)] + [None],
    ),
    "tenant": (
        "authority_url",
        ["a.example", "b.example", "c.example"],
        [f"https://login.microsoftonline.com/{t}" for t in ("a.example", "b.example", "c.example", "organizations")],
    ),
    "graph_root": (
        "graph_root",
        ["https://a", "https://b", "https://c"],
        ["https://a", "https://b", "https://c", None],
    ),
    "min_valid": ("min_valid", [1, "2", 3], [1, 2, 3, None]),
    "store": ("store", ["keyring", "file", "keyring:a.B"], ["keyring", "file", "keyring:a.B", "auto"]),
}


@pytest.fixture
def paths(tmp_path: Path) -> settings.ProfilePaths:
    """The default profile in a directory of its own."""
    return settings.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")


def test_without_anything_given_every_value_is_the_default(paths: settings.ProfilePaths) -> None:
    """Without anything given, every value is the default and says so."""
    found = resolve.resolve(paths, {}, {}, for_login=False)
    values = [getattr(found, name) for name in found.__dataclass_fields__]
    assert {value.source for value in values if isinstance(value, settings.Value)} == {"default"}
    assert not any(value.explicit for value in values if isinstance(value, settings.Value))
    assert found.authority_url.value == "https://login.microsoftonline.com/organizations"
    assert (found.is_oidc, found.scopes.value, found.client_id.value) == (False, ("User.Read",), None)
    assert (found.store.value, found.key.value, found.bind.value, found.cache.value) == ("auto", "file", None, "on")
    assert (found.qr.value, found.remote_login.value, found.notes, found.profile) == ("auto", False, (), "default")


@pytest.mark.parametrize("setting", MATRIX)
@pytest.mark.parametrize("given_at", list(itertools.product([True, False], repeat=3)))
def test_the_nearest_level_wins_and_is_named(
    paths: settings.ProfilePaths, setting: str, given_at: tuple[bool, bool, bool]
) -> None:
    """Every combination of flag, environment and profile, for one setting of every kind."""
    field, (flag, variable, saved), results = MATRIX[setting]
    if given_at[2]:
        settings.write_profile(paths, {setting: saved})
    flags = {setting: flag} if given_at[0] else {setting: None}
    environ = {resolve.VARIABLES[setting]: str(variable)} if given_at[1] else {}
    found = getattr(resolve.resolve(paths, flags, environ, for_login=True), field)
    sources = [
        resolve.FLAGS[setting],
        f"environment variable {resolve.VARIABLES[setting]}",
        f"profile {paths.profile_file}",
        "default",
    ]
    winner = given_at.index(True) if any(given_at) else 3
    assert (found.value, found.source) == (results[winner], sources[winner])


_TENANTS = st.none() | st.sampled_from(["organizations", "a.example", "b.example"])
_STORES = st.none() | st.sampled_from(["keyring", "file"])


@hypothesis_settings(max_examples=repetitions(1000), deadline=None, database=None)
@given(st.tuples(_TENANTS, _TENANTS, _TENANTS), st.tuples(_STORES, _STORES, _STORES))
def test_settings_do_not_disturb_each_other(tenants: tuple[str | None, ...], stores: tuple[str | None, ...]) -> None:
    """Two settings given at any levels are each what the nearest level says."""
    with tempfile.TemporaryDirectory() as directory:
        paths = settings.locate({"DEVICELOGIN_HOME": directory}).of("default")
        settings.write_profile(paths, {"tenant": tenants[2], "store": stores[2]})
        flags = {"tenant": tenants[0], "store": stores[0]}
        environ = {"DEVICELOGIN_TENANT": tenants[1] or "", "DEVICELOGIN_STORE": stores[1] or ""}
        found = resolve.resolve(paths, flags, environ, for_login=True)
    tenant = next((given for given in tenants if given), "organizations")
    assert found.authority_url.value == f"https://login.microsoftonline.com/{tenant}"
    assert found.store.value == next((given for given in stores if given), "auto")


AUTHORITIES = {
    "tenant": ("contoso.com", "https://login.microsoftonline.com/contoso.com", False),
    "authority": ("https://Login.Example:443/Tenant/", "https://login.example/Tenant", False),
    "oidc_issuer": ("https://keys.example:8443/realms/Main/", "https://keys.example:8443/realms/Main", True),
}


@pytest.mark.parametrize(("near", "far"), list(itertools.product(AUTHORITIES, repeat=2)))
@pytest.mark.parametrize("level", ["flag over environment", "environment over profile", "flag over profile"])
def test_a_nearer_choice_of_provider_replaces_any_farther_one(
    paths: settings.ProfilePaths, level: str, near: str, far: str
) -> None:
    """A tenant on the command line is not mixed with an issuer in the profile."""
    flags, environ = {}, {}
    if "profile" in level:
        settings.write_profile(paths, {far: AUTHORITIES[far][0]})
    else:
        environ[resolve.VARIABLES[far]] = AUTHORITIES[far][0]
    if level.startswith("flag"):
        flags[near] = AUTHORITIES[near][0]
    else:
        environ[resolve.VARIABLES[near]] = AUTHORITIES[near][0]
    found = resolve.resolve(paths, flags, environ, for_login=True)
    assert (found.authority_url.value, found.is_oidc) == AUTHORITIES[near][1:]
    assert found.authority_key == near
    settings.write_profile(paths, found.profile_changes())
    again = resolve.resolve(paths, {}, {}, for_login=False)
    assert (again.authority_url.value, again.is_oidc) == AUTHORITIES[near][1:]
    assert again.scopes.value == (() if again.is_oidc else ("User.Read",))


@pytest.mark.parametrize("pair", list(itertools.combinations(AUTHORITIES, 2)))
def test_two_providers_at_one_level_exclude_each_other(paths: settings.ProfilePaths, pair: tuple[str, str]) -> None:
    """Two flags are 2, two variables are 78; both are named."""
    both = {key: AUTHORITIES[key][0] for key in pair}
    with pytest.raises(errors.UsageError, match=f"{resolve.FLAGS[pair[0]]} and {resolve.FLAGS[pair[1]]} exclude"):
        resolve.resolve(paths, both, {}, for_login=True)
    environ = {resolve.VARIABLES[key]: value for key, value in both.items()}
    with pytest.raises(errors.ConfigError, match=r"DEVICELOGIN_.* and .*DEVICELOGIN_.* exclude each other"):
        resolve.resolve(paths, {}, environ, for_login=True)


def test_an_empty_variable_counts_as_not_set(paths: settings.ProfilePaths) -> None:
    """`DEVICELOGIN_TENANT=` in a unit file does not hide the profile."""
    settings.write_profile(paths, {"tenant": "contoso.com"})
    environ = dict.fromkeys(resolve.VARIABLES.values(), "")
    found = resolve.resolve(paths, {"scopes": (), "client_id": None}, environ, for_login=True)
    assert found.authority_url.source == f"profile {paths.profile_file}"
    assert found.scopes.source == "default"


def test_an_empty_flag_is_an_error_not_a_gap(paths: settings.ProfilePaths) -> None:
    """`--client-id "$CLIENT"` with nothing in it must not fall back to the profile's app."""
    with pytest.raises(errors.ConfigError, match="--client-id"):
        resolve.resolve(paths, {"client_id": ""}, {}, for_login=True)


def test_scope_flags_add_to_the_profile_at_login_and_replace_later(paths: settings.ProfilePaths) -> None:
    """`login --scope` widens, `token --scope` chooses."""
    settings.write_profile(paths, {"scopes": ["User.Read", "Mail.Read"]})
    at_login = resolve.resolve(paths, {"scopes": ("mail.read", "Files.Read")}, {}, for_login=True).scopes
    assert at_login.value == ("User.Read", "Mail.Read", "Files.Read")
    assert at_login.source == f"--scope and profile {paths.profile_file}"
    later = resolve.resolve(paths, {"scopes": ("Files.Read",)}, {}, for_login=False).scopes
    assert (later.value, later.source) == (("Files.Read",), "--scope")


@pytest.mark.parametrize(
    ("given_scopes", "is_oidc", "left"),
    [
        (("openid", "profile", "offline_access", "Mail.Read"), False, ("User.Read", "Mail.Read")),
        (("OpenID",), False, ("User.Read",)),
        (("openid",), True, ()),
        (("a", "A", "a"), True, ("a", "A")),
        (("a", "A", "a"), False, ("User.Read", "a")),
        (("https://graph.microsoft.us/.default",), False, ("https://graph.microsoft.us/.default",)),
        (("api://1f6c2f0e/x", "urn:x:y"), True, ("api://1f6c2f0e/x", "urn:x:y")),
    ],
)
def test_reserved_and_double_scopes_are_left_out(
    paths: settings.ProfilePaths, given_scopes: tuple[str, ...], is_oidc: bool, left: tuple[str, ...]
) -> None:
    """MSAL adds openid, profile and offline_access itself and refuses them in the list."""
    flags: dict[str, object] = {"scopes": given_scopes}
    if is_oidc:
        flags["oidc_issuer"] = "https://keys.example/realms/x"
    assert resolve.resolve(paths, flags, {}, for_login=True).scopes.value == left


def test_the_scope_variable_is_separated_by_spaces(paths: settings.ProfilePaths) -> None:
    """DEVICELOGIN_SCOPE reads as the wire parameter does."""
    found = resolve.resolve(paths, {}, {"DEVICELOGIN_SCOPE": " User.Read  Mail.Read\topenid "}, for_login=False).scopes
    assert (found.value, found.source) == (("User.Read", "Mail.Read"), "environment variable DEVICELOGIN_SCOPE")


def test_azure_variables_fill_gaps_at_login_and_say_so(paths: settings.ProfilePaths) -> None:
    """On Azure machines they name something else, so no other command looks at them, and login tells."""
    environ = {"AZURE_CLIENT_ID": APP.format(7), "AZURE_TENANT_ID": "contoso.com"}
    later = resolve.resolve(paths, {}, environ, for_login=False)
    assert (later.client_id.value, later.authority_url.source, later.notes) == (None, "default", ())
    found = resolve.resolve(paths, {}, environ, for_login=True)
    assert (found.client_id.value, found.client_id.source) == (APP.format(7), "environment variable AZURE_CLIENT_ID")
    assert found.authority_url.value.endswith("/contoso.com")
    assert [name for note in found.notes for name in environ if name in note] == list(environ)
    for flags in ({"authority": "https://host/x"}, {"oidc_issuer": "https://host/x"}):
        nearer = resolve.resolve(paths, flags, environ, for_login=True)
        assert nearer.authority_url.value == "https://host/x"
        assert (nearer.client_id.value is None) is nearer.is_oidc
    settings.write_profile(paths, {"client_id": APP.format(1), "tenant": "a.example"})
    assert resolve.resolve(paths, {}, environ, for_login=True).notes == ()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DEVICELOGIN_TENNANT", "DEVICELOGIN_TENANT"),
        ("DEVICELOGIN_SCOPES", "DEVICELOGIN_SCOPE"),
        ("DEVICELOGIN_CLIENTID", "DEVICELOGIN_CLIENT_ID"),
        ("DEVICELOGIN_PROFIL", "DEVICELOGIN_PROFILE"),
    ],
)
def test_an_unknown_variable_of_ours_is_a_note_with_the_nearest_name(
    paths: settings.ProfilePaths, name: str, meant: str
) -> None:
    """A warning, not an error: a newer version may know it. Its value is not shown."""
    (note,) = resolve.resolve(paths, {}, {name: "hush"}, for_login=False).notes
    assert name in note
    assert note.endswith(f"did you mean {meant}?")
    assert "hush" not in note


def test_variables_of_hooks_and_others_are_no_surprise(paths: settings.ProfilePaths) -> None:
    """A hook that runs devicelogin again is not warned of what we set for it."""
    environ = {
        f"DEVICELOGIN_{name}": "x" for name in ("EVENT", "PROFILE", "CODE", "URI", "EXPIRES_AT", "QR_FILE", "REASON")
    }
    environ |= {"DEVICELOGIN_HOME": "/x", "DEVICELOGIN_SOAK": "1", "DEVICE": "x", "devicelogin_x": "x", "PATH": "/bin"}
    assert resolve.resolve(paths, {}, environ, for_login=True).notes == ()


@pytest.mark.parametrize(
    ("setting", "bad", "flag_exit"),
    [
        ("client_id", "my app", 78),
        ("tenant", "no tenant", 78),
        ("authority", "http://login.example/x", 78),
        ("oidc_issuer", "http://accounts.example", 78),
        ("graph_root", "graph.microsoft.com", 78),
        ("ca_file", "/nonexistent/ca.pem", 78),
        ("scopes", ("a b",), 2),
        ("min_valid", "soon", 2),
        ("store", "plaintext", 2),
        ("qr", "huge", 2),
    ],
)
def test_a_bad_value_names_where_it_stands(
    paths: settings.ProfilePaths, setting: str, bad: object, flag_exit: int
) -> None:
    """A flag, a variable and a profile each get their exit code, their name in the message, and a hint."""
    with pytest.raises(errors.DeviceLoginError, match=f" of {resolve.FLAGS[setting]}: ") as caught:
        resolve.resolve(paths, {setting: bad}, {}, for_login=True)
    assert (caught.value.exit_code, bool(caught.value.hint)) == (flag_exit, True)
    text = "a\x7fb" if isinstance(bad, tuple) else str(bad)
    with pytest.raises(errors.ConfigError, match=f" of environment variable {resolve.VARIABLES[setting]}: "):
        resolve.resolve(paths, {}, {resolve.VARIABLES[setting]: text}, for_login=True)
    if setting in ("qr", "min_valid"):
        return
    settings.write_profile(paths, {setting: list(bad) if isinstance(bad, tuple) else bad})
    with pytest.raises(errors.ConfigError, match=f" of profile {paths.profile_file}: "):
        resolve.resolve(paths, {}, {}, for_login=True)


def test_login_writes_what_later_commands_need(paths: settings.ProfilePaths, tmp_path: Path) -> None:
    """After login, the same settings come from the profile alone."""
    (tmp_path / "ca.pem").touch()
    flags = {"client_id": APP.format(1), "tenant": "contoso.com", "scopes": ("Mail.Read",), "min_valid": 9, "qr": "off"}
    environ = {"DEVICELOGIN_CA_FILE": f"{tmp_path}/ca.pem", "DEVICELOGIN_GRAPH_ROOT": "https://graph.microsoft.us"}
    first = resolve.resolve(paths, {**flags, "store": "file"}, environ, for_login=True)
    settings.write_profile(paths, first.profile_changes())
    later = resolve.resolve(paths, {}, {}, for_login=False)
    for name in ("client_id", "authority_url", "scopes", "graph_root", "ca_file", "store"):
        assert getattr(later, name) == settings.Value(getattr(first, name).value, f"profile {paths.profile_file}")
    assert (later.min_valid.explicit, later.qr.explicit) == (False, False)
    back = resolve.resolve(paths, {"store": "auto"}, {}, for_login=True)
    settings.write_profile(paths, back.profile_changes())
    assert "store" not in settings.read_profile(paths).values


def test_a_relative_ca_file_is_seen_from_where_it_was_written(
    paths: settings.ProfilePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flag's from the working directory, a profile's from beside the profile, `~/` from HOME."""
    settings.write_profile(paths, {"ca_file": "ca.pem"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for directory in (Path(paths.places.config), elsewhere, tmp_path):
        (directory / "ca.pem").touch()
    for flags, directory in (
        ({}, paths.places.config),
        ({"ca_file": "ca.pem"}, elsewhere),
        ({"ca_file": "~/ca.pem"}, tmp_path),
    ):
        found = resolve.resolve(paths, flags, {"HOME": str(tmp_path)}, for_login=False)
        assert found.ca_file.value == f"{directory}/ca.pem"


def test_a_flag_nobody_knows_is_a_bug_of_the_caller(paths: settings.ProfilePaths) -> None:
    """A misspelt name in our own code does not pass silently."""
    with pytest.raises(errors.InternalError, match="scope"):
        resolve.resolve(paths, {"scope": ("x",)}, {}, for_login=False)
