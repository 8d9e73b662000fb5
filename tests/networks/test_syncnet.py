"""SyncNet: the original's numbers on the same inputs and weights, and files that are no SyncNet."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinereward import weights
from cinereward.errors import WeightsError
from cinereward.networks import running
from cinereward.networks import syncnet as networks
from cinereward.networks.syncnet import (
    TRUE,
    SyncNet,
    build,
    compare,
    distances,
    layout,
    load_syncnet,
    mfcc,
    read_state,
    synchrony,
)
from cinereward.testing.tiny_syncnet import TINY, random_syncnet, tiny_syncnet

from .syncnet_inputs import CASES, SEED, inputs, planted

torch = pytest.importorskip("torch")
# What the original gave: its repository, commit and call stand in the file
REFERENCE = json.loads((Path(__file__).parent / "syncnet_reference.json").read_text(encoding="utf-8"))


@cache
def network(widths: Any = TRUE, seed: int = SEED) -> SyncNet:
    state = {name: torch.from_numpy(value) for name, value in random_syncnet(seed, widths).items()}
    return build(state, "cpu")


@cache
def compared(case: str) -> np.ndarray:
    return compare(network(), *inputs(case))


# --- against the original ---


@pytest.mark.parametrize("case", CASES)
def test_the_distances_are_the_originals(case: str) -> None:
    far, told = compared(case), REFERENCE["cases"][case]
    assert far.shape == (told["rows"], 31)
    np.testing.assert_allclose(far.mean(axis=0), told["mean_distances"], atol=1e-4)
    np.testing.assert_allclose(far[0], told["first_row"], atol=1e-4)
    np.testing.assert_allclose(far[-1], told["last_row"], atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_distance_confidence_and_offset_are_the_originals(case: str) -> None:
    came, told = synchrony(compared(case)), REFERENCE["cases"][case]
    assert came.distance == pytest.approx(told["distance"], abs=1e-4)
    assert came.confidence == pytest.approx(told["confidence"], abs=1e-4)
    assert came.offset == told["offset"]


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_a_planted_offset_is_told_as_the_original_tells_it(late: int) -> None:
    far, told = distances(*planted(late)), REFERENCE["planted"][str(late)]
    np.testing.assert_allclose(far.mean(axis=0), told["mean_distances"], atol=1e-4)
    assert synchrony(far).offset == told["offset"] == -late
    assert synchrony(far).confidence == pytest.approx(told["confidence"], abs=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_the_cepstra_are_those_of_python_speech_features(case: str) -> None:
    rows, told = mfcc(inputs(case)[1]), REFERENCE["cases"][case]
    assert rows.shape == (told["mfcc_rows"], 13)
    for at, expected in told["mfcc"].items():
        np.testing.assert_allclose(rows[int(at)], expected, atol=2e-6)
    assert rows.sum() == pytest.approx(told["mfcc_sum"], abs=1e-3)


# --- the sound ---


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 9), st.integers(0, 10))
def test_cepstra_do_not_depend_on_how_many_are_made_at_a_time(count: int, block: int, seed: int) -> None:
    samples = np.random.default_rng(seed).integers(-30_000, 30_000, count).astype(np.int16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "BLOCK", block)
        few = mfcc(samples)
    np.testing.assert_allclose(few, mfcc(samples), rtol=1e-12, atol=1e-9)


def test_silence_has_finite_cepstra() -> None:
    assert np.isfinite(mfcc(np.zeros(1000, np.int16))).all()


def test_sound_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="expected int16"):
        mfcc(np.zeros(1000, np.float32))  # type: ignore[arg-type]


# --- distances ---


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 8), st.integers(0, 99))
def test_distances_are_those_of_the_shifted_rows(count: int, size: int, reach: int, seed: int) -> None:
    lips, sounds = np.random.default_rng(seed).standard_normal((2, count, size)).astype(np.float32)
    far = distances(lips, sounds, reach)
    for row in range(count):
        for shift in range(-reach, reach + 1):
            there = sounds[row + shift] if 0 <= row + shift < count else np.zeros(size)
            expected = np.sqrt(((lips[row] - there + 1e-6) ** 2).sum())
            assert far[row, shift + reach] == pytest.approx(expected, abs=1e-5)


def test_five_pictures_are_refused_where_the_original_crashes() -> None:
    pictures, samples = inputs("sound that is shorter")
    with pytest.raises(ValueError, match="at least 6 pictures"):
        compare(network(TINY), pictures[:5], samples)
    with pytest.raises(ValueError, match="at least 6 pictures"):
        compare(network(TINY), pictures, samples[:3800])
    assert compare(network(TINY), pictures[:6], samples).shape == (1, 31)


def test_a_stretch_does_not_depend_on_those_beside_it() -> None:
    pictures, _ = inputs("sound that is shorter")
    together = network(TINY).lips(pictures[:20])
    alone = [network(TINY).lips(pictures[at : at + 5])[0] for at in range(16)]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_many_pictures_are_handled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, _ = inputs("sound that is shorter")
    whole = network(TINY).lips(pictures[:14])
    monkeypatch.setattr(networks, "PIECE", 3)
    np.testing.assert_array_equal(network(TINY).lips(pictures[:14]), whole)


# --- files ---


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CINEREWARD_HOME", str(tmp_path / "home"))
    running.forget()
    return tmp_path


def expected_lips() -> np.ndarray:
    return network(TINY, 0).lips(inputs("sound that is shorter")[0][:8])


def test_a_checkpoint_is_found_and_loaded(home: Path) -> None:
    weights.add("syncnet", tiny_syncnet(home / "given"), own=True)
    loaded = load_syncnet("cpu")
    np.testing.assert_array_equal(loaded.lips(inputs("sound that is shorter")[0][:8]), expected_lips())
    assert load_syncnet("cpu") is loaded


def test_safetensors_are_loaded_too(home: Path) -> None:
    from safetensors.torch import save_file

    path = home / "syncnet_v2.safetensors"
    save_file({name: torch.from_numpy(value) for name, value in random_syncnet(0, TINY).items()}, path)
    loaded = build(read_state(path), "cpu")
    np.testing.assert_array_equal(loaded.lips(inputs("sound that is shorter")[0][:8]), expected_lips())


def test_a_file_of_the_old_kind_is_loaded_too(home: Path) -> None:
    path = home / "syncnet_v2.model"
    state = {n: torch.from_numpy(v) for n, v in random_syncnet(0, TINY).items() if "batches" not in n}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert set(read_state(path)) == set(state)


def test_the_true_checkpoint_has_these_tensors() -> None:
    shapes = layout(TRUE)
    assert len(shapes) == 102
    assert shapes["netcnnaud.18.weight"] == (512, 256, 5, 4)
    assert shapes["netcnnlip.0.weight"] == (96, 3, 5, 7, 7)
    assert shapes["netfclip.3.weight"] == (1024, 512)
    assert 4 * sum(int(np.prod(shape)) for shape in shapes.values()) == pytest.approx(54.5e6, rel=0.01)


def without(name: str) -> dict[str, np.ndarray]:
    return {key: value for key, value in random_syncnet(0, TINY).items() if key != name}


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (without("netcnnlip.8.weight"), "lacks netcnnlip.8.weight"),
        (without("netfclip.1.running_var"), "lacks netfclip.1.running_var"),
        (random_syncnet(0, TINY) | {"extra.weight": np.zeros(3, np.float32)}, "extra.weight"),
        (random_syncnet(0, TINY) | {"netcnnaud.4.weight": np.zeros((6, 4, 5, 5), np.float32)}, "netcnnaud.4.weight"),
        ({"conv1.weight": np.zeros((3, 3), np.float32)}, "conv1.weight"),
        ({}, "nothing"),
    ],
)
def test_another_architecture_is_told_by_name(home: Path, state: dict[str, np.ndarray], told: str) -> None:
    path = home / "odd.model"
    torch.save({name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}, path)
    with pytest.raises(WeightsError, match=told) as raised:
        read_state(path)
    assert "cinereward weights add syncnet" in str(raised.value)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("suffix", [".model", ".safetensors"])
def test_a_file_cut_short_is_told(home: Path, share: float, suffix: str) -> None:
    whole = tiny_syncnet(home / "given").read_bytes()
    path = home / f"cut{suffix}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(path)


def test_a_file_that_would_run_code_is_not_loaded(home: Path) -> None:
    path = home / "evil.model"
    torch.save({"netcnnaud.0.weight": Path("/")}, path)  # any object beyond tensors is one too many
    with pytest.raises(WeightsError, match="cannot be read"):
        read_state(path)


def test_something_else_than_tensors_is_told(home: Path) -> None:
    path = home / "list.model"
    torch.save([1, 2], path)
    with pytest.raises(WeightsError, match="holds a list"):
        read_state(path)
