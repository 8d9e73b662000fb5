"""Shots: the cuts that scenedetect's AdaptiveDetector finds, and none where nothing was cut."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinereward.media import find_shots
from cinereward.media.shots import change_of_structure, find_cuts

from .conftest import windows_of
from .making import H264, Frames, moving, texture, write

FPS = 24
HEIGHT, WIDTH = 144, 256
LENGTH = 30  # frames of a shot


def still(seed: int, count: int = LENGTH) -> Frames:
    return np.repeat(texture(seed, HEIGHT, WIDTH, 24)[None], count, axis=0)


def pan(seed: int, count: int = LENGTH, step: int = 3) -> Frames:
    wide = texture(seed, HEIGHT, WIDTH + step * count, 24)
    return np.stack([wide[:, step * t : step * t + WIDTH] for t in range(count)])


def zoom(seed: int, count: int = LENGTH) -> Frames:
    picture = texture(seed, HEIGHT, WIDTH, 24)
    out = []
    for t in range(count):
        matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0, 1 + 0.015 * t)
        out.append(cv2.warpAffine(picture, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT))
    return np.stack(out)


def grainy(frames: Frames, seed: int = 0) -> Frames:
    noise = np.random.default_rng(seed).normal(0, 6, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def lit(frames: Frames, gains: np.ndarray) -> Frames:
    return np.clip(frames * gains[:, None, None, None], 0, 255).astype(np.uint8)


def with_object(frames: Frames) -> Frames:
    """Something a third as wide as the picture crosses it in a second."""
    out = frames.copy()
    for t, frame in enumerate(out):
        left = round((WIDTH + 90) * t / len(out)) - 90
        frame[20:, max(0, left) : max(0, left + 90)] = (30, 60, 40)
    return out


def flash(frames: Frames, at: int, length: int) -> Frames:
    out = frames.copy()
    out[at : at + length] = 250
    return out


def dissolve(a: Frames, b: Frames, length: int) -> Frames:
    mix = np.linspace(0, 1, length)[:, None, None, None]
    middle = a[-1] * (1 - mix) + b[0] * mix
    return np.concatenate([a, middle.astype(np.uint8), b])


CUT: dict[str, Callable[[], Frames]] = {
    "stills": lambda: np.concatenate([still(s) for s in range(4)]),
    "pans": lambda: np.concatenate([pan(s) for s in range(4)]),
    "zooms": lambda: np.concatenate([zoom(s) for s in range(4)]),
    "of every kind": lambda: np.concatenate([still(1), pan(2), zoom(3), still(4)]),
    "with grain": lambda: grainy(np.concatenate([pan(s) for s in range(4)])),
    "dark": lambda: np.concatenate([pan(s) for s in range(4)]) // 5,
    "with something crossing": lambda: np.concatenate([with_object(still(s)) for s in range(4)]),
}
UNCUT: dict[str, Callable[[], Frames]] = {
    "a still": lambda: still(1, 90),
    "a still with grain": lambda: grainy(still(1, 90)),
    "black": lambda: np.zeros((90, HEIGHT, WIDTH, 3), np.uint8),
    "black with grain": lambda: grainy(np.zeros((90, HEIGHT, WIDTH, 3), np.uint8)),
    "a slow pan": lambda: pan(1, 90),
    "a fast pan": lambda: pan(1, 60, step=24),
    "a zoom": lambda: zoom(1, 60),
    "a flash of 1 frame": lambda: flash(still(1, 60), 30, 1),
    "a flash of 2 frames in a pan": lambda: flash(pan(1, 60), 30, 2),
    "two frames of another picture": lambda: np.concatenate([still(1), still(2, 2), still(1)]),
    "three flashes": lambda: flash(flash(flash(still(1, 90), 20, 2), 40, 2), 60, 1),
    "a strobe": lambda: lit(still(1, 90), 0.4 + 0.6 * (np.arange(90) // 2 % 2)),
    "flicker": lambda: lit(pan(1, 90), np.random.default_rng(3).uniform(0.7, 1.1, 90)),
    "a fade to black": lambda: lit(pan(1, 60), np.linspace(1, 0, 60)),
    "a light switched on": lambda: lit(still(1, 60), np.where(np.arange(60) < 30, 0.4, 1.0)),
    "something large crossing": lambda: with_object(still(1, 24)),
    "a slow dissolve": lambda: dissolve(still(1), still(2), 24),
}


def cuts_of(frames: Frames) -> list[int]:
    windows = windows_of(frames, 24, fps=FPS)
    thumbs = np.concatenate([w.features["thumbs"][w.overlap :] for w in windows])
    return [shot.first for shot in find_shots(np.arange(len(thumbs)) / FPS, thumbs, FPS)[1:]]


@pytest.mark.parametrize("name", CUT)
def test_cuts_are_found_to_the_frame(name: str) -> None:
    assert cuts_of(CUT[name]()) == [LENGTH, 2 * LENGTH, 3 * LENGTH]


@pytest.mark.parametrize("name", CUT)
def test_cuts_are_those_of_scenedetect(name: str, out: Path) -> None:
    scenedetect = pytest.importorskip("scenedetect")
    frames = CUT[name]()
    path = write(out / "a.mp4", frames, fps=FPS, **H264)
    scenes = scenedetect.detect(str(path), scenedetect.AdaptiveDetector())
    theirs = [start.frame_num for start, _ in scenes[1:]]
    ours = cuts_of(windows_frames(path))
    assert len(ours) == len(theirs) and all(abs(a - b) <= 1 for a, b in zip(ours, theirs, strict=True))


def windows_frames(path: Path) -> Frames:
    return np.concatenate([w.frames[w.overlap :] for w in windows_of(path, 24)])


@pytest.mark.parametrize("name", UNCUT)
def test_there_is_no_cut_where_nothing_was_cut(name: str) -> None:
    assert cuts_of(UNCUT[name]()) == []


@given(at=st.integers(8, 52), seeds=st.lists(st.integers(0, 10_000), min_size=2, max_size=2, unique=True))
@settings(deadline=None, max_examples=25)
def test_a_cut_is_found_wherever_it_is(at: int, seeds: list[int]) -> None:
    frames = np.concatenate([moving(at, 64, 96, seeds[0]), moving(60 - at, 64, 96, seeds[1])])
    assert cuts_of(frames) == [at]


@given(edges=st.sets(st.integers(1, 59), max_size=6))
@settings(deadline=None, max_examples=25)
def test_shots_cover_the_clip_without_a_gap(edges: set[int]) -> None:
    parts = np.split(np.zeros(60, int), sorted(edges))
    thumbs = np.concatenate(
        [np.repeat(texture(seed, 18, 32, 4)[None], len(p), axis=0) for seed, p in enumerate(parts) if len(p)]
    )
    shots = find_shots(np.arange(60) / FPS, thumbs, FPS)
    assert shots[0].first == 0 and shots[-1].last == 60
    assert shots[0].start == 0 and shots[-1].end == 60 / FPS
    assert all(a.last == b.first and a.end == b.start for a, b in itertools.pairwise(shots))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_clip_of_a_few_frames_is_one_shot(count: int) -> None:
    assert len(find_shots(np.arange(count) / FPS, still(1, count)[:, :18, :32], FPS)) == 1


def test_the_last_shot_ends_when_its_last_frame_does() -> None:
    times = np.array([0.0, 0.1, 0.5])
    assert find_shots(times, still(1, 3)[:, :18, :32], 10)[0].end == pytest.approx(0.6)


def test_a_long_clip_is_compared_in_blocks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    thumbs = np.stack([cv2.resize(frame, (32, 18), interpolation=cv2.INTER_AREA) for frame in CUT["pans"]()])
    whole = find_cuts(thumbs, FPS)
    monkeypatch.setattr("cinereward.media.shots.BLOCK", 7)
    np.testing.assert_array_equal(find_cuts(thumbs, FPS), whole)


def test_structure_does_not_change_with_exposure() -> None:
    thumbs = texture(1, 18, 32, 4)[None]
    assert change_of_structure(thumbs, thumbs // 2)[0] < 0.05


def test_unrelated_pictures_differ_by_about_one() -> None:
    a, b = (np.stack([texture(seed, 18, 32, 4) for seed in seeds]) for seeds in (range(20), range(20, 40)))
    assert np.mean(change_of_structure(a, b)) == pytest.approx(1, abs=0.1)
