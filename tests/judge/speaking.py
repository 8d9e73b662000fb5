"""A tiny model that speaks through the server: from a chat message back to tokens, and one whole forward pass."""

from __future__ import annotations

import io
import threading
import wave
from typing import Any

import cv2
import numpy as np
import torch

from cinereward.judge.backend import Ask, Shown
from cinereward.judge.local import LocalBackend
from cinereward.judge.turns import encoded, rendered, slot
from tests.judge.server import Body, Said, pictures


class Speaking:
    """What a vLLM server does with a request, over the weights of a local judge and without its packing."""

    def __init__(self, judge: LocalBackend) -> None:
        self.judge, self.model = judge, judge.loaded
        self._films: dict[str, Body] = {}
        self._lock = threading.Lock()

    def tokens(self, text: str) -> list[int]:
        ids: list[int] = self.model.processor.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def __call__(self, body: Body) -> Said:
        clip, ask = self._heard(body)
        with self._lock:
            if not body.get("logprobs"):
                [[came]] = self.judge.write([(clip, [ask])], most_tokens=body["max_tokens"])
                return came.text if came.finished else came.text + "..."
            return self._next(clip, ask, body)

    def _next(self, clip: Shown, ask: Ask, body: Body) -> Said:
        inputs = encoded(self.model, rendered(self.model, clip, ask), clip)
        with torch.inference_mode():
            hidden = self.model.model.model(**inputs).last_hidden_state[0, -1]
            logs = torch.log_softmax(self.model.model.lm_head(hidden).double(), dim=-1)
        best = logs.topk(body["top_logprobs"]).indices.tolist()
        named = [best[0], *body["logprob_token_ids"]] if "logprob_token_ids" in body else best
        return {self.model.processor.tokenizer.decode([token]): float(logs[token]) for token in named}

    def _heard(self, body: Body) -> tuple[Shown, Ask]:
        system, user, *begun = body["messages"]
        parts = [self._kept(part, body) for part in user["content"]]
        told = {part["type"]: part for part in parts if part["type"] != "text"}
        places = [at for at, part in enumerate(parts) if part["type"] != "text"]
        film, video = told["video_url"]["video_url"], told["video_url"]["media_io_kwargs"]["video"]
        sound = told.get("audio_url")
        clip = Shown(
            frames=np.stack([picture(data) for data in pictures(film["url"])]),
            times=np.array(video["frames_indices"]) / video["fps"],
            fps=video["fps"],
            system=system["content"],
            before="".join(part["text"] for part in parts[: places[0]]),
            after="",
            reference=picture(pictures(told["image_url"]["image_url"]["url"])[0]) if "image_url" in told else None,
            sound=None if sound is None else samples(pictures(sound["audio_url"]["url"])[0]),
        )
        text = "".join(part["text"] for part in parts[places[-1] + 1 :])
        return clip, Ask(name="asked", text=text, lead=begun[0]["content"] if begun else "")

    def _kept(self, part: Body, body: Body) -> Body:
        """A part with its data, which the server keeps by its name, as it keeps what it was told of a film."""
        if "uuid" not in part:
            return part
        if part[part["type"]]:
            with self._lock:
                self._films[part["uuid"]] = {**part, "media_io_kwargs": body["media_io_kwargs"]}
        return self._films[part["uuid"]]


def picture(data: bytes) -> Any:
    return np.ascontiguousarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1])


def samples(data: bytes) -> Any:
    with wave.open(io.BytesIO(data)) as file:
        return (np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767).astype(np.float32)


def first_slot(judge: LocalBackend, clip: Shown, ask: Ask) -> tuple[int, ...]:
    """The labels' tokens as the local judge finds them."""
    return slot(judge.loaded, rendered(judge.loaded, clip, ask), ask.lead)[1]
