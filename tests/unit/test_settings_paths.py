"""Where everything lies, and when HOME is not to be trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import conftest
import pytest

from devicelogin import errors, settings
from devicelogin.settings import paths

if TYPE_CHECKING:
    from pathlib import Path


def test_xdg_directories_hold_everything_of_a_profile(tmp_path: Path) -> None:
    """The table of the README: which file lies where."""
    environ = {"XDG_CONFIG_HOME": f"{tmp_path}/c", "XDG_STATE_HOME": f"{tmp_path}/s", "XDG_RUNTIME_DIR": f"{tmp_path}"}
    work = settings.locate(environ).of("work")
    assert work.profile_file == f"{tmp_path}/c/devicelogin/work.toml"
    assert work.key_file == f"{tmp_path}/c/devicelogin/keys/work.key"
    assert work.sign_in == f"{tmp_path}/s/devicelogin/work/sign-in"
    assert work.times == f"{tmp_path}/s/devicelogin/work/times"
    assert work.lock == f"{tmp_path}/s/devicelogin/work/lock"
    assert work.record == f"{tmp_path}/s/devicelogin/work/record"
    assert work.cache == f"{tmp_path}/devicelogin/work"


@pytest.mark.parametrize("relative", ["", "config", "./config", "~/config"])
def test_a_relative_xdg_directory_is_ignored(tmp_path: Path, relative: str) -> None:
    """The base directory specification: all paths must be absolute, others are ignored."""
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": relative, "XDG_STATE_HOME": relative}
    places = settings.locate(environ)
    assert places.config == f"{tmp_path}/.config/devicelogin"
    assert places.state == f"{tmp_path}/.local/state/devicelogin"


def test_devicelogin_home_holds_all_of_it(tmp_path: Path) -> None:
    """One directory for services, containers and tests, whatever else is set."""
    environ = {"DEVICELOGIN_HOME": str(tmp_path), "HOME": "/nonexistent", "XDG_CONFIG_HOME": "/elsewhere"}
    work = settings.locate(environ).of("work")
    everything = [work.profile_file, work.key_file, work.sign_in, work.lock, work.record, work.cache]
    assert all(str(path).startswith(f"{tmp_path}/") for path in everything)
    assert len({str(path) for path in everything}) == len(everything)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "relative"}, {"DEVICELOGIN_HOME": "relative"}])
def test_without_a_place_it_ends_with_78_and_names_the_variable(environ: dict[str, str]) -> None:
    """HOME not set or not absolute: the message says which variable."""
    with pytest.raises(errors.ConfigError, match="HOME") as caught:
        settings.locate(environ)
    assert caught.value.hint


def test_a_runtime_directory_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    """Cached tokens go only where the directory is ours."""
    conftest.need_root("give a directory away")
    os.chown(tmp_path, 12345, 12345)
    environ = {"HOME": "/", "XDG_RUNTIME_DIR": str(tmp_path)}
    assert settings.locate(environ).runtime in (None, f"/run/user/{os.getuid()}/devicelogin")


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "-p", ".hidden", "a b", "a\n", "ä", "a" * 65, "a\0"])
def test_a_profile_name_cannot_leave_its_directory(name: str) -> None:
    """What is no plain name is a usage error."""
    with pytest.raises(errors.UsageError):
        settings.check_profile_name(name)


def test_profile_names_are_those_with_a_file_or_a_sign_in(tmp_path: Path) -> None:
    """Sorted; half-written files, strange names and empty state directories do not count."""
    places = settings.locate({"DEVICELOGIN_HOME": str(tmp_path)})
    assert places.profile_names() == ()
    for path in ("config/b.toml", "config/.new-x.toml-1", "config/notes.txt", "state/a/sign-in", "state/c/lock"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert places.profile_names() == ("a", "b")


def test_a_home_of_ones_own_is_fine(tmp_path: Path) -> None:
    """The ordinary case says nothing."""
    settings.check_home_owner({"HOME": str(tmp_path)})


def test_a_home_of_somebody_else_ends_with_78(tmp_path: Path) -> None:
    """`sudo -E devicelogin login` makes no root-owned files in the user's home (A10)."""
    conftest.need_root("give a directory away")
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(errors.ConfigError, match="belongs to user id 12345") as caught:
        settings.check_home_owner({"HOME": str(tmp_path)})
    assert "sudo -H" in (caught.value.hint or "")
    settings.check_home_owner({"HOME": str(tmp_path), "DEVICELOGIN_HOME": "/srv/x"})
    settings.check_home_owner({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "/srv/c", "XDG_STATE_HOME": "/srv/s"})
    with pytest.raises(errors.ConfigError):
        settings.check_home_owner({"HOME": str(tmp_path), "XDG_CONFIG_HOME": "/srv/c", "XDG_STATE_HOME": "relative"})


@pytest.mark.parametrize("home", ["", "/nonexistent/home"])
def test_a_home_that_does_not_exist_ends_with_78(home: str) -> None:
    """Nothing is created in place of a home that is not there (A05)."""
    with pytest.raises(errors.ConfigError, match="HOME") as caught:
        settings.check_home_owner({"HOME": home})
    assert "DEVICELOGIN_HOME" in (caught.value.hint or "")


def test_the_room_offers_what_it_declares() -> None:
    """Every name of `__all__` resolves, others are an AttributeError."""
    assert {name: getattr(settings, name) for name in settings.__all__}
    assert settings.locate is paths.locate
    with pytest.raises(AttributeError):
        settings.no_such_name  # noqa: B018
