"""Requests for judges, made without decoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cinereward import taxonomy
from cinereward.judge.settings import JudgeSettings, Showing
from cinereward.media.features import Features
from cinereward.taxonomy import Question
from cinereward.testing.judges import questions
from cinereward.types import Evidence, JudgeRequest, Measurement, Sound, Window

TAXONOMY = taxonomy.load()
FPS = 8.0


def named(name: str) -> Question:
    return next(question for question in TAXONOMY.questions if question.name == name)


def dimension(name: str) -> str:
    return name.rpartition(".")[0]


def settings(**changes: object) -> JudgeSettings:
    """Of a judge that is shown little; stretch: seconds."""
    stretch = changes.pop("stretch", 60.0)
    showing = Showing(frames=4, pixels=64 * 96, stretch=float(str(stretch)))
    return JudgeSettings.model_validate({"model": "fake", "showing": showing.model_dump(), "audit": 0.0, **changes})


def windows(seconds: float = 1.0, seed: int = 0, prompt: str = "A walk.", *, sound: bool = False) -> list[Window]:
    """A clip of noise, in windows of eight frames."""
    count = round(seconds * FPS)
    frames = np.random.default_rng(seed).integers(0, 256, (count, 32, 48, 3), np.uint8)
    frames.flags.writeable = False
    out = []
    for at in range(0, count, 8):
        some, times = frames[at : at + 8], np.arange(at, min(count, at + 8)) / FPS
        heard = None
        if sound:
            samples = np.full(round(len(some) / FPS * 16_000), 0.1 + at / 1_000, np.float32)
            heard = Sound(samples=samples, original=samples[None], original_rate=16_000, start=at / FPS)
        out.append(
            Window(
                frames=some,
                times=times,
                start_frame=at,
                overlap=0,
                fps=FPS,
                sound=heard,
                features=Features(some, at, 0, FPS, heard),
                prompt=prompt,
            )
        )
    return out


def request(
    seconds: float = 1.0,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    mode: str = "direct",
    expected: Mapping[str, float] | None = None,
    evidence: Mapping[str, Evidence] | None = None,
    sound: bool = False,
) -> JudgeRequest:
    return JudgeRequest(
        clip=windows(seconds, seed, sound=sound),
        questions=questions(3) if names is None else names,
        evidence=evidence or {},
        mode=mode,  # type: ignore[arg-type]  # a test may ask for a mode that there is not
        expected=expected or {},
    )


def shots(*starts: float, end: float) -> dict[str, Evidence]:
    """The evidence of the operator that measures shots."""
    times = np.array(starts, np.float64)
    lasting = np.diff([*starts, end])
    track = Measurement(name="duration_track", value=lasting, unit="s", times=times)
    return {"shots": Evidence(operator="shots", measurements={"duration_track": track})}
