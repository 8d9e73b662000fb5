from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from cinereward.testing import scene
from cinereward.testing.surfaces import oversharpened, smoothed, stamped

FAULTS: dict[Callable[..., np.ndarray], tuple[float, ...]] = {
    oversharpened: (0.7, 1.2, 2, 3, 5),
    smoothed: (0.15, 0.3, 0.5, 0.75, 1),
    stamped: (0.06, 0.12, 0.2, 0.35, 0.6),
}
FRAMES = scene(0.15, size=(90, 160), seed=1, grain=0.6)


@pytest.mark.parametrize("fault", FAULTS)
def test_frames_stay_what_they_are(fault: Callable[..., np.ndarray]) -> None:
    before = FRAMES.copy()
    out = fault(FRAMES, FAULTS[fault][2], fps=24.0, seed=3)
    assert out.shape == FRAMES.shape
    assert out.dtype == np.uint8
    assert not np.array_equal(out, FRAMES)
    assert np.array_equal(FRAMES, before)
    assert np.array_equal(out, fault(FRAMES, FAULTS[fault][2], fps=24.0, seed=3))


@pytest.mark.parametrize("fault", FAULTS)
def test_more_is_further_from_the_clean_frames(fault: Callable[..., np.ndarray]) -> None:
    far = [np.abs(fault(FRAMES, s, seed=1).astype(int) - FRAMES).mean() for s in FAULTS[fault]]
    assert np.all(np.diff(far) > 0)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("size", [(16, 16), (31, 57)])
def test_any_size_is_taken(fault: Callable[..., np.ndarray], size: tuple[int, int]) -> None:
    frames = scene(0.1, size=size)
    for severity in FAULTS[fault]:
        assert fault(frames, severity).shape == frames.shape


def test_sharpening_overshoots_a_step_by_half_its_amount_at_the_most() -> None:
    step = np.repeat([100, 140], 40)[None, None, :, None].repeat(8, axis=1).repeat(3, axis=3).astype(np.uint8)
    out = oversharpened(step, 0.5)[0, 4, :, 0].astype(int)
    assert 140 < out.max() <= 140 + 0.5 * 0.5 * 40
    assert out[0] == 100
    assert out[-1] == 140


def test_smoothing_keeps_an_edge_and_takes_the_grain_beside_it() -> None:
    rng = np.random.default_rng(0)
    step = np.repeat([60.0, 200.0], 40)[None].repeat(60, axis=0) + rng.normal(0, 6, (60, 80))
    out = smoothed(step[None, :, :, None].repeat(3, axis=3).astype(np.uint8), 1.0)[0, ..., 0].astype(float)
    assert out[:, 5:30].std() < 0.4 * step[:, 5:30].std()
    assert out[:, 44].mean() - out[:, 35].mean() > 125


@pytest.mark.parametrize("share", [0.06, 0.2, 0.6])
def test_stamps_cover_their_share_with_one_patch(share: float) -> None:
    changed = np.any(stamped(FRAMES, share, seed=2)[0] != FRAMES[0], axis=-1)
    grown = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    assert grown.mean() == pytest.approx(share, abs=0.25 * share + 0.01)
