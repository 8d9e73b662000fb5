from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from cinereward.operators.continuity import Continuity
from cinereward.testing import (
    OperatorConformance,
    blurred,
    camera_path,
    clip,
    dropped,
    flickering,
    measure,
    noisy,
    scene,
    shots,
)
from cinereward.testing.editing import flash_framed, overcut, shots_mirrored, shots_regraded, shots_relit

from .planted import FPS, SEEDS, rank_correlation, take

NAMES = ("palette", "light", "crossing", "reversal", "flash", "jump")
SIDES = (-0.2, 0.22, -0.17, 0.2, -0.22)
LENGTHS = (22, 16, 30, 18, 24)


class TestConformance(OperatorConformance):
    def operator(self) -> Continuity:
        return Continuity()


@cache
def edited(seed: int) -> np.ndarray:
    """Five views of one place, panned over in one direction."""
    rng = np.random.default_rng(seed)
    parts = []
    for side, count in zip(SIDES, LENGTHS, strict=True):
        part = camera_path(count, FPS, "pan", float(rng.uniform(0.04, 0.08)), rng)
        parts.append(part + np.array([side, rng.uniform(-0.05, 0.05), rng.choice([-0.1, 0.1, 0.25]), 0]))
    path = np.concatenate(parts)
    frames = scene(len(path) / FPS, FPS, (96, 144), seed, path=path, grain=0.6)
    frames.flags.writeable = False
    return frames


def worth(frames: np.ndarray, fps: float = FPS) -> dict[str, float]:
    found = measure(Continuity(), clip(frames, fps))
    return {name: float(found[name].value) for name in NAMES}


@cache
def clean(seed: int) -> dict[str, float]:
    return worth(edited(seed))


# --- what each measurement is for ---


@pytest.mark.parametrize("seed", SEEDS)
def test_views_of_one_place_agree(seed: int) -> None:
    assert clean(seed)["palette"] < 3
    assert clean(seed)["light"] < 0.15
    assert clean(seed)["crossing"] < 0.05
    assert clean(seed)["flash"] == 0
    assert clean(seed)["jump"] < 0.1


@pytest.mark.parametrize("seed", SEEDS)
def test_another_grade_is_measured_in_units_of_colour(seed: int) -> None:
    values = [clean(seed)["palette"]]
    for severity in (5, 10, 16, 24):
        values.append(worth(shots_regraded(edited(seed), severity, fps=FPS, seed=seed))["palette"])
        assert values[-1] == pytest.approx(severity, rel=0.35)
    assert rank_correlation(values) > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_another_light_is_measured_in_stops(seed: int) -> None:
    values = [clean(seed)["light"]]
    for severity in (0.3, 0.6, 1, 1.5):
        values.append(worth(shots_relit(edited(seed), severity, fps=FPS))["light"])
        assert values[-1] == pytest.approx(severity, rel=0.4)
    assert rank_correlation(values) > 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_crossing_the_line_is_seen(seed: int) -> None:
    one, two = (worth(shots_mirrored(edited(seed), share, fps=FPS, seed=seed)) for share in (0.2, 0.4))
    assert clean(seed)["crossing"] + 0.15 < one["crossing"] <= two["crossing"]
    assert two["crossing"] > 0.3
    assert one["reversal"] > clean(seed)["reversal"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 3, 6])
def test_flashes_are_measured_in_seconds(seed: int, count: int) -> None:
    found = worth(flash_framed(edited(seed), count, fps=FPS, seed=seed))
    assert found["flash"] == pytest.approx(count / FPS)
    assert found["jump"] == pytest.approx(clean(seed)["jump"], abs=0.05)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 4])
def test_a_foreign_picture_at_a_cut_is_a_flash(seed: int, count: int) -> None:
    frames = edited(seed).copy()
    frames[38 : 38 + count] = take(seed + 40, "static")[0, :96, :144]
    assert worth(frames)["flash"] == pytest.approx(count / FPS)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_jump_cut_is_a_jump(seed: int) -> None:
    frames = take(seed, "static", 3.0, subject=0.25)
    cut = np.concatenate([frames[:20], frames[50:]])
    assert worth(cut)["jump"] > worth(frames)["jump"] + 0.02


# --- what must leave it alone ---


@pytest.mark.parametrize("seed", SEEDS)
def test_one_steady_shot_has_nothing_to_tell(seed: int) -> None:
    found = measure(Continuity(), clip(take(seed)))
    assert [found[name].value for name in NAMES[:5]] == [0] * 5
    assert found["jump"].value < 0.05
    assert "one shot" in found["palette"].note


def test_of_shots_that_share_nothing_the_doubt_is_told() -> None:
    found = measure(Continuity(), clip(shots([take(11, "static", 0.75), take(12, "static", 0.75)])[0]))
    assert found["palette"].std > 3
    assert found["light"].std > 0.3
    assert found["crossing"].std >= 0.2
    assert found["crossing"].value == pytest.approx(0.1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["palette", "light", "crossing"])
def test_other_faults_do_not_count(seed: int, name: str) -> None:
    most = {"palette": 1.0, "light": 0.1, "crossing": 0.1}[name]
    for frames in (blurred(edited(seed), 2), noisy(edited(seed), 8), edited(seed)[:, :, ::-1]):
        assert worth(frames)[name] == pytest.approx(clean(seed)[name], abs=most)


@pytest.mark.parametrize("seed", SEEDS)
def test_bars_hide_nothing_and_add_nothing(seed: int) -> None:
    frames = edited(seed).copy()
    frames[:, :12] = frames[:, -12:] = 0
    for name, most in (("palette", 1.5), ("light", 0.1), ("crossing", 0.1), ("flash", 0.0)):
        assert worth(frames)[name] == pytest.approx(clean(seed)[name], abs=most)


@pytest.mark.parametrize("seed", SEEDS)
def test_flicker_drops_and_pans_are_no_flash_and_hardly_a_jump(seed: int) -> None:
    for frames in (flickering(take(seed), 8), dropped(take(seed), 0.1), take(seed, speed=0.4)):
        found = worth(frames)
        assert found["flash"] == 0
        assert found["jump"] < 0.1


def test_a_fade_to_black_is_no_flash() -> None:
    frames = take(0, "static", 2.0)
    gain = np.clip(np.abs(np.arange(48) - 24) / 14 - 0.1, 0, 1)[:, None, None, None]
    assert worth(np.rint(frames * gain).astype(np.uint8))["flash"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_more_cuts_between_the_same_shots_are_no_better(seed: int) -> None:
    found = worth(overcut(edited(seed), 2, fps=FPS, seed=seed))
    assert found["crossing"] < 0.15
    assert found["palette"] < 4


# --- hard pictures ---


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_frames_tell_nothing_of_jumps(count: int) -> None:
    found = measure(Continuity(), clip(scene(count / FPS, size=(16, 16))))
    assert np.isnan(found["jump"].value)
    assert found["jump"].note


@pytest.mark.parametrize("value", [0, 255])
def test_an_empty_clip_does_not_flash(value: int) -> None:
    assert worth(np.full((12, 48, 64, 3), value, np.uint8)) == dict.fromkeys(NAMES, 0.0)
