"""Loading a vision-language model: from a folder or the Hugging Face cache, once per process and device, no network.

Only safetensors are read and only the architectures that are named are built, from the installed library: no code and
no pickle comes out of a folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from cinereward.errors import ConfigError, MissingExtraError, WeightsError
from cinereward.judge.settings import JudgeSettings
from cinereward.networks.running import device_of, once

CLASSES = {  # "model_type" in config.json -> the class that is built
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen2_5_omni_thinker": "Qwen2_5OmniThinkerForConditionalGeneration",
}
HEARING = ("qwen2_5_omni", "qwen2_5_omni_thinker")
SPOTS, SPOT = 16, 65_536  # places in a file of weights that are hashed, and bytes at each
SMALL = 64 << 20  # bytes: files up to here, but for weights, are hashed whole


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model lies and what it is, known before anything is loaded.

    folder: with config.json and *.safetensors. kind: "model_type". identity: names all that decides its answers.
    """

    folder: Path
    kind: str
    device: str
    dtype: str
    identity: str

    @property
    def hears(self) -> bool:
        """Whether it can be given sound."""
        return self.kind in HEARING


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A model that is ready. context: tokens it can take. lock: held while it runs, by one clip at a time."""

    model: Any
    processor: Any
    source: Source
    context: int
    lock: threading.Lock = field(default_factory=threading.Lock)


def source(settings: JudgeSettings, device: str | None = None) -> Source:
    """Find the model of these settings and name it by its content.

    Raises:
        MissingExtraError: transformers, torchvision, peft or bitsandbytes is needed and not installed.
        ConfigError: the settings ask for what this machine cannot do.
        WeightsError: there is no such model here, or it is not one that can be used.
    """
    version = _libraries(settings)
    folder = _folder(settings)
    kind = _kind(folder)
    on = device_of(device)
    dtype = settings.dtype if settings.dtype != "auto" else "float32" if on == "cpu" else "bfloat16"
    if settings.quantise and on == "cpu":
        raise ConfigError(f"quantise is {settings.quantise} on a CPU; it needs a GPU: leave it out, or give a device")
    parts = [f"{Path(settings.model).name}@{_content(folder)}"]
    if settings.adapter:
        parts.append(f"adapter@{_content(_adapter(settings.adapter))}")
    parts += [dtype, *([settings.quantise] if settings.quantise else []), f"transformers-{version}"]
    return Source(folder=folder, kind=kind, device=on, dtype=dtype, identity="+".join(parts))


def loaded(settings: JudgeSettings, found: Source) -> Loaded:
    """The model in memory; loaded the first time it is asked for in this process.

    Raises:
        WeightsError: a file is broken, or tensors are missing or have another shape.
    """
    return once(("judge", found.identity, found.device), lambda: _load(settings, found))


def _libraries(settings: JudgeSettings) -> str:
    needed = ["transformers", "torchvision", *(["peft"] if settings.adapter else [])]
    for library in needed:
        if importlib.util.find_spec(library) is None:
            raise MissingExtraError(library, "judge")
    if settings.quantise and importlib.util.find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"quantise is {settings.quantise} and bitsandbytes is not installed; install it, or leave quantise out"
        )
    version = importlib.metadata.version("transformers")
    if int(version.split(".")[0]) < 5:  # before, positions came otherwise and caches were cropped otherwise
        raise ConfigError(f"transformers is {version}; the local judge needs 5 or later: pip install -U transformers")
    return version


def _folder(settings: JudgeSettings) -> Path:
    given = Path(settings.model).expanduser()
    if given.is_dir():
        return given
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(settings.model, revision=settings.revision, local_files_only=True))
    except Exception as error:  # a name that is none, a cache without it, a revision that is not there
        raise WeightsError(
            f"the judge's model {settings.model!r} (revision {settings.revision or 'main'}) is neither a folder nor in "
            f"the Hugging Face cache; get it first: hf download {settings.model}"
        ) from error


def _kind(folder: Path) -> str:
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"config.json in {folder} does not say what the model is ({type(error).__name__}); give the folder of a "
            f"whole model as published"
        ) from error
    if kind not in CLASSES:
        raise WeightsError(f"the model in {folder} is a {kind!r}; a local judge is one of {', '.join(CLASSES)}")
    if not any(folder.glob("*.safetensors")):
        raise WeightsError(f"there is no *.safetensors in {folder}; other formats are not read: get the whole model")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        if lacking := sorted(name for name in named if not (folder / name).is_file()):
            raise WeightsError(f"{folder} lacks {len(lacking)} of {len(named)} files, such as {lacking[0]}; get them")
    return str(kind)


def _adapter(given: str) -> Path:
    folder = Path(given).expanduser()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise WeightsError(f"the adapter {given} has no {name}; give a folder that peft wrote, with safetensors")
    return folder


def _content(folder: Path) -> str:
    """Twelve hex digits of a folder's content: small files whole, weights by name, size and samples of their bytes.

    Weights of true size would take a minute to read; two trainings of one model differ in every sample.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.suffix in (".md", ".lock") or path.name.startswith("."):
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if path.suffix != ".safetensors" and size <= SMALL:
                digest.update(file.read())
                continue
            for spot in range(SPOTS):
                file.seek(max(0, size - SPOT) * spot // (SPOTS - 1))
                digest.update(file.read(SPOT))
    return digest.hexdigest()[:12]


def _load(settings: JudgeSettings, found: Source) -> Loaded:
    transformers: Any = import_module("transformers")
    options: dict[str, Any] = {"dtype": found.dtype, "attn_implementation": "sdpa"}
    if settings.quantise:
        options |= {"quantization_config": _quantised(settings.quantise, found.dtype), "device_map": {"": found.device}}
    here = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            model, told = getattr(transformers, CLASSES[found.kind]).from_pretrained(
                found.folder, use_safetensors=True, output_loading_info=True, **here, **options
            )
        processor = transformers.AutoProcessor.from_pretrained(found.folder, **here)
        if settings.adapter:
            model = _adapted(model, _adapter(settings.adapter))
    except WeightsError:
        raise
    except Exception as error:  # OSError, ValueError, SafetensorError, RuntimeError: each for another fault of a file
        why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise WeightsError(f"the judge in {found.folder} cannot be loaded: {why}; get the model again") from error
    if lacking := sorted(told["missing_keys"]):
        raise WeightsError(
            f"the judge in {found.folder} lacks {len(lacking)} tensors, such as {lacking[0]}; get the model again"
        )
    text = model.config.get_text_config()
    if "sliding_attention" in (getattr(text, "layer_types", None) or ()):
        raise WeightsError(f"the judge in {found.folder} has layers with a sliding window, which cannot be packed")
    if not settings.quantise:
        model.to(found.device)
    model.eval().requires_grad_(False)
    return Loaded(model=model, processor=processor, source=found, context=int(text.max_position_embeddings))


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars on the terminal."""
    told: Any = import_module("transformers").logging
    shows = told.is_progress_bar_enabled()
    told.disable_progress_bar()
    try:
        yield
    finally:
        if shows:
            told.enable_progress_bar()


def _quantised(asked: str, dtype: str) -> Any:
    import torch

    transformers: Any = import_module("transformers")
    if asked == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, dtype)
    )


def _adapted(model: Any, folder: Path) -> Any:
    """The model with a peft adapter's layers in it; the wrapper around it is not needed to run it.

    Raises:
        WeightsError: the adapter is of tokens and not of layers, or its tensors are not those that this model takes.
    """
    import peft
    from safetensors import safe_open

    wrapped: Any = peft.PeftModel.from_pretrained(
        model,
        str(folder),
        is_trainable=False,
        autocast_adapter_dtype=False,
        local_files_only=True,
        use_safetensors=True,
    )
    if wrapped.active_peft_config.is_prompt_learning:
        raise WeightsError(
            f"the adapter {folder} puts tokens before the text; give one that changes layers, such as LoRA"
        )
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:  # peft only warns of these, and goes on
        odd = set(file.keys()) ^ set(peft.get_peft_model_state_dict(wrapped))
    if odd:
        raise WeightsError(f"the adapter {folder} is for another model: {len(odd)} tensors differ, such as {min(odd)}")
    return wrapped.get_base_model()
