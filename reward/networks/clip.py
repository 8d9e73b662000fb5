"""CLIP and SigLIP: pictures and words as points of one space.

OpenAI publishes ViT-B-32.pt as a TorchScript archive, which runs code when it is read and which `weights_only=True`
cannot read. So it is not read here: the folder openai/clip-vit-base-patch32 holds the same numbers as safetensors.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import MissingExtraError, WeightsError
from cinereward.networks.pixels import CLIP, HALF, Fit
from cinereward.networks.pretrained import broken, pretrained
from cinereward.networks.running import Runner, device_of, module_runner, once
from cinereward.weights import locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.weights import Located

    Float32 = NDArray[np.float32]
    Int64 = NDArray[np.int64]
    UInt8 = NDArray[np.uint8]

KINDS = ("clip", "siglip")
KEPT = 4096  # texts whose points are remembered, the last used


class ImageText:
    """Two towers, one for pictures and one for words; the closer two points, the better they fit.

    Args:
        see: from uint8 (N, H, W, 3) to float32 (N, D). read: from token ids, int64 (N, L), to float32 (N, D).
        tokens: from texts to token ids, int64 (N, L), all of one length.
        scale, bias: the model's logit for a picture and a text is scale * cosine + bias.
        name: the weights and their sha256, for keys.
    """

    def __init__(
        self,
        see: Callable[[UInt8], Float32],
        read: Callable[[Int64], Float32] | None = None,
        tokens: Callable[[Sequence[str]], Int64] | None = None,
        *,
        scale: float = 100.0,
        bias: float = 0.0,
        name: str = "clip",
    ) -> None:
        self._see, self._read, self._tokens = see, read, tokens
        self.scale, self.bias, self.name = scale, bias, name
        self._known: OrderedDict[str, Float32] = OrderedDict()
        self._lock = threading.Lock()

    def pictures(self, rows: UInt8) -> Float32:
        """Points of pictures: float32 (N, D) of length 1, of RGB uint8 (N, H, W, 3) of any size, N of 1 or more."""
        return unit(self._see(rows))

    def texts(self, texts: Sequence[str]) -> Float32:
        """Points of texts: float32 (N, D) of length 1; what is too long is cut. Remembered, since prompts recur.

        Raises:
            WeightsError: the folder has no tokenizer.
        """
        if self._read is None or self._tokens is None:
            raise WeightsError(f"{self.name} has no tokenizer in its folder; get the whole folder to read texts")
        with self._lock:
            known = {text: self._known[text] for text in texts if text in self._known}
            missing = [text for text in dict.fromkeys(texts) if text not in known]
            if missing:
                points = unit(self._read(self._tokens(missing)))
                known |= dict(zip(missing, points, strict=True))
            for text in known:
                self._known[text] = known[text]
                self._known.move_to_end(text)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return np.stack([known[text] for text in texts])


def unit(rows: Float32) -> Float32:
    """Rows of length 1, float32 (N, D)."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def load_image_text(device: str | None = None, weights: str = "siglip2-base", *, antialias: bool = True) -> ImageText:
    """A CLIP or SigLIP model from verified local files, loaded once a process and device.

    Args:
        weights: a name of the manifest: "siglip2-base", "clip-vit-b32", "clip-vit-l14".
        antialias: False: pictures are made smaller as VBench's code does it, without averaging.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: the weights are not there, broken, or of another architecture.
    """
    located, on = locate(weights), device_of(device)
    return once(("image and text", located.sha256, on, antialias), lambda: _load(located, on, antialias))


def _load(located: Located, device: str, antialias: bool) -> ImageText:
    model, config = pretrained(located, KINDS)
    model = model.eval()
    fit = fitted(config["model_type"], int(model.config.vision_config.image_size), antialias)
    length = int(model.config.text_config.max_position_embeddings)

    def see(module: Any, rows: Any) -> Any:
        return pooled(module.get_image_features(pixel_values=fit(rows).to(module.dtype)))

    def read(module: Any, rows: Any) -> Any:
        return pooled(module.get_text_features(input_ids=rows))

    eyes = module_runner(located.name, model, device=device, call=see)
    reader = module_runner(f"{located.name} text", model, device=device, call=read)
    bias = getattr(model, "logit_bias", None)
    return ImageText(
        _first(eyes),
        _first(reader),
        _tokens(located, length, lower=config["model_type"] == "siglip"),  # SigLIP 2 was trained so
        scale=math.exp(float(model.logit_scale.detach().float().reshape(-1)[0])),
        bias=0.0 if bias is None else float(bias.detach().float().reshape(-1)[0]),
        name=f"{located.name} {located.sha256[:12]}",
    )


def pooled(came: Any) -> Any:
    """The tensor (N, D) that transformers gives by itself (4) or inside an output (5)."""
    return came if hasattr(came, "dtype") else came.pooler_output


def _first(runner: Runner) -> Callable[[Any], Float32]:
    return lambda rows: np.asarray(runner(rows)[0], np.float32)


def fitted(kind: str, side: int, antialias: bool) -> Fit:
    """How a model wants its pictures: CLIP the middle of them, SigLIP all of it pressed into a square of `side` pixels.

    Source: preprocessor_config.json of openai/clip-vit-base-patch32 and google/siglip2-base-patch16-224.
    """
    if kind == "clip":
        return Fit(short=side, crop=True, mode="bicubic", antialias=antialias, mean=CLIP[0], std=CLIP[1])
    return Fit(short=side, square=True, mode="bilinear", antialias=antialias, mean=HALF[0], std=HALF[1])


def _tokens(located: Located, length: int, *, lower: bool) -> Callable[[Sequence[str]], Int64] | None:
    """From texts to token ids of one length, or None where the folder has no tokenizer."""
    if not any((located.folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "spiece.model")):
        return None
    try:
        from transformers import AutoTokenizer
    except ImportError as error:
        raise MissingExtraError("transformers", "perception") from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(located.folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # JSON, tokenizers and transformers each raise their own
        raise broken(located, f"its tokenizer cannot be read: {type(error).__name__}: {error}") from error

    def tokens(texts: Sequence[str]) -> Int64:
        given = [text.lower() if lower else text for text in texts]
        rows = tokenizer(given, padding="max_length", truncation=True, max_length=length)["input_ids"]
        return np.asarray(rows, np.int64)

    return tokens
