"""Models in the folders that transformers writes: config.json and model.safetensors, verified, read without a network.

transformers fills what a file lacks with chance and goes on; here that is an error. Only the architectures that are
named are built, from the installed library: no code comes out of a folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cinereward.errors import MissingExtraError, WeightsError

if TYPE_CHECKING:
    from cinereward.weights import Located

UNUSED = ("position_ids", "mask_token")  # in some files and not in others; nothing here reads them


def pretrained(located: Located, kinds: Sequence[str], auto: str = "AutoModel") -> tuple[Any, dict[str, Any]]:
    """The model in a verified folder, float32, on the CPU.

    Args:
        located: the folder. kinds: values of "model_type" in config.json that can be used, such as "dinov2". auto: the
            class of transformers that finds the architecture, "AutoModelForAudioClassification" for such a head.

    Returns:
        The transformers model, and its configuration as JSON.

    Raises:
        MissingExtraError: transformers is not installed.
        WeightsError: another architecture, a broken file, or tensors that are missing or have another shape.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "perception") from error
    config = configured(located, kinds)
    bars: Any = transformers.logging
    shows = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        model, told = getattr(transformers, auto).from_pretrained(
            located.folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            dtype="float32",
        )
    except Exception as error:  # OSError, ValueError, SafetensorError, RuntimeError: each for another fault of a file
        raise broken(located, f"{type(error).__name__}: {error}") from error
    finally:
        if shows:
            bars.enable_progress_bar()
    lacking = [name for name in told["missing_keys"] if not name.endswith(UNUSED)]
    if lacking:
        raise broken(located, f"{len(lacking)} tensors are missing, such as {sorted(lacking)[0]}")
    return model, config


def configured(located: Located, kinds: Sequence[str]) -> dict[str, Any]:
    """What config.json says.

    Raises:
        WeightsError: there is none, it is no JSON, or it is of a model that is not one of `kinds`.
    """
    path = located.folder / "config.json"
    try:
        config = json.loads(path.read_text("utf-8"))
        kind = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise broken(located, f"config.json does not say what the model is ({type(error).__name__})") from error
    if kind not in kinds:
        raise WeightsError(
            f"{located.name} in {located.folder} is a model of type {kind!r}; expected {' or '.join(kinds)}; "
            f"put the right folder there: cinereward weights add {located.name} PATH"
        )
    checked: dict[str, Any] = config
    return checked


def broken(located: Located, told: str) -> WeightsError:
    """The error that says what is wrong with these weights."""
    return WeightsError(
        f"{located.name} in {located.folder} (sha256 {located.sha256[:12]}) cannot be used: "
        f"{' '.join(told.split())[:300]}; expected the whole model as published; get it again, "
        f"then: cinereward weights add {located.name} PATH"
    )
