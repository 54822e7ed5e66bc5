"""Flag > environment > profile > default, and where each value came from; the profile files; the paths of everything.

Importing the room costs nothing: its public names are looked up in their modules on first use (PEP 562).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from devicelogin.settings.paths import Places, ProfilePaths, check_home_owner, check_profile_name, locate
    from devicelogin.settings.pinning import check_pinned
    from devicelogin.settings.profile import read_profile, write_profile
    from devicelogin.settings.resolve import Settings, Value

__all__ = [
    "Places",
    "ProfilePaths",
    "Settings",
    "Value",
    "check_home_owner",
    "check_pinned",
    "check_profile_name",
    "locate",
    "read_profile",
    "write_profile",
]

_HOMES = {
    "Places": "paths",
    "ProfilePaths": "paths",
    "Settings": "resolve",
    "Value": "resolve",
    "check_home_owner": "paths",
    "check_pinned": "pinning",
    "check_profile_name": "paths",
    "locate": "paths",
    "read_profile": "profile",
    "write_profile": "profile",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
