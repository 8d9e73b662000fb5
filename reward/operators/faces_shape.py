"""What a face does: landmarks taken apart into where the head is, how it is turned, what it expresses, and jitter.

A head that turns is a rigid thing under a weak camera: its landmarks move as an affine picture of three-dimensional
points. What is left after that is expression where the face is soft (eyes, brows, mouth), and jitter of the detector
where it is not (the nose and the outline beside the eyes).
Sources: "Generalized Procrustes analysis", Gower, 1975; "Affine structure from motion", Koenderink & van Doorn, 1991.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.networks.faces import similarity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]
    Int = NDArray[np.int64]

LEFT_EYE, RIGHT_EYE = np.arange(33, 43), np.arange(87, 97)  # of InsightFace's 106
LEFT_BROW, RIGHT_BROW = np.arange(43, 52), np.arange(97, 106)
MOUTH, NOSE, OUTLINE = np.arange(52, 72), np.arange(72, 87), np.arange(33)
EYES, BROWS = np.concatenate([LEFT_EYE, RIGHT_EYE]), np.concatenate([LEFT_BROW, RIGHT_BROW])
GROUPS = ("mouth", "mouth", "mouth", "mouth", "eyes", "eyes", "brows", "brows")  # of the eight numbers of a state
HELD = {"eyes": 1.0, "nose": 1.0, "outline": 0.5, "brows": 0.0, "mouth": 0.0}  # how much each tells of the head
JAW = 0.35  # how far down from the eyes to the mouth the jaw begins: it goes with the mouth, and tells nothing
DEPTH = {"eyes": 0.0, "brows": 0.1, "mouth": 0.15}  # towards the viewer, in sizes of a face; nose and outline below
POSED = np.array([0.3, 0.3, 0.5])  # sizes of a face that landmarks move, on the whole, with one of depth or narrowness
PIXEL = 0.25  # pixels by which a landmark errs even on a large face
ENOUGH = 10  # moments from which one can tell what goes along with the turns of a head
LEAST_POINTS = 4  # moments that tell what a face does


@dataclass(frozen=True, kw_only=True, eq=False)
class Acting:
    """What one face does over n moments; lengths in % of its size (root mean square distance from its middle).

    state: float64 (n, 8), the mouth's opening, width and place (x, y), the opening of the eyes, the height of the
    brows, of a face brought to its front and its mean size. posed: (n, 3), how far it is turned sideways, up and down,
    and sheared; shifts, size and roll are not in it, since a photograph that is moved has those too. noise: (n,), how
    far a landmark strays by itself. grain: (8,), the noise that this makes of each number of a state; grain_of_pose:
    (3,).
    """

    state: Float64
    posed: Float64
    noise: Float64
    grain: Float64
    grain_of_pose: Float64


def take_apart(marks: Float64, pixels: Float64) -> Acting:
    """Take the landmarks of one face apart.

    Args:
        marks: float64 (n, 106, 2), in any unit of length, n of 2 or more. pixels: (n,), the side of the face in pixels.
    """
    if marks.ndim != 3 or marks.shape[1:] != (106, 2) or len(marks) < 2:
        raise ValueError(f"landmarks {marks.shape}; expected (n, 106, 2) with n of 2 or more")
    held = held_by(marks)
    mean, shapes = procrustes(marks, held)
    basis = np.column_stack([np.ones(106), mean, depth(mean)])
    solver = camera_solver(basis, held)
    cameras = solver @ shapes  # (n, 4, 2): shift, the two axes of the picture, and depth
    left = shapes - basis @ cameras  # what no turn of the head explains
    sideways, up, narrow = cameras[:, 3, 0], cameras[:, 3, 1], cameras[:, 1, 0] - cameras[:, 2, 1]
    posed = 100 * np.stack([sideways, up, narrow], axis=1) * POSED
    noise, unexplained = strays(100 * left[:, stiff(held)]), np.eye(106) - basis @ solver
    # a face's size is about a third of its box's side; and the fit takes a part of the noise with it
    floor = 100 * PIXEL / max(0.33 * float(np.median(pixels)), 1.0)
    kept = float((unexplained[stiff(held)] ** 2).sum(axis=1).mean())
    typical = float(np.sqrt(np.mean(noise**2) / max(kept, 0.1) + floor**2))
    gains = np.linalg.norm(solver, axis=1)
    return Acting(
        state=without(100 * states(mean + left), posed),
        posed=posed,
        noise=noise,
        grain=typical * np.linalg.norm(slopes(mean) @ unexplained, axis=1),
        grain_of_pose=typical * POSED * np.array([gains[3], gains[3], np.hypot(gains[1], gains[2])]),
    )


def camera_solver(basis: Float64, held: Float64) -> Float64:
    """What makes of a shape (106, 2) the camera (4, 2) under which `basis` (106, 4) looks like it: float64 (4, 106).

    Eyes tell by their middles, which stay where they are when an eye shuts.
    """
    middles = unblinking(np.eye(106)[None])[0]
    firm = middles @ basis
    square = firm.T @ (held[:, None] * firm) + 1e-9 * np.eye(4)  # landmarks on one line have no depth to tell
    return np.asarray(np.linalg.solve(square, (held[:, None] * firm).T) @ middles)


def slopes(mean: Float64) -> Float64:
    """How each number of a state moves with each landmark of the mean shape, along its axis: float64 (8, 106)."""
    out = np.zeros((8, 106))
    for n, (points, axis) in enumerate(((MOUTH, 1), (MOUTH, 0), (LEFT_EYE, 1), (RIGHT_EYE, 1))):
        about = mean[points, axis] - mean[points, axis].mean()
        out[n if n < 2 else n + 2, points] = about / max(len(points) * float(about.std()), 1e-9)
    out[2:4, MOUTH] = 1 / len(MOUTH)
    for n, (eye, brow) in enumerate(((LEFT_EYE, LEFT_BROW), (RIGHT_EYE, RIGHT_BROW))):
        out[6 + n, eye], out[6 + n, brow] = 1 / len(eye), -1 / len(brow)
    return out


def without(state: Float64, posed: Float64) -> Float64:
    """States less what goes along with the turns of the head: no head has quite the depth that is taken for all.

    Args:
        state: float64 (n, 8). posed: (n, 3). With fewer than ENOUGH moments they are left as they are.
    """
    if len(state) < ENOUGH:
        return state
    about = posed - posed.mean(axis=0)
    # 0.5 % of the face: a head that hardly turns explains nothing
    share = np.linalg.solve(about.T @ about + 0.25 * len(state) * np.eye(3), about.T @ (state - state.mean(axis=0)))
    return np.asarray(state - about @ share)


def strays(points: Float64) -> Float64:
    """How far points stray by chance at each moment: float64 (n,), root mean square over points and axes.

    By second differences in time: what a head's shape adds to its turns comes and goes slowly, and chance does not.

    Args:
        points: float64 (n, k, 2). With fewer than 3 moments nothing can be told: 0.
    """
    if len(points) < 3:
        return np.zeros(len(points))
    bends = np.sqrt(np.mean(np.diff(points, n=2, axis=0) ** 2, axis=(1, 2)) / 6)
    return np.concatenate([bends[:1], bends, bends[-1:]])


def unblinking(shapes: Float64) -> Float64:
    """The shapes with every landmark of an eye in its middle, which stays where it is when the eye shuts."""
    out = shapes.copy()
    for eye in (LEFT_EYE, RIGHT_EYE):
        out[:, eye] = shapes[:, eye].mean(axis=1, keepdims=True)
    return out


def procrustes(marks: Float64, held: Float64) -> tuple[Float64, Float64]:
    """Bring shapes to one place, size and roll.

    Args:
        marks: float64 (n, 106, 2). held: float64 (106,), how much each landmark tells of the head.

    Returns:
        the mean shape, upright, about 0 and of size 1: float64 (106, 2); and the shapes on it: float64 (n, 106, 2).
    """
    first = marks[0] - marks[0].mean(axis=0)
    mean = first / max(float(np.sqrt((first**2).sum(axis=1).mean())), 1e-9)
    eyes = mean[RIGHT_EYE].mean(axis=0) - mean[LEFT_EYE].mean(axis=0)
    roll = np.arctan2(eyes[1], eyes[0])
    cosine, sine = np.cos(-roll), np.sin(-roll)
    mean = mean @ np.array([[cosine, -sine], [sine, cosine]]).T
    shapes = marks
    for _ in range(3):
        still = unblinking(np.concatenate([mean[None], marks]))
        shapes = np.stack([_onto(whole, one, still[0], held) for whole, one in zip(marks, still[1:], strict=True)])
        mean = np.median(shapes, axis=0)
        mean = mean - mean.mean(axis=0)
        mean = mean / max(float(np.sqrt((mean**2).sum(axis=1).mean())), 1e-9)
    return mean, shapes


def _onto(shape: Float64, still: Float64, mean: Float64, held: Float64) -> Float64:
    which = np.repeat(np.arange(106), np.round(held * 2).astype(int))
    matrix = similarity(still[which], mean[which])
    return np.asarray(shape @ matrix[:, :2].T + matrix[:, 2])


def held_by(marks: Float64) -> Float64:
    """How much each landmark tells of where the head is, float64 (106,).

    The jaw tells nothing: it is found by where it lies, whatever the order of the outline.

    Args:
        marks: float64 (n, 106, 2), in any place, size and roll.
    """
    out = np.zeros(106)
    for name, points in _groups().items():
        out[points] = HELD[name]
    eyes = marks[:, EYES].mean(axis=1)
    down = marks[:, MOUTH].mean(axis=1) - eyes
    along = ((marks[:, OUTLINE] - eyes[:, None]) * down[:, None]).sum(axis=2)
    out[OUTLINE[np.median(along / np.maximum((down**2).sum(axis=1), 1e-12)[:, None], axis=0) > JAW]] = 0.0
    return out


def stiff(held: Float64) -> Int:
    """The landmarks that nobody can move by themselves: the nose, and the outline beside the eyes."""
    return np.concatenate([NOSE, OUTLINE[held[OUTLINE] > 0]])


def _groups() -> dict[str, Int]:
    return {"eyes": EYES, "nose": NOSE, "outline": OUTLINE, "brows": BROWS, "mouth": MOUTH}


def depth(mean: Float64) -> Float64:
    """How near each landmark is to the viewer, in sizes of the face: float64 (106,). A plain head is taken for all."""
    out = np.zeros(106)
    for name, deep in DEPTH.items():
        out[_groups()[name]] = deep
    bridge = mean[NOSE, 1] - mean[EYES, 1].mean()
    out[NOSE] = 0.15 + 0.35 * np.clip(bridge / max(float(bridge.max()), 1e-9), 0, 1)
    out[OUTLINE] = (
        -0.6 * np.clip(np.abs(mean[OUTLINE, 0]) / max(float(np.abs(mean[OUTLINE, 0]).max()), 1e-9), 0, 1) ** 2
    )
    return out


def states(shapes: Float64) -> Float64:
    """The eight numbers of each shape of size 1, float64 (n, 8), in sizes of a face; each of many landmarks."""
    mouth = shapes[:, MOUTH]
    eyes = [shapes[:, part, 1].std(axis=1) for part in (LEFT_EYE, RIGHT_EYE)]
    brows = [
        shapes[:, eye, 1].mean(axis=1) - shapes[:, brow, 1].mean(axis=1)
        for eye, brow in ((LEFT_EYE, LEFT_BROW), (RIGHT_EYE, RIGHT_BROW))
    ]
    place = mouth.mean(axis=1)
    return np.stack(
        [mouth[..., 1].std(axis=1), mouth[..., 0].std(axis=1), place[:, 0], place[:, 1], *eyes, *brows], axis=1
    )


def group_spread(values: Float64, grain: Float64) -> dict[str, float]:
    """How far mouth, eyes and brows stray from their mean, in % of the face, beyond what noise alone would do.

    Args:
        values: float64 (n, 8), states, or means of some. grain: (8,), standard deviation of their noise.
    """
    if len(values) < 2:
        return dict.fromkeys(("mouth", "eyes", "brows"), 0.0)
    # a few moments of mere noise may stray more than noise does on the whole
    beyond = np.maximum(values.var(axis=0, ddof=1) - margin(len(values)) * grain**2, 0)
    names = np.array(GROUPS)
    return {name: float(np.sqrt(beyond[names == name].sum())) for name in ("mouth", "eyes", "brows")}


def margin(count: int) -> float:
    """How many times its true value the variance of so many draws comes to at the most: two deviations more."""
    return 1 + 2 * float(np.sqrt(2 / (count - 1)))


def head_motion(acting: Acting) -> float:
    """How far the head turns about its mean, in % of the face, beyond noise."""
    beyond = acting.posed.var(axis=0, ddof=1) - margin(len(acting.posed)) * acting.grain_of_pose**2
    return float(np.sqrt(np.maximum(beyond, 0).sum()))


def life(acting: Acting) -> float:
    """How much a face moves and changes, in % of its size: expression and turns of the head together."""
    spread: dict[str, Any] = group_spread(acting.state, acting.grain)
    return float(np.sqrt(sum(value**2 for value in spread.values()) + head_motion(acting) ** 2))
