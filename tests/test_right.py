"""Prompt following: planted evidence, prompts, and the vector that comes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from cinereward.adapters import Floor, of_batch
from cinereward.batch import RewardBatch
from cinereward.errors import ClipError
from cinereward.fusion import Fused, fuse
from cinereward.operators.camera import Camera
from cinereward.operators.objects import Objects
from cinereward.operators.reference import Reference
from cinereward.operators.semantics import Semantics
from cinereward.profile import Term
from cinereward.right import NAMES, asked_of, pack, score_right
from cinereward.testing import clip as film
from cinereward.testing import measure, scene
from cinereward.types import Clip, Evidence, Measurement, Status

ALL = "Two red cars race left of a bus, pan left, anime"
OPERATORS = {kind.spec.name: kind.spec for kind in (Camera, Objects, Reference, Semantics)}


@cache
def terms() -> Mapping[str, tuple[Term, ...]]:
    path = Path(__file__).resolve().parents[1] / "configs" / "curves" / "right.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: tuple(Term.model_validate(term) for term in some) for name, some in content.items()}


def evidence(value: float = 1.0, **changed: float) -> dict[str, Evidence]:
    """Every measurement that right goes by, all of one value but for those that are named "operator__measurement"."""
    names = {term.measurement for some in terms().values() for term in some}
    out: dict[str, dict[str, Measurement]] = {}
    for name in sorted(names):
        operator, _, measurement = name.partition(".")
        told = changed.get(f"{operator}__{measurement}", value)
        note = "planted" if math.isnan(told) else ""
        out.setdefault(operator, {})[measurement] = Measurement(name=measurement, value=told, unit="share", note=note)
    return {operator: Evidence(operator=operator, measurements=some) for operator, some in out.items()}


def scored(prompt: str, value: float = 1.0, **changed: float) -> dict[str, Fused]:
    found = evidence(value, **changed)
    clip = Clip("film.mp4", prompt=prompt)
    return dict(zip(NAMES, score_right(clip, terms(), lambda some: fuse(some, found, {})), strict=True))


@cache
def gone(way: str) -> Evidence:
    """What is measured of a film in which the camera goes left, right, up or down."""
    path = np.zeros((36, 4))
    axis, sign = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}[way]
    path[:, axis] = sign * np.linspace(-0.075, 0.075, 36)
    return measure(Camera(), film(scene(1.5, 24.0, path=path), 24.0))


def packed(*prompts: str, value: float = 1.0, **changed: float) -> RewardBatch:
    rows = [tuple(scored(prompt, value, **changed).values()) for prompt in prompts]
    return pack(rows, errors=[None] * len(rows), evidence=[{}] * len(rows), version="planted")


def test_the_eight_names_in_their_order() -> None:
    assert list(NAMES) == [
        "subject",
        "count",
        "colour",
        "spatial_relation",
        "action",
        "camera_move",
        "style",
        "reference",
    ]
    assert set(terms()) == set(NAMES)


def test_every_term_is_of_a_measurement_that_an_operator_promises() -> None:
    promised = {f"{name}.{item.name}" for name, spec in OPERATORS.items() for item in spec.measurements}
    assert {term.measurement for some in terms().values() for term in some} <= promised


def test_what_is_asked_for_and_shown_scores_high_and_the_reference_is_gated() -> None:
    vector = scored(ALL)
    assert [name for name in NAMES if vector[name].status is Status.GATED] == ["reference"]
    assert min(vector[name].value for name in NAMES if name != "reference") > 0.9


def test_what_is_asked_for_and_not_shown_scores_low() -> None:
    vector = scored(ALL, value=0.0)
    assert max(vector[name].value for name in NAMES if name != "reference") < 0.1


def test_an_empty_prompt_asks_for_nothing() -> None:
    assert {cell.status for cell in scored("").values()} == {Status.GATED}


def test_a_prompt_without_a_thing_is_held_against_the_picture_as_a_whole() -> None:
    vector = scored("beautiful and calm")
    assert [term.measurement for term in vector["subject"].terms] == ["semantics.whole"]
    assert {name for name, cell in vector.items() if cell.status is Status.SCORED} == {"subject"}


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_the_pixels_never_decide_what_is_asked_for(value: float) -> None:
    for prompt in (ALL, "a dog", "slow zoom in", "watercolour"):
        assert {name: cell.status for name, cell in scored(prompt, value).items()} == {
            name: cell.status for name, cell in scored(prompt).items()
        }


def test_a_thing_that_the_detector_has_no_name_for_is_told_by_semantics_alone() -> None:
    told = {term.measurement for term in scored("a red fox listens")["subject"].terms}
    assert told == {"semantics.subject", "semantics.whole"}
    assert "objects.subject" in {term.measurement for term in scored("a dog listens")["subject"].terms}


def test_a_relation_of_things_that_nobody_knows_is_unavailable() -> None:
    assert scored("a fox left of a castle")["spatial_relation"].status is Status.UNAVAILABLE
    assert scored("a dog left of a cat")["spatial_relation"].status is Status.SCORED


@pytest.mark.parametrize(
    ("prompt", "measurement"),
    [
        ("the camera pans", "camera.pan"),
        ("the camera tilts", "camera.tilt"),
        ("pan left", "camera.pan_left"),
        ("truck right", "camera.pan_right"),
        ("tilt up", "camera.tilt_up"),
        ("crane down", "camera.tilt_down"),
        ("向左摇", "camera.pan_left"),
        ("镜头上摇", "camera.tilt_up"),
        ("zoom out", "camera.pull"),
        ("handheld", "camera.handheld"),
    ],
)
def test_a_move_is_held_against_that_move_of_the_camera(prompt: str, measurement: str) -> None:
    assert [term.measurement for term in scored(prompt)["camera_move"].terms] == [measurement]


@pytest.mark.parametrize(
    ("prompt", "shown", "other"),
    [
        ("pan left", "left", "right"),
        ("镜头向左摇", "left", "right"),
        ("truck right past a market", "right", "left"),
        ("向右平移", "right", "left"),
        ("tilt up to the sky", "up", "down"),
        ("镜头上摇", "up", "down"),
        ("the camera lowers", "down", "up"),
        ("下摇", "down", "up"),
    ],
)
def test_a_move_the_other_way_is_not_what_was_asked_for(prompt: str, shown: str, other: str) -> None:
    def value(way: str) -> float:
        found = {"camera": gone(way)}
        vector = score_right(Clip("film.mp4", prompt=prompt), terms(), lambda some: fuse(some, found, {}))
        return dict(zip(NAMES, vector, strict=True))["camera_move"].value

    assert value(shown) > 0.9
    assert value(other) < 0.1


def test_a_static_camera_is_what_was_asked_for_or_its_opposite() -> None:
    assert (
        scored("static shot", 1.0)["camera_move"].value > 0.9 > 0.1 > scored("tracking shot", 1.0)["camera_move"].value
    )
    assert (
        scored("static shot", 0.0)["camera_move"].value < 0.1 < 0.9 < scored("tracking shot", 0.0)["camera_move"].value
    )


def test_a_still_picture_of_the_subject_does_not_do_what_is_asked() -> None:
    still, moving = (scored("a dog jumps", semantics__movement=pace)["action"].value for pace in (0.0, 0.1))
    assert still < 0.1
    assert moving > 0.85


def test_a_measurement_that_came_to_nothing_is_a_failure() -> None:
    vector = scored("two dogs", objects__count=math.nan)
    assert vector["count"].status is Status.FAILED
    assert "planted" in vector["count"].reason


def test_a_reference_is_asked_for_by_the_clip() -> None:
    assert "reference" not in asked_of(Clip("a.mp4", prompt="a dog"))
    assert "reference" in asked_of(Clip("a.mp4", reference="b.png"))
    assert "first_frame" not in asked_of(Clip("a.mp4", reference="b.png", task="r2v"))
    assert "first_frame" in asked_of(Clip("a.mp4", reference="b.png", task="i2v"))
    assert "first_frame" not in asked_of(Clip("a.mp4", task="i2v"))


def test_the_first_frame_counts_where_it_was_given() -> None:
    def of(task: str) -> set[str]:
        clip = Clip("a.mp4", reference="b.png", task=task)
        return {
            term.measurement for term in score_right(clip, terms(), lambda some: fuse(some, evidence(), {}))[-1].terms
        }

    assert of("i2v") - of("r2v") == {"reference.first"}


def test_what_cannot_be_settled_keeps_its_status_and_reason() -> None:
    absent = Fused(value=math.nan, std=math.nan, status=Status.UNAVAILABLE, reason="weights are missing")
    vector = score_right(Clip("a.mp4", prompt="two dogs"), terms(), lambda some: absent)
    assert [cell.reason for cell in vector[:2]] == ["weights are missing"] * 2


def test_a_name_that_is_none_of_the_eight_is_refused() -> None:
    with pytest.raises(ValueError, match="right has terms for beauty; expected some of subject, count"):
        score_right(Clip("a.mp4"), {"beauty": ()}, lambda some: fuse(some, {}, {}))


# --- the batch ---


def test_the_batch_has_a_row_a_clip_and_eight_columns() -> None:
    batch = packed(ALL, "a dog", "")
    assert batch.values.shape == (3, 8)
    assert (batch.level, batch.dimensions) == ("right", tuple(NAMES))
    assert batch.reason(2, "subject") == "the prompt is empty"


def test_the_scalar_is_the_mean_of_what_is_scored() -> None:
    batch = packed(ALL, "a dog", "", value=0.5)
    for row in (0, 1):
        assert batch.scalar[row] == pytest.approx(np.nanmean(batch.values[row]))
    assert np.isnan(batch.scalar[2])


def test_the_scalar_is_no_number_where_a_value_failed() -> None:
    assert np.isnan(packed("two dogs", objects__count=math.nan).scalar[0])


def test_no_clips_give_an_empty_batch() -> None:
    assert packed().values.shape == (0, 8)


def test_errors_and_evidence_are_carried_along() -> None:
    error, found = ClipError("no frames"), evidence()
    batch = pack([tuple(scored("").values())], errors=[error], evidence=[found], version="planted")
    assert batch.errors == (error,)
    assert batch.evidence == (found,)


def test_a_short_row_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows have \[7\] values; expected 8"):
        pack([tuple(scored("").values())[:7]], errors=[None], evidence=[{}], version="planted")


@pytest.mark.parametrize(("name", "under"), [("right.subject", [0]), ("right", [0]), ("right.style", [])])
def test_right_is_a_floor_for_training(name: str, under: list[int]) -> None:
    rows = [tuple(scored("two dogs", value).values()) for value in (0.1, 0.8, 0.9, 1.0)]
    right = pack(rows, errors=[None] * 4, evidence=[{}] * 4, version="planted")
    good = np.array([[0.9], [0.5], [0.6], [0.7]], np.float32)
    batch = RewardBatch(
        **dict(values=good, status=np.zeros((4, 1), np.int8), std=np.zeros_like(good), scalar=good[:, 0]),
        **dict(dimensions=("beauty",), reasons=(("",),) * 4, errors=(None,) * 4, critiques=((),) * 4),
        **dict(evidence=({},) * 4, version="planted", right=right),
    )
    made = of_batch(batch, [0] * 4, floors=[Floor(dimension=name, at_least=0.4)])
    assert np.flatnonzero(made.under_floor).tolist() == under
    if under:
        assert made.value[0] == made.value.min() < 0
