"""VBench's measures: the numbers of its own code on the same weights and frames, and its formulas by themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import FILMS, film
from hypothesis import given
from hypothesis import strategies as st
from vision import installed

from cinereward import weights
from cinereward.networks.clip import ImageText
from cinereward.networks.dino import Dino
from cinereward.networks.raft import Raft, load_raft
from cinereward.operators import vbench
from cinereward.operators.vbench import VBench, consistency, decoded, fastest, interval, kept, moves, undecided
from cinereward.testing import OperatorConformance, clip, measure, scene, windows_of
from cinereward.testing.tiny_vision import tiny_raft

NUMBERS = json.loads((Path(__file__).parent / "vbench_reference.json").read_text())["films"]
FOUR = ("subject_consistency", "background_consistency", "temporal_flickering", "dynamic_degree")


@pytest.fixture(scope="module", autouse=True)
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    with installed(home, "dino-vitb16", "clip-vit-b32"):
        weights.add("raft-things", tiny_raft(home, authors=True, narrow=False), own=True)
        weights.add("raft-large", tiny_raft(home), own=True)
        yield


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What is measured of each film, in windows between which pairs of frames are split."""
    operator = VBench("cpu")
    return {name: measure(operator, clip(film(name), FILMS[name][2]), 3) for name in FILMS}


@pytest.mark.parametrize("measurement", FOUR)
@pytest.mark.parametrize("name", FILMS)
def test_the_number_is_that_of_vbenchs_own_code(found: dict[str, Any], name: str, measurement: str) -> None:
    assert found[name][measurement].value == pytest.approx(float(NUMBERS[name][measurement]), abs=1e-4)


@pytest.mark.parametrize("name", FILMS)
def test_the_motion_of_each_pair_is_that_of_vbenchs_own_code(found: dict[str, Any], name: str) -> None:
    track = found[name]["motion_track"]
    assert len(track.value) == len(NUMBERS[name]["motion"])  # of so few pairs each one decides
    assert track.value == pytest.approx(NUMBERS[name]["motion"], abs=1e-4)
    assert track.times[0] == pytest.approx(interval(FILMS[name][2]) / FILMS[name][2])


def test_the_reference_tells_clips_apart() -> None:
    """Else equal numbers would show nothing."""
    for measurement in FOUR:
        assert len({round(float(row[measurement]), 3) for row in NUMBERS.values()}) > 1


# --- planted networks ---


def planted(speeds: Any = lambda pairs: np.zeros(len(pairs))) -> VBench:
    """Networks that see the mean level of a picture as an angle, and motion as `speeds` says of pairs."""

    def angles(rows: np.ndarray) -> np.ndarray:
        at = rows.mean(axis=(1, 2, 3)) * np.pi / 200
        return np.stack([np.cos(at), np.sin(at)], axis=1).astype(np.float32)

    def see(pairs: np.ndarray) -> np.ndarray:
        flow = np.zeros((len(pairs), 128, 128, 2), np.float32)
        flow[:] = np.asarray(speeds(pairs), np.float32).reshape(-1, 1, 1, 1) / np.sqrt(2)
        return flow

    dino = Dino(lambda rows: (angles(rows), np.zeros((len(rows), 1, 1, 2), np.float32)), width=2)
    return VBench(dino=dino, clip=ImageText(angles), raft=Raft(see))


def levels(*values: int) -> np.ndarray:
    return np.stack([np.full((128, 128, 3), value, np.uint8) for value in values])


def test_a_changed_frame_is_held_against_the_one_before_and_the_first() -> None:
    found = measure(planted(), clip(levels(0, 0, 100, 100)))
    # cosines with the frame before: 1, 0, 1; with the first: 1, 0, 0
    assert found["subject_consistency"].value == pytest.approx((1 + 0 + 0.5) / 3, abs=1e-6)
    assert found["background_consistency_track"].value == pytest.approx([1, 0, 0.5], abs=1e-6)


def test_flicker_is_the_mean_step_of_level() -> None:
    assert measure(planted(), clip(levels(0, 51, 0)))["temporal_flickering"].value == pytest.approx(0.8)


def test_what_points_away_counts_as_nothing_alike() -> None:
    assert measure(planted(), clip(levels(0, 200)))["subject_consistency"].value == 0


def test_enough_moving_pairs_make_a_clip_dynamic() -> None:
    def course(moving: int) -> float:
        frames = levels(*range(0, 34 * 3))  # 34 sampled frames: 8 pairs must move
        operator = planted(lambda pairs: np.where(pairs[:, 1].mean(axis=(1, 2, 3)) <= 3 * moving, 3.1, 2.9))
        return float(measure(operator, clip(frames), 7)["dynamic_degree"].value)

    assert [course(7), course(8)] == [0.0, 1.0]


def asked(speed: float, frames: np.ndarray, length: int = 7) -> tuple[int, Any]:
    """How many pairs RAFT was asked of, all moving at this speed, and what was found."""
    seen: list[int] = []

    def speeds(pairs: np.ndarray) -> np.ndarray:
        seen.append(len(pairs))
        return np.full(len(pairs), speed)

    found = measure(planted(speeds), clip(frames), length)
    return sum(seen), found


def test_raft_is_asked_no_more_once_enough_pairs_move() -> None:
    count, found = asked(3.1, levels(*range(0, 34 * 3)))  # 34 sampled frames: 8 of 33 pairs must move
    assert count == 8 == len(found["motion_track"].value)
    assert found["dynamic_degree"].value == 1
    assert "25 more" in found["motion"].note


def test_raft_is_asked_no_more_once_too_few_are_left() -> None:
    count, found = asked(2.9, levels(*range(0, 34 * 3)))
    assert count == 33 - 8 + 1
    assert found["dynamic_degree"].value == 0


def test_pairs_after_the_bound_are_all_looked_at_however_the_clip_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vbench, "LAZY", 2.0)  # at 24 a second 16 frames are sampled before it
    for length in (1, 2, 7, 16, 48, 1000):
        count, found = asked(2.9, levels(*range(0, 34 * 3)), length)
        assert count == 18 + 15 - 8 + 1  # until the early ones cannot make up for the late ones
        assert list(found["motion_track"].times[-18:]) == pytest.approx([at / 8 for at in range(16, 34)])
        count, found = asked(3.1, levels(*range(0, 34 * 3)), length)
        assert count == 18
        assert found["dynamic_degree"].value == 1


@given(st.lists(st.booleans(), max_size=12), st.integers(0, 14))
def test_pairs_are_left_out_only_where_they_change_nothing(course: list[bool], wanted: int) -> None:
    at = 0
    while some := undecided(wanted - sum(course[:at]), len(course) - at):
        at += some
    assert at <= len(course)
    least, most = sum(course[:at]), sum(course[:at]) + len(course) - at
    assert (least >= wanted) == (most >= wanted)  # whatever the others show
    if at:
        assert sum(course[: at - 1]) < wanted <= sum(course[: at - 1]) + len(course) - at + 1  # and no pair too many


def test_kept_frames_come_back_to_the_last_bit() -> None:
    frames = np.random.default_rng(3).integers(0, 256, (3, 33, 47, 3), np.uint8)
    (window,) = windows_of(clip(frames, 8.0))
    rows = kept(window, np.arange(3))
    ends = np.cumsum(rows["kept_bytes"])
    assert np.array_equal(decoded(np.split(rows["codes"], ends[:-1])), frames)


def test_a_single_frame_has_no_consistency_and_says_so() -> None:
    found = measure(planted(), clip(levels(9)))
    assert np.isnan(found["subject_consistency"].value)
    assert "one frame" in found["subject_consistency"].note
    assert found["dynamic_degree"].value == 0


# --- formulas ---


@given(st.floats(1, 240))
def test_motion_is_looked_for_about_eight_times_a_second(fps: float) -> None:
    assert interval(fps) == max(1, round(fps / 8))


@given(st.integers(0, 1000))
def test_the_fastest_twentieth_is_that_of_a_full_sort(seed: int) -> None:
    flow = np.random.default_rng(seed).normal(size=(2, 16, 24, 2)).astype(np.float32)
    speed = np.sort(np.sqrt((flow**2).sum(axis=-1)).reshape(2, -1), axis=1)[:, ::-1]
    assert np.allclose(fastest(flow), speed[:, : int(16 * 24 * 0.05)].mean(axis=1), atol=1e-6)


def test_identical_points_are_wholly_consistent() -> None:
    assert consistency(np.tile(np.float32([0.6, 0.8]), (4, 1))) == pytest.approx([1, 1, 1])


def test_with_few_frames_any_pair_makes_a_clip_dynamic_as_in_vbench() -> None:
    assert moves(np.zeros(1), 128, 2)
    assert not moves(np.zeros(0), 128, 1)
    assert not moves(np.zeros(2), 128, 3)


# --- conformance ---


class TestConformance(OperatorConformance):
    lengths = (1, 5)

    def operator(self) -> VBench:
        return VBench("cpu", raft=load_raft("cpu", updates=1))  # narrow and hasty: it is asked many times

    def clips(self) -> list[Any]:
        return [clip(scene((5 + 2 * n) / 24, size=(32, 48), seed=n), clip_id=str(n)) for n in range(3)]
