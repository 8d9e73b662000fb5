"""What is shown, as parts of a message."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("httpx")

from cinereward.judge.media_parts import encode, wav
from tests.judge.looks import shown


def test_a_clip_without_a_key_is_named_by_its_content() -> None:
    first, same, other = (encode(shown(seed, key=""), "png", hears=False) for seed in (1, 1, 2))
    assert first.key == same.key != other.key and len(first.key) == 64


def test_other_times_or_another_text_are_another_content() -> None:
    names = {
        encode(shown(1, key="", **changes), "png", hears=False).key
        for changes in ({}, {"times": np.arange(3.0)}, {"before": "A green kite."}, {"after": ""}, {"fps": 9.0})
    }
    assert len(names) == 5


def test_one_frame_is_a_film_too() -> None:
    clip = shown(frames=np.zeros((1, 32, 32, 3), np.uint8))
    told = encode(clip, "png", hears=False).extras["media_io_kwargs"]["video"]
    assert (told["num_frames"], told["total_num_frames"], told["frames_indices"]) == (1, 1, [8])


def test_what_is_held_is_named_alone() -> None:
    clip = dataclasses.replace(shown(), reference=np.zeros((32, 32, 3), np.uint8), sound=np.zeros(160, np.float32))
    for part in encode(clip, "png", hears=True).parts(film=True, held=True):
        assert part[part["type"]] == {} and part["uuid"].startswith("0-")


def test_the_two_kinds_of_picture_have_two_names() -> None:
    names = [encode(shown(), kind, hears=False).parts(film=True)[0]["uuid"] for kind in ("png", "jpeg")]
    assert names[0] != names[1]


def test_sound_of_two_channels_is_refused() -> None:
    with pytest.raises(ValueError, match="mono"):
        wav(np.zeros((2, 160), np.float32))
