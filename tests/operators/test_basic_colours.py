"""Colours are called what people call them."""

from __future__ import annotations

import numpy as np
import pytest

from cinereward.operators.basic_colours import names_of, shares
from cinereward.wants import COLOURS

# From the X11 and CSS colour names: colours whose name ends in, or is, a basic term.
NAMED = {
    "black": ["000000"],
    "white": ["ffffff", "f8f8ff", "f5f5f5"],
    "grey": ["808080", "a9a9a9", "696969", "778899"],
    "red": ["ff0000", "8b0000", "b22222", "dc143c"],
    "orange": ["ffa500", "ff8c00"],
    "yellow": ["ffff00", "ffd700", "fafa50"],
    "green": ["008000", "006400", "228b22", "90ee90", "2e8b57", "32cd32"],
    "blue": ["0000ff", "00008b", "191970", "add8e6", "4169e1", "1e90ff", "87ceeb"],
    "purple": ["800080", "4b0082", "9370db", "9932cc"],
    "pink": ["ffc0cb", "ffb6c1", "ff69b4", "ff1493"],
    "brown": ["8b4513", "a0522d"],
}


@pytest.mark.parametrize(("name", "hexes"), NAMED.items())
def test_named_colours_have_their_names(name: str, hexes: list[str]) -> None:
    for code in hexes:
        colour = np.array([int(code[at : at + 2], 16) for at in (0, 2, 4)], np.uint8)
        assert COLOURS[int(names_of(colour))] == name, code


def test_shares_add_up_to_one() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    told = shares(picture)
    assert told.sum() == pytest.approx(1)
    assert (told >= 0).all()
    assert told.shape == (11,)


def test_half_red_half_blue() -> None:
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:, :5], picture[:, 5:] = (220, 20, 30), (25, 65, 210)
    told = dict(zip(COLOURS, shares(picture), strict=True))
    assert (told["red"], told["blue"]) == (0.5, 0.5)


def test_no_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        shares(np.zeros((0, 3), np.uint8))
