"""Vision-language models small enough for a test, in the folders that the true ones come in: nothing is downloaded.

Weights are random; the processors, the tokenizer's rules, the chat template and the files are of the true kind. The
output head is biased so that after a space, where a score is due, the labels hold most of the mass, and after a digit
or a full stop the turn ends.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cinereward.errors import MissingExtraError
from cinereward.judge.models import quiet

FAMILIES = ("qwen3_vl", "qwen3_vl_moe", "qwen2_5_vl", "qwen2_5_omni")
WIDTH = 32  # of the text model
CONTEXT = 32_768  # tokens
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PADS = {  # family -> what stands for a picture, a film and sound, and what comes before and after
    "qwen": ("<|image_pad|>", "<|video_pad|>", "<|audio_pad|>", "<|vision_start|>", "<|vision_end|>"),
    "qwen2_5_omni": ("<|IMAGE|>", "<|VIDEO|>", "<|AUDIO|>", "<|vision_bos|>", "<|vision_eos|>"),
}
TEXT = (
    "You are a film critic. Score: 1 2 3 4 5\nHow good is the light in this clip? 1 is bad and 5 is excellent.\n"
    "The camera pans slowly across an empty street in the rain, and the two people who talk are out of focus.\n"
    "<0.0 seconds> <1.5 seconds> evidence prompt transcript question answer reason problem suggestion\n"
)
RULE = (  # by which Qwen cuts text into words: every digit stands alone
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE = """{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}{{- message.content }}
{%- else %}{%- for part in message.content %}
{%- if part.type == 'image' or 'image' in part %}{{- 'START_IMAGE_END' }}
{%- elif part.type == 'video' or 'video' in part %}{{- 'START_VIDEO_END' }}
{%- elif part.type == 'audio' or 'audio' in part %}{{- '<|audio_bos|>AUDIO_<|audio_eos|>' }}
{%- elif 'text' in part %}{{- part.text }}{%- endif %}{%- endfor %}{%- endif %}
{{- '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""


def tiny_judge(folder: Path, family: str = "qwen3_vl", *, biased: bool = True, seed: int = 0) -> Path:
    """Write a model, its tokenizer and its processor into a folder; 1 MB or less; returns the folder.

    Args:
        family: one of FAMILIES; "qwen2_5_omni" hears. biased: whether the labels hold most of the mass where a score
            is due; else all tokens are about as likely. seed: of the weights.

    Raises:
        MissingExtraError: transformers is not installed.
    """
    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}; expected one of {', '.join(FAMILIES)}")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "judge") from error
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(transformers, family)
    ids = dict(zip(("image", "video", "audio", "start", "end"), _pads(tokenizer, family), strict=True))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _model(transformers, family, len(tokenizer), ids).eval()
    if biased:
        _bias(model, tokenizer)
    if family == "qwen2_5_omni":
        _save_omni(model, folder)
    else:
        with quiet():
            model.save_pretrained(folder)
    _processor(transformers, family, tokenizer).save_pretrained(folder)
    marks = {"eos_token_id": [tokenizer.convert_tokens_to_ids(mark) for mark in ("<|im_end|>", "<|endoftext|>")]}
    (folder / "generation_config.json").write_text(json.dumps(marks), "utf-8")
    return folder


def _tokenizer(lib: Any, family: str) -> Any:
    import tokenizers as tk

    pads = PADS.get(family, PADS["qwen"])
    known = [*MARKS, *pads, "<|audio_bos|>", "<|audio_eos|>"]
    made = tk.Tokenizer(tk.models.BPE())
    made.normalizer = tk.normalizers.NFC()
    made.pre_tokenizer = tk.pre_tokenizers.Sequence(
        [tk.pre_tokenizers.Split(tk.Regex(RULE), "isolated"), tk.pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    made.decoder = tk.decoders.ByteLevel()
    made.train_from_iterator(
        [TEXT],
        tk.trainers.BpeTrainer(
            vocab_size=500,
            special_tokens=known,
            initial_alphabet=tk.pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    named = {}
    if family == "qwen2_5_omni":
        names = ("image_token", "video_token", "audio_token", "vision_bos_token", "vision_eos_token")
        extra = dict(zip(names, pads, strict=True))
        named = {
            "extra_special_tokens": {**extra, "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>"}
        }
    return lib.Qwen2TokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=CONTEXT, **named
    )


def _pads(tokenizer: Any, family: str) -> list[int]:
    ids: list[int] = tokenizer.convert_tokens_to_ids(list(PADS.get(family, PADS["qwen"])))
    return ids


def _text(vocabulary: int, family: str) -> dict[str, Any]:
    """What the text models have in common."""
    rope: dict[str, Any] = {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 10_000.0}
    if family.startswith("qwen3"):
        rope["mrope_interleaved"] = True
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.25,
        "rope_parameters": rope,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": MARKS.index("<|im_end|>"),
    }
    if family.startswith("qwen3"):
        sizes["head_dim"] = 16
    if family == "qwen3_vl_moe":
        sizes |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
    return sizes


def _vision(family: str) -> dict[str, Any]:
    sizes = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": WIDTH}
    if family.startswith("qwen3"):
        return {**sizes, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1], "initializer_range": 0.25}
    return {**sizes, "window_size": 56, "fullatt_block_indexes": [1], "initializer_range": 0.25}


def _model(lib: Any, family: str, vocabulary: int, ids: dict[str, int]) -> Any:
    text, vision = _text(vocabulary, family), _vision(family)
    tokens = {
        "image_token_id": ids["image"],
        "video_token_id": ids["video"],
        "vision_start_token_id": ids["start"],
        "vision_end_token_id": ids["end"],
        "tie_word_embeddings": False,
    }
    if family == "qwen2_5_omni":
        sound = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "d_model": 16}
        config = lib.Qwen2_5OmniThinkerConfig(
            text_config=text,
            vision_config=vision,
            audio_config={**sound, "output_dim": WIDTH, "num_mel_bins": 32, "initializer_range": 0.25},
            audio_token_index=ids["audio"],
            image_token_index=ids["image"],
            video_token_index=ids["video"],
            vision_start_token_id=ids["start"],
            vision_end_token_id=ids["end"],
            audio_start_token_id=ids["end"] + 1,
            audio_end_token_id=ids["end"] + 2,
            initializer_range=0.25,
        )
        return lib.Qwen2_5OmniThinkerForConditionalGeneration(config)
    names = {"qwen3_vl": "Qwen3VL", "qwen3_vl_moe": "Qwen3VLMoe", "qwen2_5_vl": "Qwen2_5_VL"}
    config = getattr(lib, f"{names[family]}Config")(text_config=text, vision_config=vision, **tokens)
    return getattr(lib, f"{names[family]}ForConditionalGeneration")(config)


def _bias(model: Any, tokenizer: Any) -> None:
    """Let the first two dimensions say "a score is due" and "that is all"; only the tables of words use them."""
    import torch

    text = model.model.language_model
    due = tokenizer.encode(" ", add_special_tokens=False)
    over = tokenizer.convert_tokens_to_ids([*"0123456789", "."])
    labels = tokenizer.convert_tokens_to_ids(list("12345"))
    with torch.no_grad():
        for name, weight in text.named_parameters():
            if name.endswith("o_proj.weight"):
                weight[:2] = 0.0
            elif name.endswith(("down_proj", "down_proj.weight")):  # of one, or of all experts
                weight[..., :2, :] = 0.0
        table, head = text.embed_tokens.weight, model.lm_head.weight
        table[:, :2], head[:, :2] = 0.0, 0.0
        table[due, 0] = table[over, 1] = 4.0 * table.std() * WIDTH**0.5
        head[labels, 0] = 8.0
        head[tokenizer.convert_tokens_to_ids("<|im_end|>"), 1] = 8.0


def _save_omni(model: Any, folder: Path) -> None:
    """As the true model comes: the thinker is a part of the whole, and its tensors are named after it."""
    from safetensors.torch import save_file

    state = {f"thinker.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    whole = {
        "architectures": ["Qwen2_5OmniModel"],
        "model_type": "qwen2_5_omni",
        "enable_audio_output": False,
        "thinker_config": model.config.to_dict(),
    }
    (folder / "config.json").write_text(json.dumps(whole, indent=2), "utf-8")


def _processor(lib: Any, family: str, tokenizer: Any) -> Any:
    image, video, audio, start, end = PADS.get(family, PADS["qwen"])
    template = TEMPLATE.replace("START_IMAGE_END", start + image + end).replace("START_VIDEO_END", start + video + end)
    template = template.replace("AUDIO_", audio)
    if family.startswith("qwen3"):
        edges = {"shortest_edge": 32 * 32, "longest_edge": 32 * 32 * 4096}
        pictures = lib.Qwen2VLImageProcessor(patch_size=16, size=edges, image_mean=[0.5] * 3, image_std=[0.5] * 3)
        films = lib.Qwen3VLVideoProcessor(size=edges)
        return lib.Qwen3VLProcessor(pictures, tokenizer, films, chat_template=template)
    pictures, films = lib.Qwen2VLImageProcessor(), lib.Qwen2VLVideoProcessor()
    if family == "qwen2_5_vl":
        return lib.Qwen2_5_VLProcessor(pictures, tokenizer, films, chat_template=template)
    hearing = lib.WhisperFeatureExtractor(feature_size=32, chunk_length=300)
    return lib.Qwen2_5OmniProcessor(pictures, films, hearing, tokenizer, chat_template=template)
