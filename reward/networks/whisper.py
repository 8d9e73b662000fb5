"""Whisper: what is said in pieces of sound of up to 30 s, when each word is said, and how sure the network is of it.

    hear = load_whisper()
    for heard in hear(pieces):  # float32 (N,) each, mono, 16 kHz
        print(heard.language, [(word.text, word.start, word.probability) for word in heard.words])

Each piece is decoded once, without chance and without what was said before, so that no piece depends on another and a
loop ends after half the network's context; how repetitive a piece came out is told, not hidden.
Source: "Robust Speech Recognition via Large-Scale Weak Supervision", Radford et al., 2022, and its package
openai-whisper, whose own decoding and alignment run here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cinereward import weights
from cinereward.errors import MissingExtraError, OperatorError
from cinereward.networks.pretrained import broken
from cinereward.networks.running import Runner, device_of, once, out_of_memory

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from cinereward.weights import Located

    Float32 = NDArray[np.float32]

RATE = 16_000  # Hz
LONGEST = 30 * RATE  # samples of a piece: what the network hears at once
FRAME = 160  # samples, 10 ms: a column of the spectrogram
COLUMNS = LONGEST // FRAME
LEAST_COLUMNS = 10  # a word is looked for in 0.1 s at least
CHUNK = 4  # pieces at a time on a GPU; most clips have one
VOCABULARIES = (51_864, 51_865, 51_866)  # English only; many languages; those and Cantonese
MELS = (80, 128)

# The alignment turns a switch of the whole package, and decoding reads it: one piece of work at a time.
_one_at_a_time = threading.RLock()


@dataclass(frozen=True, kw_only=True)
class Word:
    """One word as it was heard, with its punctuation. start, end: s into the piece. probability: its tokens' mean."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard in one piece.

    text: of all words. language: its code, such as "en" or "zh"; certainty: the network's probability of it.
    no_speech: probability that nobody speaks. logprob: mean log-probability of a token. compression: how many times
    smaller the text becomes in a zip file; 2.4 and more is a loop. cut: the text did not end within half the network's
    context.
    """

    text: str = ""
    words: tuple[Word, ...] = ()
    language: str = ""
    certainty: float = 0.0
    no_speech: float = 1.0
    logprob: float = 0.0
    compression: float = 0.0
    cut: bool = False


Ear: TypeAlias = Callable[[Sequence["Float32"]], Sequence[Heard]]  # WhisperNetwork, or what a test plants


class WhisperNetwork:
    """A Whisper model on one device. May be called from many threads; one works at a time.

    Args:
        name: for notes and errors. model: a whisper.model.Whisper, float32. device: "cpu", "cuda", ...
    """

    def __init__(self, name: str, model: Any, *, device: str) -> None:
        self._model = model.to(device).eval().requires_grad_(False)
        self._half = device.startswith("cuda")  # its layers keep float32 and compute in the input's precision
        self._device = device
        self._runner = Runner(name, self._decoded, device=device, chunk=1 if device == "cpu" else CHUNK)

    def __call__(self, pieces: Sequence[Float32]) -> list[Heard]:
        """What is said in each piece.

        Args:
            pieces: float32 (N,) each, mono, 16 kHz, N up to LONGEST.

        Raises:
            OperatorError: a piece does not fit into the device's memory.
            ValueError: a piece is longer than 30 s, is empty, or is no plain row of samples.
        """
        for piece in pieces:
            if piece.ndim != 1 or not 0 < len(piece) <= LONGEST:
                raise ValueError(
                    f"a piece has shape {piece.shape}; expected (N,) with N from 1 to {LONGEST}: cut it up"
                )
        if not pieces:
            return []
        with _one_at_a_time:
            spectrograms = np.stack([self._spectrogram(piece) for piece in pieces])
            (results,) = self._runner(spectrograms)
            return [self._aligned(result, len(piece)) for result, piece in zip(results, pieces, strict=True)]

    def _spectrogram(self, piece: Float32) -> Float32:
        """Log mel power as the package's own transcription makes it: float32 (mels, COLUMNS), silence after the end."""
        from whisper.audio import log_mel_spectrogram

        samples = np.ascontiguousarray(piece, np.float32)
        told = log_mel_spectrogram(samples, self._model.dims.n_mels, padding=LONGEST)
        return np.asarray(told[:, :COLUMNS].numpy(), np.float32)

    def _decoded(self, rows: Float32) -> NDArray[Any]:
        """(language, certainty, DecodingResult) for each spectrogram, as an array of objects (N,)."""
        import torch
        from whisper.decoding import DecodingOptions

        model = self._model
        with torch.no_grad():
            given = torch.from_numpy(rows).to(self._device)
            features = model.encoder(given.half() if self._half else given)
            told = [{"en": 1.0}] * len(rows)
            if model.is_multilingual:
                _, told = model.detect_language(features)
            options = DecodingOptions(
                language=None if model.is_multilingual else "en",
                temperature=0.0,
                sample_len=model.dims.n_text_ctx // 2,
                without_timestamps=True,
                fp16=self._half,
            )
            results = model.decode(features, options)
        out = np.empty(len(rows), object)
        for row, (result, chances) in enumerate(zip(results, told, strict=True)):
            out[row] = (result, chances)
        return out

    def _aligned(self, told: tuple[Any, dict[str, float]], samples: int) -> Heard:
        """What was decoded, with the times of its words by dynamic time warping over the attention."""
        from whisper.tokenizer import get_tokenizer

        result, chances = told
        model = self._model
        tokenizer = get_tokenizer(
            model.is_multilingual, num_languages=model.num_languages, language=result.language, task="transcribe"
        )
        tokens = [token for token in result.tokens if token < tokenizer.eot]
        columns = min(COLUMNS, max(LEAST_COLUMNS, -(-samples // FRAME)))
        return Heard(
            text=result.text,
            words=self._words(tokens, tokenizer, result.audio_features, columns),
            language=result.language,
            certainty=float(chances.get(result.language, 0.0)),
            no_speech=float(np.nan_to_num(result.no_speech_prob, nan=0.0)),
            logprob=float(result.avg_logprob),
            compression=float(result.compression_ratio),
            cut=len(result.tokens) >= model.dims.n_text_ctx // 2,
        )

    def _words(self, tokens: list[int], tokenizer: Any, features: Any, columns: int) -> tuple[Word, ...]:
        from whisper.timing import find_alignment, merge_punctuations

        try:
            found = find_alignment(_Encoded(self._model), tokenizer, tokens, features, columns)
        except Exception as error:
            if not out_of_memory(error):
                raise
            raise OperatorError(f"the words of one piece do not fit into the memory of {self._device}") from error
        merge_punctuations(found, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
        return tuple(
            Word(
                text=item.word.strip(),
                start=float(item.start),
                end=float(max(item.start, item.end)),
                probability=float(np.nan_to_num(item.probability, nan=0.0)),
            )
            for item in found
            if item.word.strip()
        )


class _Encoded:
    """What the package's alignment asks of a model, where the sound is encoded already: saves half of the time."""

    def __init__(self, model: Any) -> None:
        self.dims, self.decoder, self.alignment_heads, self.device = (
            model.dims,
            model.decoder,
            model.alignment_heads,
            model.device,
        )

    def __call__(self, features: torch.Tensor, tokens: torch.Tensor) -> Any:
        return self.decoder(tokens, features)


# --- loading ---


def load_whisper(device: str | None = None, name: str = "whisper-small") -> WhisperNetwork:
    """The network, from a verified file as OpenAI publishes it; loaded once a process and device.

    Args:
        device: "cpu", "cuda", "cuda:1"; None: the first GPU, or the CPU. name: of the weights.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        WeightsError: the file is missing, is cut short, or holds another model.
    """
    where = device_of(device)
    located = weights.locate(name)
    return once(("whisper", located.sha256, where), lambda: WhisperNetwork(name, read_model(located), device=where))


def read_model(located: Located) -> Any:
    """A whisper.model.Whisper from the one file that was located: {"dims", "model_state_dict"}; float32, on the CPU.

    Raises:
        MissingExtraError, WeightsError: as for `load_whisper`.
    """
    try:
        import torch
        import whisper
        from whisper.model import ModelDimensions, Whisper
    except ImportError as error:
        raise MissingExtraError("openai-whisper", "perception") from error
    try:
        came = torch.load(located.path, map_location="cpu", weights_only=True)
    except Exception as error:  # zip and pickle each raise their own on a broken file
        raise broken(located, f"{located.path.name} cannot be read ({type(error).__name__}: {error})") from error
    if not isinstance(came, dict) or not {"dims", "model_state_dict"} <= came.keys():
        kind = f"the keys {sorted(map(str, came))[:4]}" if isinstance(came, dict) else f"a {type(came).__name__}"
        raise broken(located, f"it holds {kind}; expected dims and model_state_dict, as OpenAI's files have")
    dims = _dimensions(located, came["dims"], [item.name for item in fields(ModelDimensions)])
    model = Whisper(ModelDimensions(**dims))
    try:
        model.load_state_dict(came["model_state_dict"])
    except Exception as error:  # RuntimeError names every tensor that is wrong; TypeError: it is no table
        raise broken(located, f"its tensors are not those of a Whisper model of its size: {error}") from error
    heads = getattr(whisper, "_ALIGNMENT_HEADS", {}).get(located.name.removeprefix("whisper-"))
    if heads is not None and asdict(model.dims)["n_text_state"] == OFFICIAL.get(located.name):
        model.set_alignment_heads(heads)
    return model


OFFICIAL = {  # width of the decoder of the models whose heads for alignment the package knows
    "whisper-tiny": 384,
    "whisper-base": 512,
    "whisper-small": 768,
    "whisper-medium": 1024,
    "whisper-large-v3": 1280,
    "whisper-turbo": 1280,
}


def _dimensions(located: Located, came: Any, names: list[str]) -> dict[str, int]:
    """The sizes of the model, checked before anything of such a size is made."""
    if not isinstance(came, dict) or sorted(map(str, came)) != sorted(names):
        told = sorted(map(str, came)) if isinstance(came, dict) else type(came).__name__
        raise broken(located, f"its dims are {told}; expected {', '.join(names)}")
    if odd := [name for name in names if type(came[name]) is not int or not 0 < came[name] <= 100_000]:
        raise broken(located, f"its {odd[0]} is {came[odd[0]]!r}; expected a number of 1 or more")
    dims: dict[str, int] = dict(came)
    rules = (
        ("n_vocab", dims["n_vocab"] in VOCABULARIES, " or ".join(map(str, VOCABULARIES))),
        ("n_mels", dims["n_mels"] in MELS, " or ".join(map(str, MELS))),
        ("n_audio_ctx", dims["n_audio_ctx"] == COLUMNS // 2, str(COLUMNS // 2)),
        ("n_text_state", dims["n_text_state"] == dims["n_audio_state"], f"{dims['n_audio_state']}, as n_audio_state"),
        ("n_audio_head", dims["n_audio_state"] % dims["n_audio_head"] == 0, "a divisor of n_audio_state"),
        ("n_text_head", dims["n_text_state"] % dims["n_text_head"] == 0, "a divisor of n_text_state"),
        ("n_audio_state", dims["n_audio_state"] % 2 == 0 and dims["n_audio_state"] <= 4096, "even, up to 4096"),
        ("n_audio_layer", dims["n_audio_layer"] <= 100, "100 at the most"),
        ("n_text_layer", dims["n_text_layer"] <= 100, "100 at the most"),
        ("n_text_ctx", 16 <= dims["n_text_ctx"] <= 4096, "16 to 4096"),
    )
    for name, fits, expected in rules:
        if not fits:
            raise broken(located, f"its {name} is {dims[name]}; expected {expected}")
    return dims
