from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from cinereward.batch import RewardBatch
from cinereward.types import Status

NAN = float("nan")


def batch(**changed: Any) -> RewardBatch:
    fields: dict[str, Any] = {
        "values": np.array([[0.5, NAN], [NAN, 1.0]], np.float32),
        "status": np.array([[0, 1], [3, 0]], np.int8),
        "std": np.array([[0.1, NAN], [NAN, 0.2]], np.float32),
        "scalar": np.array([0.5, NAN], np.float32),
        "dimensions": ("a.b.c", "a.b.d"),
        "reasons": (("sharp", "not asked for"), ("the file is empty", "bright")),
        "errors": (None, ValueError("the file is empty")),
        "critiques": ((), ()),
        "evidence": ({}, {}),
        "version": "test=1",
    }
    return RewardBatch(**fields | changed)


def test_its_length_is_the_number_of_clips() -> None:
    assert len(batch()) == 2


def test_the_mask_is_where_a_value_was_scored() -> None:
    assert batch().mask.tolist() == [[True, False], [False, True]]
    assert batch().mask.dtype == np.bool_


@pytest.mark.parametrize(
    ("clip", "name", "reason"),
    [(0, "a.b.c", "sharp"), (0, "a.b.d", "not asked for"), (1, "a.b.c", "the file is empty"), (1, "a.b.d", "bright")],
)
def test_a_reason_is_found_by_clip_and_name(clip: int, name: str, reason: str) -> None:
    assert batch().reason(clip, name) == reason


def test_an_unknown_name_is_told_where_to_look() -> None:
    with pytest.raises(KeyError, match=r"'a.b' is no sub_dimension of this batch; see .dimensions"):
        batch().reason(0, "a.b")


def test_torch_gives_four_tensors_equal_to_the_arrays() -> None:
    made = batch()
    tensors = made.torch()
    assert set(tensors) == {"values", "mask", "std", "scalar"}
    for name, tensor in tensors.items():
        assert torch.equal(
            torch.nan_to_num(tensor.float()), torch.nan_to_num(torch.tensor(getattr(made, name)).float())
        )
    assert tensors["values"].dtype == torch.float32
    assert tensors["mask"].dtype == torch.bool


def test_tensors_carry_no_gradient_and_share_no_memory() -> None:
    made = batch()
    tensors = made.torch("cpu")
    tensors["values"].zero_()
    assert not tensors["values"].requires_grad
    assert made.values[0, 0] == np.float32(0.5)


@pytest.mark.parametrize("name", ["values", "status", "std", "scalar"])
def test_its_arrays_cannot_be_written_to(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(batch(), name)[0] = 0


def test_what_it_was_built_from_stays_the_callers() -> None:
    values = np.array([[0.5, NAN], [NAN, 1.0]], np.float32)
    made = batch(values=values)
    values[0, 0] = 0.25
    assert made.values[0, 0] == np.float32(0.5)


def test_a_view_that_is_read_only_is_not_the_batchs_own() -> None:
    values = np.array([[0.5, NAN], [NAN, 1.0]], np.float32)
    view = values[:]
    view.setflags(write=False)
    made = batch(values=view)
    values[0, 0] = 0.25
    assert made.values[0, 0] == np.float32(0.5)


def test_what_is_replaced_leaves_the_other_arrays_where_they_are() -> None:
    made = batch()
    assert dataclasses.replace(made, level="stage").values is made.values


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch().version = "other"  # type: ignore[misc]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"values": np.zeros((2, 3), np.float32)}, r"values is float32 \(2, 3\); expected float32 \(2, 2\)"),
    ({"values": np.zeros((2, 2))}, r"values is float64 \(2, 2\); expected float32 \(2, 2\)"),
    ({"status": np.zeros((2, 2), np.int64)}, "status is int64"),
    ({"std": np.zeros((1, 2), np.float32)}, r"std is float32 \(1, 2\)"),
    ({"scalar": np.zeros(3, np.float32)}, r"scalar is float32 \(3,\); expected float32 \(2,\)"),
    ({"reasons": (("a", "b"),)}, "1 reasons for 2 clips"),
    ({"reasons": (("a", "b"), ("a",))}, "a clip's reasons must be 2"),
    ({"critiques": ()}, "0 critiques for 2 clips"),
    ({"evidence": ({},)}, "1 evidence for 2 clips"),
    ({"status": np.array([[0, 0], [3, 0]], np.int8)}, "NaN exactly where its status is not SCORED"),
    ({"values": np.array([[0.5, 0.0], [NAN, 1.0]], np.float32)}, "NaN exactly where its status is not SCORED"),
    ({"values": np.array([[1.5, NAN], [NAN, 1.0]], np.float32)}, r"values run from 1.0 to 1.5; expected \[0, 1\]"),
    ({"values": np.array([[-1, NAN], [NAN, 1.0]], np.float32)}, r"values run from -1.0 to 1.0; expected \[0, 1\]"),
    ({"values": [[0.5, NAN], [NAN, 1.0]]}, r"values is a list; expected an array float32 \(2, 2\)"),
    ({"status": np.array([[0, 9], [3, 0]], np.int8)}, "status holds 9; expected 0 SCORED, 1 GATED, .*codes of Status"),
    ({"status": np.array([[0, -1], [4, 0]], np.int8)}, "status holds -1, 4; expected"),
    ({"std": np.array([[-0.1, NAN], [NAN, 0.2]], np.float32)}, "std holds -0.1.*; expected 0 or more"),
    ({"std": np.array([[0.1, -0.5], [NAN, 0.2]], np.float32)}, "std holds -0.5; expected 0 or more"),
    ({"std": np.array([[NAN, NAN], [NAN, 0.2]], np.float32)}, "std holds nan; expected 0 or more where .* SCORED"),
    ({"std": np.array([[np.inf, NAN], [NAN, 0.2]], np.float32)}, "std holds inf; expected 0 or more"),
]


@pytest.mark.parametrize(("changed", "told"), BAD)
def test_a_contradiction_is_told(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        batch(**changed)


def test_folding_needs_the_weights_of_a_profile() -> None:
    with pytest.raises(ValueError, match="without the weights of a profile"):
        batch().fold("aspect")


def test_an_unknown_level_lists_the_levels() -> None:
    with pytest.raises(ValueError, match="expected one of sub_dimension, dimension, aspect, stage"):
        batch().fold("genre")


def test_folding_is_what_the_profile_folds() -> None:
    made = batch(folder=lambda given, level: dataclasses.replace(given, level=level))
    assert made.fold("stage").level == "stage"


def test_the_status_of_the_mask_is_scored() -> None:
    made = batch()
    assert (made.status[made.mask] == Status.SCORED).all()
