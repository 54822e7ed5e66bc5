"""A profile is read strictly: everything wrong with it ends with 78 and says where."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import conftest
import pytest
from conftest import repetitions
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devicelogin import errors, settings
from devicelogin.settings import profile, resolve

EVERY_KEY = """
client_id = "1f6c2f0e-0000-4000-8000-000000000001"
tenant = "contoso.com"
scopes = ["User.Read", "Mail.Read"]
also = ["https://outlook.office.com/SMTP.Send"]
default_scope = false
graph_root = "https://graph.microsoft.us"
ca_file = "ca.pem"
min_valid = 600
store = "keyring:module.Class"
key = ["/usr/bin/pass", "show", "devicelogin"]
bind = "none"
cache = "off"
on_code = ["/usr/bin/notify", "code"]
on_login_needed = ["/usr/bin/notify"]
remote_login = true
remote_login_hours = "08:00-18:00"
"""


@pytest.fixture
def paths(tmp_path: Path) -> settings.ProfilePaths:
    """The default profile in a directory of its own."""
    found = settings.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")
    Path(found.profile_file).parent.mkdir(mode=0o700)
    return found


def written(paths: settings.ProfilePaths, content: str | bytes) -> settings.ProfilePaths:
    """Put `content` into the profile file."""
    file = Path(paths.profile_file)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(0o600)
    return paths


def test_a_missing_profile_is_an_empty_one(paths: settings.ProfilePaths) -> None:
    """Built-in defaults work without any file (A02)."""
    assert settings.read_profile(paths).values == {}


def test_every_key_of_the_design_is_known(paths: settings.ProfilePaths) -> None:
    """All keys are read and used."""
    Path(paths.places.config, "ca.pem").touch()
    found = resolve.resolve(written(paths, EVERY_KEY), {}, {}, for_login=False)
    source = f"profile {paths.profile_file}"
    assert set(settings.read_profile(paths).values) == set(profile.KEYS) - {"authority", "oidc_issuer"}
    assert found.client_id.value == "1f6c2f0e-0000-4000-8000-000000000001"
    assert found.authority_url.value == "https://login.microsoftonline.com/contoso.com"
    assert found.scopes.value == ("User.Read", "Mail.Read")
    assert found.graph_root.value == "https://graph.microsoft.us"
    assert found.ca_file.value == f"{paths.places.config}/ca.pem"
    assert (found.min_valid.value, found.store.value) == (600, "keyring:module.Class")
    assert (found.key.value, found.bind.value) == (("/usr/bin/pass", "show", "devicelogin"), "none")
    assert (found.cache.value, found.remote_login.value) == ("off", True)
    assert found.on_code.value == ("/usr/bin/notify", "code")
    assert found.on_login_needed.value == ("/usr/bin/notify",)
    assert found.remote_login_hours.value == "08:00-18:00"
    given = [value for value in vars_of(found) if isinstance(value, settings.Value) and value is not found.qr]
    assert {value.source for value in given} == {source}


def vars_of(found: settings.Settings) -> list[object]:
    """Return the values of all fields."""
    return [getattr(found, name) for name in found.__dataclass_fields__]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("client_id", 1),
        ('a = "x"\nb = ', 2),
        ('tenant = "x"\n\n\ntenant = "y"', 4),
        ("# fine\nstore = file\n", 2),
        ('tenant = "unclosed\n', 1),
        ("min_valid = 12_", 1),
        (b'tenant = "x"\n# \xff\xfe', 2),
        (b"\xff\xfet\x00e\x00", 1),
        (b"a\0b", 1),
        ('x = "' + "\x1b" + '"', 1),
    ],
)
def test_a_syntax_error_names_file_line_and_reason(
    paths: settings.ProfilePaths, content: str | bytes, line: int
) -> None:
    """78, file:line: reason, and the file is left as it is (A03)."""
    before = Path(written(paths, content).profile_file).read_bytes()
    with pytest.raises(errors.ConfigError) as caught:
        settings.read_profile(paths)
    place, _, reason = caught.value.message.partition(f":{line}: ")
    assert place == paths.profile_file
    assert len(reason) > 5
    assert caught.value.message.isprintable()
    with pytest.raises(errors.ConfigError):
        settings.write_profile(paths, {"store": "file"})
    assert Path(paths.profile_file).read_bytes() == before


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("tennant", "tenant"),
        ("client-id", "client_id"),
        ("scope", "scopes"),
        ("graphroot", "graph_root"),
        ("Store", "store"),
        ("CLIENT_ID", "client_id"),
        ("min_vaild", "min_valid"),
        ("oidc_isuer", "oidc_issuer"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(paths: settings.ProfilePaths, key: str, meant: str) -> None:
    """A slip of the finger does not silently leave a setting out."""
    written(paths, f'# heading\nbind = "none"\n{key} = "x"\n')
    with pytest.raises(errors.ConfigError, match=f":3: unknown key '{key}'") as caught:
        settings.read_profile(paths)
    assert caught.value.hint == f"the nearest known key is {meant}"


@pytest.mark.parametrize("content", ["zzzzzz = 1", "[zzzzzz]\na = 1", "[[zzzzzz]]", "zzzzzz.a = 1", '"zzzzzz" = 1'])
def test_a_key_near_to_nothing_lists_the_known_ones(paths: settings.ProfilePaths, content: str) -> None:
    """Tables are unknown keys too."""
    with pytest.raises(errors.ConfigError, match="unknown key 'zzzzzz'") as caught:
        settings.read_profile(written(paths, content))
    assert "oidc_issuer" in (caught.value.hint or "")


def test_a_monstrous_key_does_not_fill_the_screen(paths: settings.ProfilePaths) -> None:
    """What a file says is shown in short."""
    with pytest.raises(errors.ConfigError, match="unknown key") as caught:
        settings.read_profile(written(paths, "k" * 5000 + " = 1"))
    assert len(caught.value.message) < len(paths.profile_file) + 120


WRONG_TYPES = ["1", "1.5", "true", '"x"', "[1]", '["x"]', "1979-05-27", "{ a = 1 }", '["x", 1]', "[]"]
RIGHT_TYPES = {
    **{key: {'"x"'} for key in profile.KEYS},
    **{key: {'["x"]', "[]"} for key in ("scopes", "also", "on_code", "on_login_needed")},
    "key": {'"x"', '["x"]', "[]"},
    "min_valid": {"1"},
    "remote_login": {"true"},
    "default_scope": {"true"},
}


@pytest.mark.parametrize("key", profile.KEYS)
def test_a_value_of_the_wrong_type_says_the_right_one(paths: settings.ProfilePaths, key: str) -> None:
    """Every key against every type of TOML: accepted exactly where the type fits."""
    for value in WRONG_TYPES:
        written(paths, f"{key} = {value}\n")
        if value in RIGHT_TYPES[key]:
            assert key in settings.read_profile(paths).values
            continue
        with pytest.raises(errors.ConfigError, match=f":1: {key} has a value of the wrong type") as caught:
            settings.read_profile(paths)
        assert (caught.value.hint or "").startswith("it is ")


@pytest.mark.parametrize("pair", [("tenant", "authority"), ("tenant", "oidc_issuer"), ("authority", "oidc_issuer")])
def test_two_identity_providers_in_one_profile_are_78(paths: settings.ProfilePaths, pair: tuple[str, str]) -> None:
    """Which one wins is nobody's guess."""
    written(paths, f'{pair[0]} = "a"\n{pair[1]} = "b"\n')
    with pytest.raises(errors.ConfigError, match=f"{pair[0]} and {pair[1]} exclude each other"):
        settings.read_profile(paths)


@pytest.mark.parametrize(("mode", "fine"), [(0o600, True), (0o644, True), (0o620, False), (0o602, False)])
def test_others_may_read_a_profile_but_not_write_it(paths: settings.ProfilePaths, mode: int, fine: bool) -> None:
    """It holds no secret, but it says where tokens go (A04)."""
    Path(written(paths, "").profile_file).chmod(mode)
    if fine:
        assert settings.read_profile(paths).values == {}
        return
    with pytest.raises(errors.ConfigError, match="others may write"):
        settings.read_profile(paths)


def test_a_profile_directory_others_may_write_into_is_refused(paths: settings.ProfilePaths) -> None:
    """Who may write into the directory may replace the file (A06)."""
    Path(written(paths, "").profile_file).parent.chmod(0o777)
    with pytest.raises(errors.ConfigError, match="others may write into"):
        settings.read_profile(paths)


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_profile_of_somebody_else_is_refused(paths: settings.ProfilePaths, what: str) -> None:
    """Neither file nor directory may be another user's."""
    conftest.need_root("give a file away")
    file = Path(written(paths, "").profile_file)
    os.chown(file if what == "file" else file.parent, 12345, 12345)
    with pytest.raises(errors.ConfigError, match="belongs to user id 12345"):
        settings.read_profile(paths)


def test_a_link_in_place_of_a_profile_is_refused(paths: settings.ProfilePaths, tmp_path: Path) -> None:
    """Links are not followed."""
    (tmp_path / "real.toml").write_text("")
    Path(paths.profile_file).symlink_to(tmp_path / "real.toml")
    with pytest.raises(errors.ConfigError, match="is a link"):
        settings.read_profile(paths)


def test_a_number_too_large_and_a_list_too_deep_are_78(paths: settings.ProfilePaths) -> None:
    """Python's own limits are not a crash."""
    for content in ("min_valid = " + "9" * 5000, "scopes = " + "[" * 20000):
        with pytest.raises(errors.ConfigError):
            settings.read_profile(written(paths, content))


_LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.builds("{} = {}".format, st.sampled_from([*profile.KEYS, "x"]), st.sampled_from([*WRONG_TYPES, '"', ""])),
    ),
    max_size=6,
).map(lambda lines: "\n".join(lines).encode(errors="surrogatepass"))


@hypothesis_settings(max_examples=repetitions(3000), deadline=None, database=None)
@given(st.one_of(st.binary(max_size=200), _LINES))
@example(b"\xef\xbb\xbftenant = 'x'")
@example(b"min_valid = -1")
@example(b"ca_file = '\\u0000'")
@example(b'ca_file = "\\u0000"')
def test_random_bytes_give_settings_or_a_config_error_on_one_line(content: bytes) -> None:
    """Whatever stands in a profile: never another exception, never a control character in the message (A03)."""
    with tempfile.TemporaryDirectory() as directory:
        paths = settings.locate({"DEVICELOGIN_HOME": directory}).of("default")
        Path(paths.profile_file).parent.mkdir(mode=0o700)
        shown = ["fine"]
        try:
            resolve.resolve(written(paths, content), {}, {}, for_login=True)
        except errors.ConfigError as error:
            shown = [error.message, error.hint or ""]
        assert all(line and line.isprintable() for line in shown)
        assert Path(paths.profile_file).read_bytes() == content
