"""Render the project's sample clips: `python samples/render.py [--out DIR]`.

Everything is drawn and sounded in code from fixed seeds; nothing is downloaded. One core needs about two minutes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that the script runs from any folder

from samples import faults, harbour, night
from samples.harbour import harbour_morning
from samples.night import night_street
from samples.stage import Scene

__all__ = ["Scene", "clips", "harbour_morning", "main", "night_street", "write"]

# x264's constant rate factor and the sound's bit rate (bits a second), chosen to keep all files within 900 kB.
QUALITY: dict[str, tuple[float, int]] = {
    "night_street": (30.2, 48_000),
    "night_street_broken": (43, 32_000),
    "harbour_morning": (30, 32_000),
    "harbour_shaky": (30, 32_000),
    "harbour_soft": (30, 32_000),
    "harbour_flicker": (30, 32_000),
}
PROMPTS = {name: night.PROMPT if name.startswith("night") else harbour.PROMPT for name in QUALITY}


def clips() -> dict[str, Scene]:
    """Render every clip: two good ones, and the broken ones derived from them."""
    street, morning = night_street(), harbour_morning()
    fps = morning.fps
    broken = faults.shake(street.frames, amount=0.014, turn=0.5, seed=3)
    broken = faults.flicker(broken, low=0.55, high=1.6, seed=4)
    broken = faults.freeze(broken, fps, start=4.5, end=5.5)  # last, so that the held stretch is truly still
    soft = faults.defocus(morning.frames, fps, spans=((0.75, 1.5), (2.5, 3.75)))
    return {
        "night_street": street,
        "night_street_broken": replace(street, frames=broken),
        "harbour_morning": morning,
        "harbour_shaky": replace(morning, frames=faults.shake(morning.frames, amount=0.014, turn=0.5, seed=5)),
        "harbour_soft": replace(morning, frames=soft),
        "harbour_flicker": replace(morning, frames=faults.flicker(morning.frames, hold=2, seed=6)),
    }


def write(path: str | Path, scene: Scene, *, crf: float = 23, sound_rate: int = 64_000) -> None:
    """Write a scene as H.264 and AAC in MP4.

    Args:
        path: the file to write.
        scene: what to write; height and width must be even. Keep the width a multiple of 64: at 480 the
            bytes differed from run to run (the cause is not known), at 512 and 640 they did not.
        crf: x264's constant rate factor, 0 to 51; higher is smaller and worse.
        sound_rate: bits a second of the AAC stream.
    """
    height, width = scene.frames.shape[1:3]
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=scene.fps)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.time_base = Fraction(1, scene.fps)
        # One thread and a fixed preset: with more, x264's choices depend on the machine.
        video.options = {"crf": str(crf), "preset": "veryslow", "threads": "1"}
        layout = "mono" if len(scene.sound) == 1 else "stereo"
        audio = container.add_stream("aac", rate=scene.sample_rate, layout=layout)
        audio.bit_rate = sound_rate
        for stream in (video, audio):
            stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
        samples = np.ascontiguousarray(scene.sound, np.float32)
        step, sent = 1024, 0  # the frame length that AAC takes
        for index, pixels in enumerate(scene.frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
            due = samples.shape[1] if index == len(scene.frames) - 1 else (index + 1) * scene.sample_rate // scene.fps
            while sent < due and (due - sent >= step or due == samples.shape[1]):
                block = av.AudioFrame.from_ndarray(
                    samples[:, sent : min(sent + step, due)], format="fltp", layout=layout
                )
                block.sample_rate, block.pts, block.time_base = scene.sample_rate, sent, Fraction(1, scene.sample_rate)
                container.mux(audio.encode(block))
                sent += block.samples
        container.mux(video.encode())
        container.mux(audio.encode())


def main() -> None:
    """Render all clips and their prompts into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write into")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, scene in clips().items():
        crf, sound_rate = QUALITY[name]
        write(out / f"{name}.mp4", scene, crf=crf, sound_rate=sound_rate)
        print(f"{name}.mp4  {(out / f'{name}.mp4').stat().st_size / 1000:.0f} kB")
    lines = [f'{name}.mp4: "{prompt}"' for name, prompt in PROMPTS.items()]
    (out / "prompts.yaml").write_text(
        "# What each clip was asked to show.\n" + "\n".join(lines) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
