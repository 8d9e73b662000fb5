from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward.testing import generative, scene

FAULTS = {"morphing": 2, "crossfading": 0.12, "popping": 0.02, "sticking": 0.5, "melting": 2, "looping": 3}


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    out = scene(1.0, 24, size=(72, 120), seed=3)
    out.flags.writeable = False  # a fault that changes its input fails here
    return out


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_the_picture_and_nothing_of_its_shape(fault: str, frames: NDArray[np.uint8]) -> None:
    out = getattr(generative, fault)(frames, FAULTS[fault], seed=1)
    assert (out.shape, out.dtype) == (frames.shape, np.uint8)
    assert (out != frames).any()


@pytest.mark.parametrize("fault", FAULTS)
def test_the_same_seed_gives_the_same_bits(fault: str, frames: NDArray[np.uint8]) -> None:
    put = getattr(generative, fault)
    assert np.array_equal(put(frames, FAULTS[fault], seed=5), put(frames, FAULTS[fault], seed=5))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (3, 33, 57, 3), (5, 57, 33, 3)])
def test_small_and_short_clips_will_do(fault: str, shape: tuple[int, ...]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert getattr(generative, fault)(picture, FAULTS[fault]).shape == shape


@pytest.mark.parametrize("share", [0.03, 0.2])
def test_a_fade_covers_its_share_in_the_end(share: float, frames: NDArray[np.uint8]) -> None:
    out = generative.crossfading(frames, share, seed=1)
    changed = (np.abs(out[-1].astype(int) - frames[-1]).max(axis=-1) > 4).mean()
    assert changed == pytest.approx(share, rel=0.5)
    assert np.array_equal(out[0], frames[0])


@pytest.mark.parametrize("share", [0.02, 0.08])
def test_a_pop_covers_its_share_for_a_while(share: float, frames: NDArray[np.uint8]) -> None:
    changed = (generative.popping(frames, share, seed=1) != frames).any(axis=-1).mean(axis=(1, 2))
    assert changed.max() == pytest.approx(share, rel=0.2)
    assert changed[0] == changed[-1] == 0


def test_what_sticks_is_the_first_frame(frames: NDArray[np.uint8]) -> None:
    out = generative.sticking(frames, 1.0)
    assert np.abs(out[0].astype(int) - frames[0]).max() <= 1


def test_melting_begins_late_and_grows(frames: NDArray[np.uint8]) -> None:
    off = np.abs(generative.melting(frames, 3.0, seed=1).astype(int) - frames).mean(axis=(1, 2, 3))
    assert off[:9].max() == 0
    assert off[-3:].mean() > off[12:15].mean() > 0


def test_a_loop_shows_the_same_moment(frames: NDArray[np.uint8]) -> None:
    out = generative.looping(frames, 3)
    assert np.array_equal(out[:8], out[8:16])
    assert np.array_equal(out[:8], frames[:8])
