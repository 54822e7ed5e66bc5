"""The pictures of the README: their script shows the real program, and those that are there are the ones that are named."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import documentation
import namespace
import pytest
import x_terminal
from conftest import need

PICTURES = documentation.CHECKOUT / "docs" / "pictures"

#: Between what sizes is a picture believable: not empty, and quick to load (bytes)?
SMALLEST, LARGEST = 5_000, 60_000


def size_of(picture: Path) -> tuple[int, int]:
    """Return the width and height that a PNG says it has (PNG specification, 5.2 and 11.2.1)."""
    content = picture.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n", picture
    assert content[-8:-4] == b"IEND", picture
    width, height = struct.unpack(">4xII", content[8 + 4 : 8 + 16])
    return width, height


def test_every_picture_of_the_readme_is_there_and_none_is_forgotten() -> None:
    """Small PNGs, as wide as each other, so that their letters are equally large."""
    named = set(re.findall(r"docs/pictures/([\w-]+\.png)", documentation.page("README.md").text))
    assert named == {path.name for path in PICTURES.iterdir()}
    assert len({size_of(PICTURES / name)[0] for name in named}) == 1
    for name in named:
        assert SMALLEST < (PICTURES / name).stat().st_size < LARGEST, name
        assert 1000 < size_of(PICTURES / name)[0] < 2000, name
        assert 400 < size_of(PICTURES / name)[1] < 1200, name


def test_every_picture_has_words_for_who_does_not_see_it() -> None:
    """An alternative text of some length; the dark one shares that of the light one."""
    text = documentation.page("README.md").text
    described = re.findall(r'<img src="docs/pictures/([\w-]+)\.png" alt="([^"]+)"', text)
    described += [(name, words) for words, name in re.findall(r"!\[([^]]+)\]\(docs/pictures/([\w-]+)\.png\)", text)]
    assert {name for name, words in described if len(words) > 80} == {"sign-in-light", "status", "doctor"}


@pytest.mark.screen
def test_the_qr_codes_of_the_pictures_are_read() -> None:
    """Dark and light: a phone held up to the README is led to Entra."""
    need("zbarimg")
    for scheme in ("dark", "light"):
        found = x_terminal.decoded(PICTURES / f"sign-in-{scheme}.png")
        assert found == ["https://login.microsoft.com/device"], scheme


@pytest.mark.screen
def test_the_script_takes_a_picture_of_a_sign_in(tmp_path: Path) -> None:
    """It has the layout of the one that is there, an address of Entra's, and leaves nothing behind."""
    need("unshare", "mount", "ip", "Xvfb", "xterm", "tmux", "import", "convert", "zbarimg")
    need(*(path for path in x_terminal.FONT_FILES[:1] if not Path(path).exists()))
    namespace.words("net")
    namespace.words("mount")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [documentation.CHECKOUT / "tests" / "pictures" / "run", "--into", "taken", "sign-in-light"],
        env={**os.environ, "PYTHON": sys.executable, "TMPDIR": str(temporary)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [taken] = (tmp_path / "taken").iterdir()
    assert x_terminal.decoded(taken) == ["https://login.microsoft.com/device"]
    assert size_of(taken) == size_of(PICTURES / taken.name)
    assert SMALLEST < taken.stat().st_size < LARGEST
    assert list(temporary.iterdir()) == []
