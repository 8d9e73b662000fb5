"""Bodies by their joints: how tall, limbs longer than they can be, knees that bend forwards, limbs lost or too many.

A limb that points at the camera looks short, never long: so only what is too long for the rest of the body is a fault,
measured by how tall every other limb says the body is. Where both limbs of a pair are long all along, as in a drawing,
that is the body's own measure.
Source of the proportions: "Body segment parameters", Drillis & Contini, 1966: shares of the height of a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cinereward.operators.sightings import Sightings, Track

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

TOLD = 0.5  # score from which a joint is taken to be where it is told
NOSE, EYES, EARS, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES = (
    0,
    (1, 2),
    (3, 4),
    (5, 6),
    (7, 8),
    (9, 10),
    (11, 12),
    (13, 14),
    (15, 16),
)
LIMBS = ((5, 7), (6, 8), (7, 9), (8, 10), (11, 13), (12, 14), (13, 15), (14, 16))  # pairs, left and right in turn
PARTNER = np.array([1, 0, 3, 2, 5, 4, 7, 6])
SHARES = np.array([0.186, 0.186, 0.146, 0.146, 0.245, 0.245, 0.246, 0.246])  # of the height of a body
TRUNK, ACROSS = 0.288, 0.22  # shoulders to hips; shoulder to shoulder
TALL = 0.6  # quantile of what the limbs tell of the height: most are foreshortened, some are told wrongly
LEAST_TALL = 0.02  # frame heights; what is smaller is no body that can be read
LEAST_TOLD = 3  # limbs that must tell of the height of a body
SLACK = 1.3  # by which a limb may be longer than told by the others: joints are told to a few hundredths of a height
BENT = 0.35  # sine of the angle by which a knee may seem to bend forwards
PROFILE = 0.1  # distance of the shoulders in a picture, in heights, below which a body is seen from the side
AROUND = 3  # sampled frames on either side over which a height is evened out


def heights(joints: Float64) -> Float64:
    """How tall bodies are in the picture if they stood upright, float64 (N, 9), and NaN where too little is told.

    The first eight leave out one limb each, in the order of LIMBS: none is held against itself. The last has all.

    Args:
        joints: float64 (N, 17, 3), x and y in frame heights, and how surely they are told.
    """
    told = joints[..., 2] >= TOLD
    parts = [*LIMBS, SHOULDERS]
    first, second = np.array(parts).T
    far = np.linalg.norm(joints[:, first, :2] - joints[:, second, :2], axis=-1) / np.append(SHARES, ACROSS)
    far[~(told[:, first] & told[:, second])] = np.nan
    whole = told[:, [*SHOULDERS, *HIPS]].all(axis=1)
    trunk = np.linalg.norm(_middle(joints, SHOULDERS) - _middle(joints, HIPS), axis=-1) / TRUNK
    every = np.column_stack([far, np.where(whole, trunk, np.nan)])
    out = np.full((len(joints), 9), np.nan)
    for left_out in range(9):
        others = every if left_out == 8 else np.delete(every, left_out, axis=1)
        enough = np.isfinite(others).sum(axis=1) >= LEAST_TOLD
        if enough.any():
            out[enough, left_out] = np.nanquantile(others[enough], TALL, axis=1)
    return np.where(out > LEAST_TALL, out, np.nan)


def limb_ratios(joints: Float64) -> Float64:
    """Lengths of the eight limbs against what they may be at most by the rest of the body, float64 (n, 8).

    NaN where a joint is not told. 1: as long as on any body that is not foreshortened.

    Args:
        joints: float64 (n, 17, 3) of one body at successive sampled frames.
    """
    first, second = np.array(LIMBS).T
    lengths = np.linalg.norm(joints[:, first, :2] - joints[:, second, :2], axis=-1)
    tall = np.stack([evened(column) for column in heights(joints)[:, :8].T], axis=1)
    told = (joints[:, first, 2] >= TOLD) & (joints[:, second, 2] >= TOLD)
    return np.where(told, lengths / (SHARES * np.maximum(tall, 1e-9)), np.nan)


def too_long(joints: Float64) -> Float64:
    """How much longer than it can be the worst limb is, in octaves, float64 (n,); 0: none is.

    What shows in one sampled frame alone is taken for a slip of the network.

    Args:
        joints: float64 (n, 17, 3) of one body at successive sampled frames.
    """
    ratios = limb_ratios(joints)
    usual = np.array(
        [np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else 1.0 for column in ratios.T]
    )
    allowed = SLACK * np.maximum(1.0, np.minimum(usual, usual[PARTNER]))
    over = np.log2(np.maximum(np.nan_to_num(ratios, nan=0.0), 1e-9) / allowed)
    return np.asarray(np.clip(median_of_three(np.maximum(over, 0)).max(axis=1), 0, 4))


def knees_forward(joints: Float64) -> Float64:
    """How surely a knee bends forwards where a body is seen from the side, float64 (n,) in [0, 1]; NaN: not to be told.

    Args:
        joints: float64 (n, 17, 3) of one body at successive sampled frames.
    """
    tall = np.maximum(np.nan_to_num(heights(joints)[:, 8], nan=1e9), 1e-9)
    told = np.asarray(joints[..., 2] >= TOLD)
    both = told[:, EARS]
    ear = np.where(both, joints[:, EARS, 0], 0).sum(axis=1) / np.maximum(both.sum(axis=1), 1)
    ahead = (joints[:, NOSE, 0] - ear) / tall
    narrow = np.abs(joints[:, 5, 0] - joints[:, 6, 0]) / tall < PROFILE
    sideways = told[:, NOSE] & both.any(axis=1) & (np.abs(ahead) > 0.03) & narrow
    worst = np.full(len(joints), np.nan)
    for hip, knee, ankle in zip(HIPS, KNEES, ANKLES, strict=True):
        thigh, shin = joints[:, knee, :2] - joints[:, hip, :2], joints[:, ankle, :2] - joints[:, knee, :2]
        turn = thigh[:, 0] * shin[:, 1] - thigh[:, 1] * shin[:, 0]
        sine = turn / np.maximum(np.linalg.norm(thigh, axis=1) * np.linalg.norm(shin, axis=1), 1e-12)
        wrong = np.clip((-sine * np.sign(ahead) - BENT) / 0.3, 0, 1)
        known = sideways & told[:, [hip, knee, ankle]].all(axis=1)
        worst = np.where(known, np.fmax(worst, wrong), worst)
    return worst


def limbs_lost(seen: Sightings, track: Track) -> Float64:
    """How surely a hand or foot is gone that was there, float64 (n,), told at the sampled frame it is first missing.

    It was surely told and steadily, outside the trunk, inside the frame and before nothing else; then it is not told
    for three sampled frames while the elbow or the knee above it is.
    """
    joints, out = seen.more["joints"][track.rows], np.zeros(len(track))
    tall = heights(joints)[:, 8]
    for end, above in zip((*WRISTS, *ANKLES), (*ELBOWS, *KNEES), strict=True):
        score, parent = joints[:, end, 2], joints[:, above, 2]
        for at in range(3, len(track) - 2):
            known = score[at - 3 : at].min() >= 0.7 and parent[at : at + 3].min() >= 0.7
            gone = known and score[at : at + 3].max() < 0.3 and np.isfinite(tall[at - 1])
            if gone and _bare(seen, track, joints[at - 1], end, at, 0.08 * float(tall[at - 1])):
                out[at] += 1.0
    return out


def _bare(seen: Sightings, track: Track, joints: Float64, end: int, at: int, margin: float) -> bool:
    """Whether the end of a limb lay inside the frame, off its own trunk and off all other boxes."""
    x, y = joints[end, :2]
    inside = margin < x < seen.aspect - margin and margin < y < 1 - margin
    trunk = joints[[*SHOULDERS, *HIPS], :2]
    off = bool(np.any([x, y] < trunk.min(axis=0) - margin) or np.any([x, y] > trunk.max(axis=0) + margin))
    own = int(track.rows[at])
    others = seen.boxes[[row for row in seen.at(int(track.keys[at])) if row != own]]
    behind = ((others[:, 0] < x) & (x < others[:, 2]) & (others[:, 1] < y) & (y < others[:, 3])).any()
    return inside and off and not bool(behind)


def twins(seen: Sightings) -> Float64:
    """How surely two skeletons share one trunk, as where a body has too many limbs: float64 (K,) in [0, 1]."""
    out = np.zeros(len(seen.frames))
    joints = seen.more["joints"]
    tall = heights(joints)[:, 8]
    for key in range(len(out)):
        rows = [row for row in seen.at(key) if np.isfinite(tall[row]) and seen.scores[row] >= TOLD]
        for at, one in enumerate(rows):
            for other in rows[at + 1 :]:
                out[key] = max(out[key], _twin(joints[one], joints[other], min(tall[one], tall[other])))
    return out


def _twin(a: Float64, b: Float64, tall: float) -> float:
    both = (a[:, 2] >= TOLD) & (b[:, 2] >= TOLD)
    far = np.linalg.norm(a[:, :2] - b[:, :2], axis=1) / max(tall, 1e-9)
    trunk, ends = [*SHOULDERS, *HIPS], [*WRISTS, *ANKLES, *ELBOWS, *KNEES]
    if not both[trunk].all() or not both[ends].any():
        return 0.0
    together = np.clip((0.09 - far[trunk].max()) / 0.05, 0, 1)
    return float(together * np.clip((far[ends][both[ends]].max() - 0.08) / 0.1, 0, 1))


def movement(joints: Float64, keys: NDArray[np.int64], rate: float) -> Float64:
    """How fast the joints move against the body's middle, in heights of the body a second, float64 (n,); NaN: not told.

    Args:
        joints: float64 (n, 17, 3) of one body. keys: int64 (n,), its sampled frames. rate: sampled frames a second.
    """
    out = np.full(len(joints), np.nan)
    tall = evened(heights(joints)[:, 8])
    for at in range(1, len(joints)):
        both = (joints[at, :, 2] >= TOLD) & (joints[at - 1, :, 2] >= TOLD)
        if keys[at] - keys[at - 1] == 1 and both.sum() >= 6 and np.isfinite(tall[at]):
            steps = joints[at, both, :2] - joints[at - 1, both, :2]
            steps = steps - np.median(steps, axis=0)
            out[at] = float(np.linalg.norm(steps, axis=1).mean()) / tall[at] * rate
    return out


def evened(values: Float64) -> Float64:
    """Medians over AROUND sampled frames on either side, of what is finite, float64 (n,)."""
    out = np.full(len(values), np.nan)
    for at in range(len(values)):
        near = values[max(0, at - AROUND) : at + AROUND + 1]
        if np.isfinite(near).any():
            out[at] = np.median(near[np.isfinite(near)])
    return out


def median_of_three(values: Float64) -> Float64:
    """Medians of three along the first axis; at the ends, of two, the lesser of them."""
    if len(values) < 2:
        return np.zeros_like(values)
    padded = np.concatenate([np.zeros_like(values[:1]), values, np.zeros_like(values[:1])])
    return np.asarray(np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0))


def _middle(joints: Float64, pair: tuple[int, int]) -> Float64:
    return np.asarray(joints[:, pair, :2].mean(axis=1))
