"""Pictures as networks want them, against torchvision and the processors of transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from cinereward.networks.clip import fitted
from cinereward.networks.pixels import CLIP, IMAGENET, Fit
from cinereward.testing.scenes import scene

SIZES = [(240, 320), (320, 181), (224, 224), (97, 150)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [False, True])
def test_pictures_are_fitted_as_vbench_fits_them(size: tuple[int, int], crop: bool) -> None:
    rows = torch.from_numpy(scene(0.1, size=size, seed=2))
    mode, values = ("bicubic", CLIP) if crop else ("bilinear", IMAGENET)
    steps = [transforms.Resize(224, interpolation=InterpolationMode(mode), antialias=False)]
    steps += [transforms.CenterCrop(224)] if crop else []
    theirs = transforms.Normalize(*values)(transforms.Compose(steps)(rows.permute(0, 3, 1, 2).float()) / 255)
    ours = Fit(short=224, crop=crop, mode=mode, antialias=False, mean=values[0], std=values[1])(rows)
    assert ours.shape == theirs.shape
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_pictures_are_fitted_as_the_models_processors_fit_them(size: tuple[int, int], kind: str) -> None:
    lib = pytest.importorskip("transformers")
    rows = scene(0.1, size=size, seed=2)
    processor = lib.CLIPImageProcessor() if kind == "clip" else lib.SiglipImageProcessor(resample=2)
    theirs = processor(images=list(rows), return_tensors="pt")["pixel_values"]
    ours = fitted(kind, 224, True)(torch.from_numpy(rows))
    level = 1 / 255 / 0.26
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().mean()) < 0.5 * level  # theirs is rounded to levels
    assert float((ours - theirs).abs().quantile(0.99)) < 1.5 * level


@given(st.integers(8, 400), st.integers(8, 400))
def test_the_shorter_side_becomes_what_is_asked(height: int, width: int) -> None:
    came = Fit(short=64).size(height, width)
    assert min(came) == 64
    assert abs(came[0] / came[1] - height / width) <= (height / width) * max(came) / min(came) / 64 + 1e-9


def test_a_square_is_filled_whatever_the_proportions() -> None:
    assert Fit(short=32, square=True)(torch.zeros(1, 100, 10, 3, dtype=torch.uint8)).shape == (1, 3, 32, 32)


def test_averaging_keeps_fine_stripes_from_becoming_coarse_ones() -> None:
    stripes = np.zeros((1, 230, 230, 3), np.uint8)
    stripes[:, ::2] = 255
    rows = torch.from_numpy(stripes)
    averaged, picked = (Fit(short=30, antialias=way)(rows).std() for way in (True, False))
    assert float(averaged) < 0.1 * float(picked)
