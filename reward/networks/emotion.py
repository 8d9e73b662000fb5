"""The feeling in a voice, by a Whisper encoder with a head that classifies: one answer for each window of sound.

    feel = load_emotion()
    shares = feel(windows)             # float32 (N, WINDOW) -> (N, K), one column for each of feel.labels
    valence, arousal = plane(shares, feel.labels).T

Windows are of one length, so that no answer depends on another. Feelings by name are placed in the plane of valence and
arousal, so that any checkpoint, of whatever classes, gives the same two curves.
Sources: WhisperForAudioClassification of transformers; "A circumplex model of affect", Russell, 1980; "Evidence for a
three-factor theory of emotions", Russell & Mehrabian, 1977, for the places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cinereward import weights
from cinereward.errors import MissingExtraError
from cinereward.networks.pretrained import broken, pretrained
from cinereward.networks.running import Runner, device_of, module_runner, once

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cinereward.weights import Located

    Float32 = NDArray[np.float32]
    Float64 = NDArray[np.float64]

RATE = 16_000  # Hz
WINDOW = 2 * RATE  # samples: a feeling is told from a phrase, not from a syllable
AT_ONCE = 32  # windows whose spectrograms are held at a time
CHUNK = 8  # windows at a time on a GPU; each is padded to 30 s
PLACES = {  # how a label begins: (valence, arousal), -1 to 1
    "ang": (-0.5, 0.6),
    "fury": (-0.5, 0.8),
    "disg": (-0.6, 0.35),
    "contempt": (-0.5, 0.2),
    "frust": (-0.6, 0.4),
    "fear": (-0.6, 0.6),
    "afraid": (-0.6, 0.6),
    "sad": (-0.6, -0.3),
    "sorrow": (-0.6, -0.3),
    "bored": (-0.5, -0.6),
    "tired": (-0.3, -0.6),
    "neu": (0.0, 0.0),
    "calm": (0.5, -0.5),
    "relax": (0.6, -0.5),
    "hap": (0.8, 0.5),
    "joy": (0.8, 0.5),
    "amus": (0.6, 0.4),
    "excit": (0.6, 0.8),
    "surp": (0.3, 0.7),
}
AXES = ("valence", "arousal")  # labels of a checkpoint that tells them itself, as numbers from 0 to 1


class Feel(Protocol):
    """EmotionNetwork, or what a test plants."""

    labels: tuple[str, ...]

    def __call__(self, windows: Float32) -> Float32:
        """From (N, WINDOW) to (N, K)."""
        ...


class EmotionNetwork:
    """A classifier of feelings on one device. May be called from many threads.

    Args:
        labels: of its classes, in order. features: from float32 (WINDOW,) to a spectrogram (mels, 3000). run: from
            spectrograms (N, mels, 3000) to logits (N, K).
    """

    def __init__(self, *, labels: tuple[str, ...], features: Any, run: Runner) -> None:
        self.labels = labels
        self._features, self._run = features, run

    def __call__(self, windows: Float32) -> Float32:
        """Probabilities of the classes; or, where the checkpoint tells the axes themselves, their numbers.

        Args:
            windows: float32 (N, WINDOW), mono, 16 kHz, N of 1 or more.

        Returns:
            float32 (N, K), a column for each label.
        """
        if windows.ndim != 2 or windows.shape[1] != WINDOW or not len(windows):
            raise ValueError(f"windows have shape {windows.shape}; expected (N, {WINDOW}) with N of 1 or more")
        parts = []
        for first in range(0, len(windows), AT_ONCE):
            rows = np.stack([self._features(row) for row in windows[first : first + AT_ONCE]])
            parts.append(self._run(rows)[0])
        logits = np.nan_to_num(np.concatenate(parts).astype(np.float64), nan=0.0, posinf=1e4, neginf=-1e4)
        if told_by_axes(self.labels):
            return np.asarray(logits, np.float32)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(logits / logits.sum(axis=1, keepdims=True), np.float32)


def told_by_axes(labels: Sequence[str]) -> bool:
    """Whether these labels are valence and arousal rather than feelings."""
    return set(AXES) <= {label.lower() for label in labels}


def places(labels: Sequence[str]) -> Float64:
    """Valence and arousal of each label, float64 (K, 2); NaN where a label is not known."""
    out = np.full((len(labels), 2), np.nan)
    for row, label in enumerate(labels):
        for start, place in PLACES.items():
            if label.lower().strip().startswith(start):
                out[row] = place
    return out


def plane(shares: Float32, labels: Sequence[str]) -> Float64:
    """Valence and arousal, float64 (N, 2) in [-1, 1], of probabilities (N, K); what is not known counts as neutral."""
    if told_by_axes(labels):
        columns = [[label.lower() for label in labels].index(axis) for axis in AXES]
        return np.clip(2 * shares[:, columns].astype(np.float64) - 1, -1, 1)
    return np.asarray(shares.astype(np.float64) @ np.nan_to_num(places(labels)))


# --- loading ---


def load_emotion(device: str | None = None, name: str = "speech-emotion") -> EmotionNetwork:
    """The network, from a verified folder as transformers writes it; loaded once a process and device.

    Args:
        device: "cpu", "cuda", "cuda:1"; None: the first GPU, or the CPU. name: of the weights.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: a file is missing, is cut short, or is of another network; its labels are no feelings.
    """
    where = device_of(device)
    located = weights.locate(name)
    return once(("emotion", located.sha256, where), lambda: _load(located, where))


def _load(located: Located, device: str) -> EmotionNetwork:
    try:
        from transformers import WhisperFeatureExtractor
    except ImportError as error:
        raise MissingExtraError("transformers", "perception") from error
    model, _ = pretrained(located, ("whisper",), "AutoModelForAudioClassification")
    labels = tuple(str(model.config.id2label[number]) for number in range(model.config.num_labels))
    known = [label for label, place in zip(labels, places(labels), strict=True) if np.isfinite(place).all()]
    if not told_by_axes(labels) and (len(known) < 2 or 2 * len(known) < len(labels)):
        told = ", ".join(labels[:8])
        raise broken(located, f"its labels are {told}; expected feelings by name, such as angry, happy, neutral, sad")
    try:
        extractor = WhisperFeatureExtractor.from_pretrained(located.folder, local_files_only=True)
    except Exception as error:  # OSError where there is none; ValueError or TypeError where it is broken
        raise broken(located, f"preprocessor_config.json cannot be used ({type(error).__name__}: {error})") from error
    sizes = (extractor.sampling_rate, extractor.feature_size, extractor.nb_max_frames)
    wanted = (RATE, model.config.num_mel_bins, 2 * model.config.max_source_positions)
    if sizes != wanted:
        told = f"rate, bands and columns of preprocessor_config.json are {sizes}"
        raise broken(located, f"{told}; expected {wanted}, as the model takes them")

    def features(samples: Float32) -> Float32:
        normalise = getattr(extractor, "do_normalize", None)
        came = extractor(samples, sampling_rate=RATE, return_tensors="np", do_normalize=normalise)
        return np.asarray(came["input_features"][0], np.float32)

    chunk = 1 if device == "cpu" else CHUNK
    run = module_runner(
        located.name, model, device=device, chunk=chunk, call=lambda module, given: module(given).logits
    )
    return EmotionNetwork(labels=labels, features=features, run=run)
