"""Pictures and sound as parts of a chat message: base64, in the order that the local judge shows them too.

vLLM takes the frames as one film, with their true numbers, which Qwen3-VL turns into times; and it knows the film again
by its name (`uuid`), so that it need not be sent, nor encoded, twice. Other servers get the frames as single pictures
with their times told in words: more tokens for the same film, and not quite the same answers.
"""

from __future__ import annotations

import base64
import hashlib
import io
import wave
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from cinereward.judge.backend import Shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]
    UInt8 = NDArray[np.uint8]

Picture = Literal["png", "jpeg"]
QUALITY = 95  # of JPEG
RATE = 16_000  # Hz
Part = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Media:
    """What is shown of one clip, encoded once for all its questions.

    key: names it. film: base64 of each frame. times: s. reference, sound: base64, or "". extras: what a vLLM server is
    told of the film beside the messages.
    """

    key: str
    picture: Picture
    film: tuple[str, ...]
    times: tuple[float, ...]
    reference: str
    sound: str
    extras: dict[str, Any]

    def parts(self, *, film: bool, held: bool = False) -> list[Part]:
        """The parts between the text before and the text after.

        Args:
            film: the frames as one film, and everything with its name, as vLLM takes it; else as single pictures.
            held: the server has them all already: names alone.
        """
        kind = f"image/{self.picture}"
        parts = [self._part("image", kind, self.reference, film, held)] if self.reference else []
        if film:
            parts.append(self._part("video", "video/jpeg", ",".join(self.film), film, held))
        else:
            for time, frame in zip(self.times, self.film, strict=True):
                parts += [
                    {"type": "text", "text": f"<{time:.1f} seconds>"},
                    self._part("image", kind, frame, film, held),
                ]
        if self.sound and film:  # older vLLM loses the sound of an input_audio that has a name
            parts.append(self._part("audio", "audio/wav", self.sound, film, held))
        elif self.sound:
            parts.append({"type": "input_audio", "input_audio": {"data": self.sound, "format": "wav"}})
        return parts

    def _part(self, what: str, kind: str, data: str, named: bool, held: bool) -> Part:
        url = {} if held else {"url": f"data:{kind};base64,{data}"}
        name = {"uuid": f"{self.key}-{what}-{self.picture}"} if named else {}
        return {"type": f"{what}_url", f"{what}_url": url, **name}


def encode(shown: Shown, picture: Picture, *, hears: bool) -> Media:
    """Encode what is shown of a clip.

    Args:
        picture: "png" keeps every pixel; "jpeg" (of quality 95) is a fifth of the size. hears: whether sound is sent.
    """
    return Media(
        key=shown.key or _named(shown),
        picture=picture,
        film=tuple(_picture(frame, picture) for frame in shown.frames),
        times=tuple(float(time) for time in shown.times),
        reference="" if shown.reference is None else _picture(shown.reference, picture),
        sound=wav(shown.sound) if hears and shown.sound is not None and len(shown.sound) else "",
        extras={"media_io_kwargs": {"video": _metadata(shown)}},
    )


def wav(sound: Float32) -> str:
    """Base64 of a WAV file of 16 bits.

    Args:
        sound: float32 (M,), mono, 16 kHz, in [-1, 1].
    """
    if sound.ndim != 1:
        raise ValueError(f"sound has shape {sound.shape}; expected (M,), mono")
    whole = io.BytesIO()
    with wave.open(whole, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.round(np.clip(np.nan_to_num(sound), -1, 1) * 32767).astype("<i2").tobytes())
    return base64.b64encode(whole.getvalue()).decode("ascii")


def _picture(frame: UInt8, picture: Picture) -> str:
    flags = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if picture == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    _, data = cv2.imencode(f".{picture}", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), flags)
    return base64.b64encode(data.tobytes()).decode("ascii")


def _metadata(shown: Shown) -> dict[str, Any]:
    """The frames by their true numbers in the clip, so that the model is told their true times; see turns.py."""
    count = len(shown.frames)
    span = float(shown.times[-1] - shown.times[0])
    rate = (count - 1) / span if span > 0 else shown.fps
    return {
        "fps": float(shown.fps),
        "frames_indices": [round(float(time) * shown.fps) for time in shown.times],
        "num_frames": count,
        "total_num_frames": max(count, round(count * shown.fps / rate)),
        "duration": count / rate,
        "do_sample_frames": False,
    }


def _named(shown: Shown) -> str:
    content = hashlib.sha256(repr((shown.frames.shape, shown.fps, shown.system, shown.before, shown.after)).encode())
    for array in (shown.frames, shown.times, shown.reference, shown.sound):
        content.update(b"|" if array is None else repr(array.shape).encode() + np.ascontiguousarray(array).tobytes())
    return content.hexdigest()
