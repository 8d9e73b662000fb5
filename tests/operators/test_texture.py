from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from cinereward.operators.texture import Texture
from cinereward.testing import OperatorConformance, blurred, clip, flattened, measure, noisy, scene, underexposed
from cinereward.testing.surfaces import oversharpened, smoothed, stamped

from .planted import SEEDS, rank_correlation, take

AMOUNTS = (0.7, 1.2, 2, 3, 5)
SHARES = (0.15, 0.3, 0.5, 0.75, 1)


class TestConformance(OperatorConformance):
    def operator(self) -> Texture:
        return Texture()


def worth(frames: np.ndarray, name: str) -> float:
    return float(measure(Texture(), clip(frames))[name].value)


@cache
def still(seed: int) -> np.ndarray:
    return take(seed, "static", 0.25)


@cache
def clean(seed: int, name: str) -> float:
    return worth(still(seed), name)


def letterboxed(frames: np.ndarray) -> np.ndarray:
    out = frames.copy()
    out[:, :16] = out[:, -16:] = 2
    return out


def zoomed(frames: np.ndarray, zoom: float) -> np.ndarray:
    height, width = frames.shape[1:3]
    matrix = np.array([[zoom, 0, (1 - zoom) * width / 2], [0, zoom, (1 - zoom) * height / 2]])
    return np.stack([cv2.warpAffine(frame, matrix, (width, height)) for frame in frames])


# --- what each measurement is for ---


@pytest.mark.parametrize("seed", SEEDS)
def test_sharpening_leaves_a_halo(seed: int) -> None:
    values = [clean(seed, "halo"), *(worth(oversharpened(still(seed), amount), "halo") for amount in AMOUNTS)]
    assert rank_correlation(values) > 0.9  # at 5 most of it is cut off at white and black
    assert values[0] < 0.15
    assert values[3] > values[0] + 0.1


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("over", [0.1, 0.25])
def test_a_halo_is_measured_in_shares_of_the_step(blur: float, over: float) -> None:
    lane = np.tile(np.repeat([70.0, 170.0], 40), 4)[None].repeat(120, axis=0)
    if blur:
        lane = cv2.GaussianBlur(lane, (0, 0), blur)
    wide = cv2.GaussianBlur(lane, (0, 0), 2.5)
    sharp = lane + (lane - wide) * over * 100 / np.abs(lane - wide)[:, 60:-60].max()
    frames = np.rint(np.clip(sharp, 0, 255))[None, :, :, None].repeat(2, axis=0).repeat(3, axis=3).astype(np.uint8)
    expected = np.ptp(sharp[60, 60:-60]) / 100 / 2 - 0.5
    assert worth(frames, "halo") == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("seed", SEEDS)
def test_smoothing_takes_richness(seed: int) -> None:
    values = [clean(seed, "richness"), *(worth(smoothed(still(seed), share), "richness") for share in SHARES)]
    assert rank_correlation(values) < -0.99
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["median", "bilateral", "means"])
def test_other_filters_that_keep_edges_take_richness_too(seed: int, kind: str) -> None:
    filters: dict[str, Any] = {
        "median": lambda frame: cv2.medianBlur(frame, 3),
        "bilateral": lambda frame: cv2.bilateralFilter(frame, 5, 40, 2),
        "means": lambda frame: cv2.fastNlMeansDenoisingColored(frame, None, 8, 8, 5, 11),
    }
    plain = np.stack([filters[kind](frame) for frame in still(seed)])
    assert worth(plain, "richness") < clean(seed, "richness") - 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_stamps_are_found_by_the_share_they_cover(seed: int) -> None:
    assert clean(seed, "repetition") == 0
    for share in (0.2, 0.35, 0.6):
        assert worth(stamped(still(seed), share, seed=seed), "repetition") == pytest.approx(share, abs=0.2)


def test_a_fence_is_hardly_a_repetition() -> None:
    rng = np.random.default_rng(0)
    picture = np.full((240, 416), 90.0)
    for post in range(12):
        x = 20 + 32 * post + int(rng.integers(-2, 3))
        picture[60:200, x : x + 8] = 150 + rng.normal(0, 12, (140, 8)).cumsum(axis=0) * 0.3 + 10 * rng.normal()
    frames = np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)
    assert worth(np.stack([frames] * 2)[..., None].repeat(3, axis=3), "repetition") < 0.06


# --- what must leave it alone ---


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("sigma", [2.0, 5.0])
@pytest.mark.parametrize("soft", [0.0, 0.8])
def test_grain_is_not_richness(seed: int, sigma: float, soft: float) -> None:
    noise = np.random.default_rng(seed).normal(0, 1, still(seed).shape[:3])
    if soft:
        noise = np.stack([cv2.GaussianBlur(plane, (0, 0), soft) for plane in noise])
    frames = np.clip(np.rint(still(seed) + (sigma / noise.std() * noise)[..., None]), 0, 255).astype(np.uint8)
    assert worth(frames, "richness") <= clean(seed, "richness") + 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_grain_is_no_halo(seed: int) -> None:
    assert worth(noisy(still(seed), 4), "halo") < clean(seed, "halo") + 0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_blur_and_zoom_do_not_help(seed: int) -> None:
    for frames in (blurred(still(seed), 0.8), zoomed(still(seed), 1.1)):
        assert worth(frames, "richness") < clean(seed, "richness")
    assert worth(blurred(still(seed), 1.2), "halo") < clean(seed, "halo") + 0.04


@pytest.mark.parametrize("seed", SEEDS)
def test_sharpening_gives_little_richness(seed: int) -> None:
    assert worth(oversharpened(still(seed), 0.7), "richness") < clean(seed, "richness") + 0.3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["halo", "richness", "repetition"])
def test_light_contrast_and_bars_do_not_matter(seed: int, name: str) -> None:
    for frames in (underexposed(still(seed), 0.6), flattened(still(seed), 0.6), letterboxed(still(seed))):
        assert worth(frames, name) == pytest.approx(clean(seed, name), abs=0.06 if name == "halo" else 0.25)


# --- hard pictures ---


@pytest.mark.parametrize("value", [0, 90, 255])
def test_one_colour_has_no_texture(value: int) -> None:
    found = measure(Texture(), clip(np.full((3, 64, 96, 3), value, np.uint8)))
    assert [found[name].value for name in ("halo", "richness", "repetition")] == [0, 0, 0]
    assert found["halo"].note
    assert found["halo"].std > 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_and_tiny_frames_are_measured(count: int) -> None:
    for size in ((16, 16), (24, 90), (64, 96)):
        found = measure(Texture(), clip(scene(count / 24, size=size)))
        assert all(np.isfinite(found[name].value) for name in ("halo", "richness", "repetition"))
