"""Whisper with small random weights, in the formats of its two homes: what comes out is nonsense, the way is true.

A .pt file as OpenAI's package writes it, with the whole vocabulary; and a folder as transformers writes it, with the
head that tells feelings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cinereward.errors import MissingExtraError

FEELINGS = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
SIZES = {
    "n_mels": 80,
    "n_audio_ctx": 1500,  # fixed: 30 s
    "n_audio_state": 16,
    "n_audio_head": 2,
    "n_audio_layer": 1,
    "n_vocab": 51_865,
    "n_text_ctx": 48,
    "n_text_state": 16,
    "n_text_head": 2,
    "n_text_layer": 2,
}


def tiny_whisper(folder: Path, seed: int = 0, **sizes: int) -> Path:
    """Write tiny.pt into a folder: {"dims", "model_state_dict"} in half precision, 2 MB; returns its path.

    Args:
        sizes: other dimensions than those of SIZES, such as n_vocab=51864 for English only.

    Raises:
        MissingExtraError: openai-whisper is not installed.
    """
    try:
        import torch
        from whisper.model import ModelDimensions, Whisper
    except ImportError as error:
        raise MissingExtraError("openai-whisper", "perception") from error
    dims = {**SIZES, **sizes}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Whisper(ModelDimensions(**dims))
        with torch.no_grad():
            model.decoder.positional_embedding.normal_(0, 0.3)  # the package leaves it as memory happens to be
            for name, tensor in model.named_parameters():
                if name.endswith(("query.weight", "key.weight", "value.weight")):
                    tensor.mul_(4.0)  # else all sounds are decoded alike
    state = {name: tensor.half() for name, tensor in model.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.pt"
    torch.save({"dims": dims, "model_state_dict": state}, path)
    return path


def tiny_emotion(folder: Path, seed: int = 0, labels: Sequence[str] = FEELINGS) -> Path:
    """Write config.json, model.safetensors and preprocessor_config.json of a WhisperForAudioClassification; the folder.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    try:
        import torch
        from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForAudioClassification
    except ImportError as error:
        raise MissingExtraError("transformers", "perception") from error
    config = WhisperConfig(
        vocab_size=64,
        d_model=16,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        classifier_proj_size=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WhisperForAudioClassification(config)
        with torch.no_grad():
            for layer in (model.encoder.conv1, model.encoder.conv2, model.projector, model.classifier):
                layer.weight.mul_(15.0)  # else all sounds give the same feeling
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    extractor: Any = WhisperFeatureExtractor
    extractor().save_pretrained(folder)
    return folder
