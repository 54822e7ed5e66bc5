"""A user code in letters five pixels wide and seven high, drawn with half blocks: to be read from across a room."""

from __future__ import annotations

#: How many rows does a drawing take?
ROWS = 4

_HEIGHT = 7
_WIDTH = {"-": 2}
_USUAL_WIDTH = 5

# A number for each row of pixels, from the top. The zero is slashed, the one has a foot, and nothing looks like B but B:
# who has to type it cannot guess from the word.
_PIXELS = {
    "A": "0e 11 11 1f 11 11 11",
    "B": "1e 11 11 1e 11 11 1e",
    "C": "0e 11 10 10 10 11 0e",
    "D": "1c 12 11 11 11 12 1c",
    "E": "1f 10 10 1e 10 10 1f",
    "F": "1f 10 10 1e 10 10 10",
    "G": "0e 11 10 17 11 11 0f",
    "H": "11 11 11 1f 11 11 11",
    "I": "0e 04 04 04 04 04 0e",
    "J": "07 02 02 02 02 12 0c",
    "K": "11 12 14 18 14 12 11",
    "L": "10 10 10 10 10 10 1f",
    "M": "11 1b 15 15 11 11 11",
    "N": "11 11 19 15 13 11 11",
    "O": "0e 11 11 11 11 11 0e",
    "P": "1e 11 11 1e 10 10 10",
    "Q": "0e 11 11 11 15 12 0d",
    "R": "1e 11 11 1e 14 12 11",
    "S": "0f 10 10 0e 01 01 1e",
    "T": "1f 04 04 04 04 04 04",
    "U": "11 11 11 11 11 11 0e",
    "V": "11 11 11 11 11 0a 04",
    "W": "11 11 11 15 15 15 0a",
    "X": "11 11 0a 04 0a 11 11",
    "Y": "11 11 11 0a 04 04 04",
    "Z": "1f 01 02 04 08 10 1f",
    "0": "0e 11 13 15 19 11 0e",
    "1": "04 0c 04 04 04 04 0e",
    "2": "0e 11 01 02 04 08 1f",
    "3": "1f 02 04 02 01 11 0e",
    "4": "02 06 0a 12 1f 02 02",
    "5": "1f 10 1e 01 01 11 0e",
    "6": "06 08 10 1e 11 11 0e",
    "7": "1f 01 02 04 08 08 08",
    "8": "0e 11 11 0e 11 11 0e",
    "9": "0e 11 11 0f 01 02 0c",
    "-": "00 00 00 03 00 00 00",
}

_HALVES = {(False, False): " ", (True, False): "\u2580", (False, True): "\u2584", (True, True): "\u2588"}


def draw(code: str) -> list[str] | None:
    """Return the rows of `code`, all of one width; None where it holds a character that has no drawing.

    Small letters have none: a provider that sends them may mean them.
    """
    if not code or not set(code) <= _PIXELS.keys():
        return None
    pixels = [list[bool]() for _ in range(_HEIGHT + 1)]
    for character in code:
        width = _WIDTH.get(character, _USUAL_WIDTH)
        rows = [int(number, 16) for number in _PIXELS[character].split()]
        for line, row in zip(pixels, [*rows, 0], strict=True):
            line.extend([bool(row >> bit & 1) for bit in reversed(range(width))] + [False])
    return [
        "".join(_HALVES[pair] for pair in zip(upper[:-1], lower[:-1], strict=True))
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True)
    ]
