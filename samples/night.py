"""Night street: a detective waits, a sign glows, the camera pans over the wet street."""

from __future__ import annotations

import numpy as np

from samples.air import SHADOWS
from samples.sign import PUSH, neon_shot
from samples.sound import night_sound
from samples.stage import Scene, Size, bloom, develop
from samples.street import PAN, WAIT, detective_shot, pan_shot

PROMPT = (
    "A detective waits under a street lamp in the rain, cut to a slow push-in on a neon sign, "
    "cut to a pan across the wet street; rain and a low hum of music"
)


def night_street(size: Size = (360, 640), fps: int = 24, seed: int = 7) -> Scene:
    """Render the three shots, 6 s in all, with their sound.

    Args:
        size: frame height and width in pixels.
        fps: frames per second.
        seed: of every texture, drop and speck of grain.

    Returns:
        The scene; its cuts lie at 2.0 s and 3.75 s (rounded to whole frames).
    """
    grain = np.random.default_rng([seed, 99])
    frames, cuts = [], []
    for shot, seconds, exposure in (
        (detective_shot, WAIT, 1.0),
        (neon_shot, PUSH, 1.0),
        (pan_shot, PAN, 1.35),
    ):
        cuts.append(len(frames) / fps)
        look = shot(size, np.random.default_rng(seed))
        frames += [
            develop(bloom(look(i / fps), 0.5), grain, exposure=exposure, shadows=SHADOWS, grain=0.010)
            for i in range(round(seconds * fps))
        ]
    sound, rate = night_sound(len(frames) / fps, tuple(cuts[1:]), seed)
    return Scene(frames=np.stack(frames), fps=fps, sound=sound, sample_rate=rate, cuts=tuple(cuts[1:]))
