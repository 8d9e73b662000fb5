"""A model is found, named by its content, and loaded once; what cannot be used says so before anything is asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")
import torch
from safetensors.torch import load_file, save_file

from cinereward.errors import ConfigError, WeightsError
from cinereward.judge.models import loaded, source
from cinereward.judge.settings import JudgeSettings
from tests.judge.tiny import ASKS, backend, folder, shown


def settings(model: Path | str, **changes: Any) -> JudgeSettings:
    return JudgeSettings.model_validate({"model": str(model), **changes})


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of the tiny judge that a test may spoil."""
    return Path(shutil.copytree(folder(), tmp_path / "judge"))


def change(path: Path, edit: Any) -> None:
    state = load_file(path)
    edit(state)
    save_file(state, path, metadata={"format": "pt"})


def test_the_same_content_has_the_same_name_wherever_it_lies(own: Path) -> None:
    first, second = (source(settings(place), "cpu").identity for place in (folder(), own))
    assert first.split("@")[1] == second.split("@")[1]


def test_other_weights_have_another_name_though_nothing_else_differs(own: Path) -> None:
    before = source(settings(own), "cpu").identity
    change(own / "model.safetensors", lambda state: state["lm_head.weight"].mul_(1.01))
    assert source(settings(own), "cpu").identity != before


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.json", "config.json", "processor_config.json"])
def test_another_template_tokenizer_or_configuration_has_another_name(own: Path, name: str) -> None:
    before = source(settings(own), "cpu").identity
    (own / name).write_text((own / name).read_text("utf-8") + " ", "utf-8")
    assert source(settings(own), "cpu").identity != before


def test_the_name_tells_dtype_and_version() -> None:
    import transformers

    assert source(settings(folder()), "cpu").identity.endswith(f"+float32+transformers-{transformers.__version__}")
    assert "+bfloat16+" in source(settings(folder(), dtype="bfloat16"), "cpu").identity


def test_a_gpu_computes_in_bfloat16_unless_told() -> None:
    assert source(settings(folder()), "cuda").dtype == "bfloat16"
    assert source(settings(folder(), dtype="float32"), "cuda").dtype == "float32"


def test_a_model_is_loaded_once() -> None:
    assert backend().loaded is backend(chunk=5).loaded
    assert backend().loaded is not backend(dtype="bfloat16").loaded


def test_a_loaded_model_is_not_trained() -> None:
    model = backend().loaded.model
    assert not model.training
    assert not [name for name, weight in model.named_parameters() if weight.requires_grad]


def test_the_thinker_is_found_in_the_whole_omni_model() -> None:
    names = load_file(folder("qwen2_5_omni") / "model.safetensors")
    assert all(name.startswith("thinker.") for name in names)
    assert type(backend("qwen2_5_omni").loaded.model).__name__ == "Qwen2_5OmniThinkerForConditionalGeneration"


def test_a_name_in_the_cache_is_found_with_its_revision(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    home = tmp_path / "hub" / "models--tiny--judge"
    shutil.copytree(own, home / "snapshots" / ("a" * 40))
    (home / "refs").mkdir()
    (home / "refs" / "v1").write_text("a" * 40, "utf-8")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert source(settings("tiny/judge", revision="v1"), "cpu").folder.name == "a" * 40
    with pytest.raises(WeightsError, match=r"revision v2.*hf download tiny/judge"):
        source(settings("tiny/judge", revision="v2"), "cpu")


def test_a_model_that_is_not_here_is_not_fetched() -> None:
    with pytest.raises(WeightsError, match="neither a folder nor in the Hugging Face cache"):
        source(settings("nobody/has-this-one"), "cpu")


def test_a_pickle_is_not_read(own: Path) -> None:
    (own / "model.safetensors").rename(own / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"no \*\.safetensors"):
        source(settings(own), "cpu")


def test_another_kind_of_model_is_refused(own: Path) -> None:
    (own / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    with pytest.raises(WeightsError, match=r"is a 'llama'; a local judge is one of qwen3_vl"):
        source(settings(own), "cpu")


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_configuration_that_says_nothing_is_refused(own: Path, text: str) -> None:
    (own / "config.json").write_text(text, "utf-8")
    with pytest.raises(WeightsError, match="does not say what the model is"):
        source(settings(own), "cpu")


def test_a_missing_part_is_told_before_loading(own: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (own / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    with pytest.raises(WeightsError, match=r"lacks 1 of 2 files, such as model-2\.safetensors"):
        source(settings(own), "cpu")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda state: state.pop("lm_head.weight"), "lacks 1 tensors, such as lm_head.weight"),
        (lambda state: state.update({"lm_head.weight": torch.zeros(3, 3)}), "cannot be loaded"),
    ],
)
def test_weights_that_do_not_fit_are_never_made_up(own: Path, edit: Any, told: str) -> None:
    change(own / "model.safetensors", edit)
    found = source(settings(own), "cpu")
    with pytest.raises(WeightsError, match=told):
        loaded(settings(own), found)
    [[read]] = backend(model=str(own)).read([(shown(), ASKS[:1])])
    assert told in read.error


def test_a_broken_file_is_told(own: Path) -> None:
    (own / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        loaded(settings(own), source(settings(own), "cpu"))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    """A LoRA adapter for the tiny judge that changes something, as peft writes it."""
    peft = pytest.importorskip("peft")
    import transformers

    model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(folder(), local_files_only=True)
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    draw = torch.Generator().manual_seed(0)
    for name, weight in wrapped.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape, generator=draw)
    wrapped.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_changes_the_answers_and_the_name(adapter: Path) -> None:
    plain, adapted = backend(), backend(adapter=str(adapter))
    assert adapted.identity.split("+")[1].startswith("adapter@")
    assert adapted.identity != plain.identity
    [[first]], [[second]] = (judge.read([(shown(), ASKS[:1])]) for judge in (plain, adapted))
    assert np.abs(first.logs - second.logs).max() > 1e-3


def test_an_adapter_leaves_the_plain_model_as_it_was(adapter: Path) -> None:
    [[before]] = backend().read([(shown(), ASKS[:1])])
    backend(adapter=str(adapter)).read([(shown(), ASKS[:1])])
    [[after]] = backend().read([(shown(), ASKS[:1])])
    np.testing.assert_array_equal(before.logs, after.logs)


def test_an_adapter_of_another_model_is_never_left_out_in_silence(adapter: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    state = {name.replace("language_model", "text_model"): tensor for name, tensor in load_file(path).items()}
    save_file(state, path, metadata={"format": "pt"})
    [[read]] = backend(adapter=str(adapter)).read([(shown(), ASKS[:1])])
    assert "is for another model" in read.error


def test_an_adapter_of_tokens_is_refused(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    import transformers

    model = transformers.Qwen3VLForConditionalGeneration.from_pretrained(folder(), local_files_only=True)
    made = {
        "task_type": "CAUSAL_LM",
        "num_virtual_tokens": 2,
        "token_dim": 32,
        "num_layers": 3,
        "num_attention_heads": 2,
    }
    peft.get_peft_model(model, peft.PromptTuningConfig(**made)).save_pretrained(tmp_path)
    [[read]] = backend(adapter=str(tmp_path)).read([(shown(), ASKS[:1])])
    assert "puts tokens before the text" in read.error


def test_an_adapter_that_is_a_pickle_is_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(WeightsError, match=r"has no adapter_model\.safetensors"):
        backend(adapter=str(adapter))


def test_fewer_bits_without_the_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else real(name))
    with pytest.raises(ConfigError, match="bitsandbytes is not installed"):
        source(settings(folder(), quantise="4bit"), "cuda")


def test_fewer_bits_on_a_cpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(ConfigError, match="needs a GPU"):
        source(settings(folder(), quantise="8bit"), "cpu")
