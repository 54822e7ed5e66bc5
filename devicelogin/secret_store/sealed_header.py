"""The header of a sealed file: one line of JSON before the sealed text, readable without the key.

It says how the text was sealed and what it belongs to. Whoever opens the text proves it: it is authenticated with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devicelogin import private_files

if TYPE_CHECKING:
    from devicelogin.secret_store import key_sources

#: Up to which version of the format do we read?
FORMAT_VERSION = 3

MAGIC = "devicelogin sealed record"
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of the file. `key_mark` and `machine_mark` tell a wrong key and another machine from damage."""

    magic: str
    format_version: int
    profile: str
    name: str
    generation: int
    key: str
    key_mark: str
    bind: str
    machine_mark: str | None
    key_parameters: key_sources.Parameters | None = None

    def as_line(self) -> bytes:
        """Return the line as it is written."""
        fields = {name: getattr(self, name) for name in FIELDS[self.format_version]}
        return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"


#: Which fields has each version?
FIELDS = {1: Header.__slots__[:-1], 2: Header.__slots__, 3: Header.__slots__}


def fields_of(line: bytes) -> dict[str, Any] | None:
    """Return the fields of a header line of ours, of whatever version; None where it is none."""
    try:
        data = json.loads(line.decode("ascii")) if len(line) <= _LONGEST else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("magic") != MAGIC or type(data.get("format_version")) is not int:
        return None
    return data


def read_fields(path: str) -> dict[str, Any]:
    """Return the fields in the header of the record `path`, none where that is no header. Raises as `private_files.read`."""
    content = private_files.read(path) or b""
    return fields_of(content[: content.find(b"\n") + 1]) or {}


def key_named_in(path: str) -> str | None:
    """Return the key source that the header of the record `path` names, None where it names none."""
    key = read_fields(path).get("key")
    return key if isinstance(key, str) else None
