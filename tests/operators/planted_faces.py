"""Planted faces: what the face networks would tell of actors whose every move is known, without a network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cinereward import weights
from cinereward.fusion import fuse
from cinereward.networks.faces import MOST, TOLD, Face, FaceNetworks, Found, load_faces
from cinereward.profile import Term, shape
from cinereward.testing import clip, windows_of
from cinereward.testing.tiny_faces import FIVE, plain_face, tiny_faces
from cinereward.types import Evidence, Operator, Window

Array = NDArray[Any]
Course = Callable[[float], float]
HEIGHT, WIDTH, FPS, SECONDS = 240, 400, 12.0, 5.0  # of the clip
STEP = 1 / 6  # s from one key frame to the next
EYES, BROWS, MOUTH = (
    np.r_[33:43, 87:97],
    np.r_[43:52, 97:106],
    np.r_[52:72],
)


def still(value: float = 0.0) -> Course:
    return lambda t: value


MIDDLE, HALF, LARGE, PLAIN = still(0.8), still(0.5), still(0.3), still(0.85)


def talk(t: float) -> float:
    return 0.5 + 0.35 * float(np.sin(8.2 * t)) + 0.15 * float(np.sin(13.0 * t + 1))


def glance(t: float) -> float:
    return 14 * float(np.sin(1.9 * t))


def nod(t: float) -> float:
    return 5 * float(np.sin(2.7 * t + 0.5))


def raised(t: float) -> float:
    return 0.5 - 0.5 * float(np.cos(1.3 * t))


def smile(t: float) -> float:
    return float(np.clip(np.sin(1.1 * t + 1.0), 0, 1))


def blink(t: float) -> float:
    return float(any(abs(t - at) < 0.08 for at in (1.0, 2.5, 3.5)))


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A face with a life of its own. side, x, y: in heights of the frame, of the box and its middle. Angles in degrees.

    person: one seed, or what the identity is at a time (a mixture: seed -> share). jitter: standard deviation of each
    landmark by itself, in % of the box. there: whether the detector sees the face at a time.
    """

    person: int | Callable[[float], Mapping[int, float]] = 1
    x: Course = MIDDLE
    y: Course = HALF
    side: Course = LARGE
    yaw: Course = glance
    pitch: Course = nod
    mouth: Course = talk
    brow: Course = raised
    smiles: Course = smile
    shut: Course = blink
    score: Course = PLAIN
    there: Callable[[float], bool] = lambda t: True
    jitter: float = 0.0


def photo(**changes: Any) -> Actor:
    """A face that does nothing at all."""
    flat = dict.fromkeys(("yaw", "pitch", "brow", "smiles", "shut"), still(0.0)) | {"mouth": still(0.2)}
    return Actor(**{**flat, **changes})


@cache
def _vector(*seed: int) -> Array:
    draw = np.random.default_rng(seed).normal(size=512)
    return np.asarray(draw / np.linalg.norm(draw))


def embedding(actor: Actor, t: float, seed: int) -> Array:
    """Of unit length; two of one person have a cosine of about 0.8, less where the head is turned."""
    shares = actor.person(t) if callable(actor.person) else {actor.person: 1.0}
    whole = sum(share * _vector(person) for person, share in shares.items())
    if actor.yaw is not glance and actor.mouth(0) == actor.mouth(0.31):  # a photograph: the same pixels again
        seed = 0
    whole = whole / np.linalg.norm(whole) + 0.5 * _vector(7, seed) + 0.01 * abs(actor.yaw(t)) * _vector(9)
    return np.asarray(whole / np.linalg.norm(whole), np.float32)


def landmarks(actor: Actor, t: float, seed: int) -> tuple[Array, Array]:
    """106 and 5 points in the frame, in its heights: a head in three dimensions, turned, under a distant camera."""
    flat = plain_face()
    flat[BROWS, 1] -= 0.08 * actor.brow(t)
    for eye in (EYES[:10], EYES[10:]):
        middle = flat[eye, 1].mean()
        flat[eye, 1] = middle + (flat[eye, 1] - middle) * (1 - 0.9 * actor.shut(t))
    lips = flat[MOUTH] - [0, 0.45]
    flat[MOUTH] = [0, 0.45] + lips * [1 + 0.3 * actor.smiles(t), 0.4 + 1.4 * actor.mouth(t)]
    flat[8:25, 1] += 0.1 * actor.mouth(t) * np.sin(np.linspace(0, np.pi, 17))  # the jaw goes down with it
    both = np.concatenate([flat, FIVE])
    bulge = 0.8 * np.sqrt(np.clip(1 - 0.85 * both[:, 0] ** 2 - 0.5 * (both[:, 1] - 0.1) ** 2, 0, 1))
    bulge[72:87] += 0.3 * np.clip((both[72:87, 1] + 0.3) / 0.4, 0, 1)
    bulge[108] += 0.3  # the tip of the nose among the five
    yaw, pitch = np.radians(actor.yaw(t)), np.radians(actor.pitch(t))
    x = both[:, 0] * np.cos(yaw) + bulge * np.sin(yaw)
    z = -both[:, 0] * np.sin(yaw) + bulge * np.cos(yaw)
    turned = np.stack([x, both[:, 1] * np.cos(pitch) + z * np.sin(pitch)], axis=1)
    turned += 0.02 * actor.jitter * np.random.default_rng((3, seed)).normal(size=turned.shape)
    placed = np.array([actor.x(t), actor.y(t)]) + 0.5 * actor.side(t) * turned
    return placed[:106], placed[106:]


def face(actor: Actor, t: float, at: int, told: bool = True) -> Face:
    """What the networks tell of an actor in the at-th frame of the clip."""
    marks, points = landmarks(actor, t, at)
    middle, half = np.array([actor.x(t), actor.y(t)]), actor.side(t) / 2
    unit = HEIGHT
    told = told and actor.side(t) * HEIGHT >= 20
    return Face(
        box=np.concatenate([middle - half, middle + half]).astype(np.float32) * unit,
        score=actor.score(t),
        points=np.asarray(points * unit, np.float32),
        embedding=embedding(actor, t, at) if told else None,
        landmarks=np.asarray(marks * unit, np.float32) if told else None,
    )


def networks(*actors: Actor) -> Callable[[Sequence[Window]], list[Found]]:
    """Networks that see these actors in every key frame, whatever the picture shows."""

    def look(windows: Sequence[Window]) -> list[Found]:
        out: list[Found] = []
        for window in windows:
            found: Found = {}
            for row in window.features["keys"].tolist():
                t, at = float(window.times[row]), window.start_frame + row
                shown = [actor for actor in actors if actor.there(t)]
                shown = sorted(shown, key=lambda actor: -actor.side(t))[:MOST]
                faces = [face(actor, t, at, n < TOLD) for n, actor in enumerate(shown)]
                found[row] = tuple(sorted(faces, key=lambda one: -one.score))
            out.append(found)
        return out

    return look


@cache
def tiny() -> FaceNetworks:
    """The true networks' code over small random weights, loaded as a user's own are."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINEREWARD_HOME", f"{folder}/home")
        for name, path in tiny_faces(Path(folder) / "files").items():
            weights.add(name, path, own=True)
        return load_faces("cpu")


@cache
def pictures(cuts: tuple[float, ...] = (), seconds: float = SECONDS) -> Any:
    """Frames of coarse patches, other ones after each cut."""
    count = max(1, round(seconds * FPS))
    frames = np.zeros((count, HEIGHT, WIDTH, 3), np.uint8)
    for n in range(count):
        shot = sum(n / FPS >= cut - 1e-6 for cut in cuts)
        patch = np.random.default_rng((5, shot)).integers(0, 256, (6, 10, 3), np.uint8)
        frames[n] = np.kron(patch, np.ones((HEIGHT // 6, WIDTH // 10, 1), np.uint8))
    return frames


def measured(
    kind: Callable[..., Operator], *actors: Actor, cuts: tuple[float, ...] = (), seconds: float = SECONDS
) -> Evidence:
    """What an operator makes of these actors."""
    operator = kind(networks=networks(*actors))
    windows = windows_of(clip(pictures(cuts, seconds), FPS), 16)
    return operator.merge([part for part in operator.measure(windows) if not isinstance(part, Exception)])


# Curves as they are proposed with the operators: sub-dimension -> "operator.measurement" -> points.
CURVES: dict[str, dict[str, tuple[tuple[float, float], ...]]] = {
    "acting.consistency.face_identity": {
        "identity.similarity": ((0, 0), (0.2, 0.1), (0.35, 0.4), (0.5, 0.72), (0.65, 0.88), (0.8, 0.96), (1, 1)),
        "identity.morph": ((0, 1), (0.1, 0.97), (0.25, 0.82), (0.4, 0.5), (0.6, 0.15), (1, 0)),
        "identity.returns": ((0, 1), (0.1, 0.95), (0.25, 0.75), (0.5, 0.3), (1, 0)),
        "identity.presence": ((0, 0), (0.1, 0.15), (0.3, 0.5), (0.6, 0.82), (0.85, 0.96), (1, 1)),
        "identity.liveliness": ((0, 0.2), (0.5, 0.35), (1.5, 0.65), (3, 0.85), (6, 0.96), (12, 1)),
        "identity.twins": ((0, 1), (0.1, 0.93), (0.3, 0.75), (1, 0.3)),
    },
    "acting.expression.facial_tension": {
        "expression.activity": ((0, 0), (0.5, 0.2), (1.5, 0.5), (3, 0.78), (6, 0.94), (12, 1), (30, 0.6), (60, 0.2)),
        "expression.seen": ((0, 0), (0.1, 0.15), (0.3, 0.5), (0.6, 0.82), (0.85, 0.96), (1, 1)),
        "expression.jitter": ((0, 1), (0.3, 0.98), (1, 0.88), (3, 0.6), (6, 0.25), (12, 0)),
    },
    "acting.expression.expression_diversity": {
        "expression.diversity": ((0, 0), (0.4, 0.2), (1, 0.45), (2.5, 0.75), (5, 0.92), (10, 1)),
        "expression.seen": ((0, 0), (0.1, 0.15), (0.3, 0.5), (0.6, 0.82), (0.85, 0.96), (1, 1)),
        "expression.jitter": ((0, 1), (0.3, 0.98), (1, 0.88), (3, 0.6), (6, 0.25), (12, 0)),
    },
    "acting.expression.continuity": {
        "expression.jump": ((0, 1), (1.5, 0.97), (2.5, 0.85), (4, 0.5), (7, 0.15), (15, 0)),
        "expression.frozen": ((0, 1), (0.2, 0.93), (0.5, 0.65), (1, 0.1)),
        "expression.seen": ((0, 0), (0.1, 0.15), (0.3, 0.5), (0.6, 0.82), (0.85, 0.96), (1, 1)),
        "expression.jitter": ((0, 1), (0.3, 0.98), (1, 0.88), (3, 0.6), (6, 0.25), (12, 0)),
    },
    "visual_concept_design.character.identifiability": {
        "identity.size": ((0, 0), (0.03, 0.1), (0.06, 0.4), (0.12, 0.75), (0.2, 0.92), (0.35, 1)),
        "identity.presence": ((0, 0), (0.1, 0.15), (0.3, 0.5), (0.6, 0.82), (0.85, 0.96), (1, 1)),
    },
}


def fused(dimension: str, *evidence: Evidence) -> float:
    """A sub-dimension's score by its proposed curves."""
    terms = [
        Term.model_validate(
            {"measurement": name, "points": points, "shape": shape(points), "source": "proposed with the operator"}
        )
        for name, points in CURVES[dimension].items()
    ]
    return fuse(terms, {one.operator: one for one in evidence}, {}).value


# Against a performance: what a policy might show instead.
CHEATS: dict[str, tuple[Actor, ...]] = {
    "no face": (),
    "two faces, one of them a copy": (Actor(), Actor(x=still(1.3))),
    "a tiny face": (Actor(side=still(0.03)),),
    "faces of 3 pixels": (Actor(side=still(3 / HEIGHT)),),
    "a back turned": (Actor(there=lambda t: t < 0.5, yaw=lambda t: 200 * t),),
    "a face only in the first frame": (Actor(there=lambda t: t == 0),),
    "a still face": (photo(),),
    "a photograph that is moved": (photo(x=lambda t: 0.5 + 0.1 * t, side=lambda t: 0.3 + 0.02 * t),),
    "a still face that jitters": (photo(jitter=1.5),),
    "a face that jitters": (Actor(jitter=1.5),),
}
