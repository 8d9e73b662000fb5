from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest

from cinereward.media.features import THUMB
from cinereward.media.shots import find_cuts
from cinereward.testing import camera_path, scene, shots
from cinereward.testing.editing import (
    evened,
    flash_framed,
    hurried,
    overcut,
    shots_mirrored,
    shots_regraded,
    shots_relit,
)

FPS = 24.0
LENGTHS = (36, 16, 26, 44, 20)
FAULTS: dict[Callable[..., np.ndarray], tuple[float, ...]] = {
    shots_regraded: (5, 10, 16, 24, 34),
    shots_relit: (0.3, 0.6, 1, 1.5, 2.2),
    shots_mirrored: (0.15, 0.25, 0.35, 0.45, 0.55),
    flash_framed: (1, 2, 3, 4, 6),
    overcut: (1, 1.5, 2, 3, 4),
    evened: (0.2, 0.4, 0.6, 0.8, 1),
    hurried: (1.5, 2, 3, 4, 6),
}
SHORTER = (overcut, evened, hurried)


@cache
def edited() -> np.ndarray:
    """Five shots of other places, 96 x 64 pixels."""
    takes = [scene(n / FPS, FPS, (64, 96), seed, "pan", grain=0.6) for seed, n in enumerate(LENGTHS)]
    return shots(takes, FPS)[0]


def cuts(frames: np.ndarray) -> list[int]:
    thumbs = np.stack([cv2.resize(frame, THUMB, interpolation=cv2.INTER_AREA) for frame in frames])
    return [int(cut) for cut in find_cuts(thumbs, FPS)]


@pytest.mark.parametrize("fault", FAULTS)
def test_frames_stay_what_they_are(fault: Callable[..., np.ndarray]) -> None:
    before = edited().copy()
    out = fault(edited(), FAULTS[fault][2], fps=FPS, seed=3)
    assert np.array_equal(edited(), before)
    assert out.dtype == np.uint8
    assert out.shape[1:] == before.shape[1:]
    assert (len(out) == len(before)) is (fault not in SHORTER)
    assert np.array_equal(out, fault(edited(), FAULTS[fault][2], fps=FPS, seed=3))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault is not hurried])
def test_one_shot_has_nothing_to_edit(fault: Callable[..., np.ndarray]) -> None:
    take = scene(1.0, FPS, (64, 96), 1)
    assert np.array_equal(fault(take, FAULTS[fault][-1], fps=FPS), take)


def test_the_cuts_lie_where_they_were_put() -> None:
    assert cuts(edited()) == np.cumsum(LENGTHS)[:-1].tolist()


@pytest.mark.parametrize("severity", [5, 16, 34])
def test_every_second_shot_is_regraded_by_that_much(severity: float) -> None:
    pale = np.rint(0.25 * edited() + 96).astype(np.uint8)  # so that no colour leaves the screen
    lab = [
        np.stack([cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for frame in some[::8]])
        for some in (pale, shots_regraded(pale, severity, fps=FPS, seed=1))
    ]
    moved = np.hypot(*(lab[1] - lab[0]).mean(axis=(1, 2))[:, 1:].T)
    shot = np.searchsorted(np.cumsum(LENGTHS), np.arange(0, len(pale), 8), side="right")
    assert np.allclose(moved[shot % 2 == 0], 0, atol=0.1)
    assert np.allclose(moved[shot % 2 == 1], severity, rtol=0.1)


@pytest.mark.parametrize("severity", [0.3, 1, 2.2])
def test_every_second_shot_is_relit_by_that_much(severity: float) -> None:
    out = shots_relit(edited(), severity, fps=FPS)
    light = [(some[40:50] / 255.0) ** 2.2 for some in (edited(), out)]
    assert np.log2(light[0].mean() / light[1].mean()) == pytest.approx(severity, rel=0.05)
    assert np.array_equal(out[:36], edited()[:36])


@pytest.mark.parametrize(("share", "count"), [(0.15, 1), (0.25, 1), (0.45, 2), (1.0, 4)])
def test_whole_shots_are_mirrored(share: float, count: int) -> None:
    out = shots_mirrored(edited(), share, fps=FPS, seed=2)
    turned = [
        np.array_equal(new, old[:, :, ::-1])
        for new, old in zip(*(np.split(some, np.cumsum(LENGTHS)[:-1]) for some in (out, edited())), strict=True)
    ]
    assert sum(turned) == count


@pytest.mark.parametrize("severity", [1, 3, 6])
def test_a_flash_stands_at_the_middle_cut(severity: int) -> None:
    for seed in range(4):
        out = flash_framed(edited(), severity, fps=FPS, seed=seed)
        empty = np.flatnonzero(out.std(axis=(1, 2, 3)) == 0)
        assert empty.tolist() == list(range(78, 78 + severity))
        assert out[78, 0, 0, 0] in (0, 255)


@pytest.mark.parametrize("severity", [1, 1.5, 2])
def test_every_joint_of_an_overcut_clip_is_a_cut(severity: float) -> None:
    out = overcut(edited(), severity, fps=FPS, seed=1)
    assert cuts(out) == list(range(round(FPS / severity), len(out), round(FPS / severity)))


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_lengths_are_evened_towards_the_shortest(share: float) -> None:
    found = np.diff([0, *cuts(evened(edited(), share, fps=FPS)), len(evened(edited(), share, fps=FPS))])
    assert np.allclose(found, [16 + (1 - share) * (n - 16) for n in LENGTHS], atol=0.5)


def test_speed_leaves_frames_out() -> None:
    out = hurried(edited(), 3, fps=FPS)
    assert np.array_equal(out, edited()[::3])
    assert len(hurried(edited(), 1.5)) == pytest.approx(len(edited()) / 1.5, abs=1)


def test_views_of_one_place_are_shots_too() -> None:
    aside = np.array([[x, 0, 0, 0] for x in (-0.2, 0.2, -0.25)])
    path = np.concatenate([camera_path(24, FPS, "pan", 0.05) + at for at in aside])
    frames = scene(3.0, FPS, (64, 96), 5, path=path)
    assert cuts(shots_relit(frames, 1, fps=FPS)) == [24, 48]
