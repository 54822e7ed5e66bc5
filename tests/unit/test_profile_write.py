"""Writing a profile keeps what its owner wrote."""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path

import pytest
from conftest import repetitions
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from devicelogin import errors, settings
from devicelogin.settings import profile

COMMENTED = """\
# the board in the cellar
bind = "none"   # a container

# who may read the mail
scopes = [
    "User.Read",   # always
    "Mail.Read",
]
tenant = "contoso.com"  # moves in May
# the end
"""


@pytest.fixture
def paths(tmp_path: Path) -> settings.ProfilePaths:
    """The default profile in a directory of its own."""
    return settings.locate({"DEVICELOGIN_HOME": str(tmp_path)}).of("default")


def write(paths: settings.ProfilePaths, text: str) -> None:
    """Put `text` into the profile file, as its owner's editor does."""
    file = Path(paths.profile_file)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_bytes(text.encode())
    file.chmod(0o644)


def text(paths: settings.ProfilePaths) -> str:
    """Return what the profile file holds."""
    return Path(paths.profile_file).read_bytes().decode()


def test_a_new_profile_says_what_it_is_and_is_private(paths: settings.ProfilePaths) -> None:
    """One heading comment, then the keys in the order of the design; 0600 in a directory of 0700."""
    settings.write_profile(paths, {"scopes": ("User.Read",), "tenant": "contoso.com", "client_id": "x", "store": None})
    heading, *rest = text(paths).splitlines()
    assert heading.startswith("# devicelogin, profile default")
    assert rest == ['client_id = "x"', 'tenant = "contoso.com"', 'scopes = ["User.Read"]']
    assert Path(paths.profile_file).stat().st_mode & 0o777 == 0o600
    assert Path(paths.profile_file).parent.stat().st_mode & 0o777 == 0o700


def test_comments_and_order_survive_a_rewrite(paths: settings.ProfilePaths) -> None:
    """Only what changes changes."""
    write(paths, COMMENTED)
    settings.write_profile(paths, {"tenant": "fabrikam.com", "scopes": ["User.Read", "Mail.Read"], "store": "file"})
    assert text(paths) == COMMENTED.replace("contoso.com", "fabrikam.com") + 'store = "file"\n'


def test_none_removes_a_key_and_nothing_else(paths: settings.ProfilePaths) -> None:
    """Changing from tenant to authority leaves one of them."""
    write(paths, COMMENTED)
    settings.write_profile(paths, {"tenant": None, "oidc_issuer": None, "authority": "https://host/x"})
    kept = [line for line in COMMENTED.splitlines() if not line.startswith("tenant")]
    assert text(paths).splitlines() == [*kept, 'authority = "https://host/x"']


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n", "  # no newline after this"])
def test_a_key_is_added_after_any_last_line(paths: settings.ProfilePaths, ending: str) -> None:
    """A missing newline at the end does not glue two lines together."""
    write(paths, 'tenant = "contoso.com"' + ending)
    settings.write_profile(paths, {"store": "file"})
    assert tomllib.loads(text(paths)) == {"tenant": "contoso.com", "store": "file"}
    assert text(paths).splitlines()[0] == ('tenant = "contoso.com"' + ending).splitlines()[0]


@pytest.mark.parametrize(
    "changes",
    [{}, {"tenant": "contoso.com"}, {"scopes": ("User.Read", "Mail.Read"), "bind": "none"}, {"store": None}],
)
def test_a_profile_that_would_not_change_is_not_touched(
    paths: settings.ProfilePaths, changes: dict[str, object]
) -> None:
    """The token cache watches the file's stat: a rewrite would throw away good tokens."""
    write(paths, COMMENTED)
    before = os.stat(paths.profile_file)
    settings.write_profile(paths, changes)
    after = os.stat(paths.profile_file)
    assert (before.st_ino, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_ino,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )
    assert text(paths) == COMMENTED


def test_nothing_to_write_makes_no_file(paths: settings.ProfilePaths) -> None:
    """An empty change of a missing profile leaves it missing."""
    settings.write_profile(paths, {"store": None})
    assert not Path(paths.profile_file).exists()


@pytest.mark.parametrize("changes", [{"tennant": "x"}, {"min_valid": "300"}, {"scopes": "User.Read"}, {"cache": False}])
def test_what_could_not_be_read_back_is_not_written(paths: settings.ProfilePaths, changes: dict[str, object]) -> None:
    """The rules of reading hold for writing."""
    write(paths, COMMENTED)
    with pytest.raises(errors.ConfigError):
        settings.write_profile(paths, changes)
    assert text(paths) == COMMENTED


def test_two_identity_providers_are_not_written(paths: settings.ProfilePaths) -> None:
    """A profile that the next command would refuse is not made."""
    write(paths, COMMENTED)
    with pytest.raises(errors.ConfigError, match="exclude each other"):
        settings.write_profile(paths, {"authority": "https://host/x"})
    assert text(paths) == COMMENTED


_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "client_id": st.none() | st.text(max_size=20),
        "scopes": st.none() | st.lists(st.text(max_size=10), max_size=4),
        "min_valid": st.none() | st.integers(-(10**12), 10**12),
        "store": st.none() | st.text(max_size=20),
        "key": st.none() | st.text(max_size=10) | st.lists(st.text(max_size=10), max_size=3),
        "remote_login": st.none() | st.booleans(),
    },
)


@hypothesis_settings(max_examples=repetitions(1000), deadline=None, database=None)
@given(
    start=st.sampled_from(["", COMMENTED, COMMENTED.replace("\n", "\r\n"), "# only a comment"]),
    steps=st.lists(_VALUES, max_size=3),
)
def test_what_was_written_is_read_again(start: str, steps: list[dict[str, object]]) -> None:
    """After any series of changes the profile says exactly what it should, and no comment line is lost."""
    with tempfile.TemporaryDirectory() as directory:
        paths = settings.locate({"DEVICELOGIN_HOME": directory}).of("default")
        write(paths, start)
        expected = dict(settings.read_profile(paths).values)
        for changes in steps:
            settings.write_profile(paths, changes)
            expected = {key: value for key, value in (expected | changes).items() if value is not None}
            assert settings.read_profile(paths).values == expected
            assert set(expected) <= set(profile.KEYS)
        comments = [line for line in start.splitlines() if line.startswith("#")]
        assert [line for line in text(paths).splitlines() if line in comments] == comments
