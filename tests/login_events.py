"""The events of `login --json`, held to the published schema and to what the stream as a whole promises.

events = login_events.held(box.run("login", "--json", *box.app()))
"""

from __future__ import annotations

import importlib.resources
import json
from typing import TYPE_CHECKING, Any

import jsonschema

if TYPE_CHECKING:
    import sandbox

#: The schema as it is installed.
SCHEMA: dict[str, Any] = json.loads(
    importlib.resources.files("devicelogin.cli").joinpath("events.schema.json").read_text(encoding="utf-8")
)

#: The names of all events.
NAMES = {reference["$ref"].rpartition("/")[2] for reference in SCHEMA["oneOf"]}

VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

#: The events that say how it ended.
LAST = {"signed_in", "failed"}


def is_valid(event: object) -> bool:
    """Tell whether the schema allows `event`."""
    valid: bool = VALIDATOR.is_valid(event)
    return valid


def read(line: str) -> dict[str, Any]:
    """Return the event of one line. It must be one line, valid, and hold no field that the schema does not tell of."""
    event: dict[str, Any] = json.loads(line)
    VALIDATOR.validate(event)
    assert set(event) == set(SCHEMA["$defs"][event["event"]]["properties"]), event
    return event


def held(result: sandbox.Result) -> list[dict[str, Any]]:
    """Return the events of a session, which must end with the one that says how, and with the exit code in that."""
    assert result.out.endswith("\n"), result
    events = [read(line) for line in result.out.removesuffix("\n").split("\n")]
    names = [event["event"] for event in events]
    assert names[-1] in LAST, names
    assert not LAST & set(names[:-1]), names
    assert result.status == (0 if names[-1] == "signed_in" else events[-1]["exit"]), result
    shown = [name for name in names if name in {"code", "renewed"}]
    assert shown == ["code"] * bool(shown) + ["renewed"] * (len(shown) - 1), names
    if shown:
        before = names[: names.index("code")]
        assert set(before) <= {"note"}, names
    return events
