from __future__ import annotations

import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from cinereward.adapters.dpo import DPORecipe, train
from cinereward.adapters.loading import load_generator
from cinereward.adapters.policy import Decoded, Geometry, Policy
from cinereward.adapters.recipe import load_recipe

EXAMPLE = Path(__file__).parents[3] / "rl_examples/dpo_wan.py"


@pytest.mark.slow
def test_the_example_learns_to_prefer_the_brighter_films(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dpo_wan.py", "--tiny", "--output", str(tmp_path), "--set", "learning.steps=14"])
    history = runpy.run_path(str(EXAMPLE))["main"]()
    assert history[0]["accuracy"] == 0.5
    assert sum(row["accuracy"] for row in history[-8:]) / 8 > 0.8
    assert "implicit accuracy" in capsys.readouterr().out


def test_the_example_asks_for_pairs() -> None:
    told = subprocess.run([sys.executable, str(EXAMPLE)], capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert "give --pairs, or --tiny" in told.stderr


@pytest.mark.slow
def test_a_run_that_is_killed_and_resumed_ends_where_an_uninterrupted_one_ends(tmp_path: Path) -> None:
    settings = ["--tiny", "--set", "learning.steps=16", "run.checkpoint_every=3", "optimiser.ema=0.9"]
    command = [sys.executable, str(EXAMPLE), *settings, "--output"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True, timeout=300)

    history = tmp_path / "killed/tiny-wan-dpo/history.jsonl"
    killed = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    while killed.poll() is None and (not history.exists() or len(history.read_text().splitlines()) < 5):
        time.sleep(0.02)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed/tiny-wan-dpo/final").exists()
    subprocess.run([*command, str(tmp_path / "killed"), "--resume"], check=True, capture_output=True, timeout=300)

    weights = "tiny-wan-dpo/final/lora/pytorch_lora_weights.safetensors"
    assert content(tmp_path / "killed" / weights) == content(tmp_path / "whole" / weights)
    assert len(history.read_text().splitlines()) == 16


def content(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """What a file of safetensors holds, to the bit; its header names the metadata in an order of its own each time."""
    with safe_open(path, "np") as file:
        names: list[str] = file.keys()
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in names}


class Remembering:
    """A decoder that knows which latents its films were made of, as a trained encoder would and a random one cannot."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._decode = policy, policy.decode
        self._films: list[torch.Tensor] = []
        self._latents: list[torch.Tensor] = []

    def decode(self, latents: torch.Tensor, geometry: Geometry) -> list[Decoded]:
        films = self._decode(latents, geometry)
        self._films += [film.video.float() for film in films]
        self._latents += list(latents)
        return films

    def encode(self, video: torch.Tensor) -> torch.Tensor:
        """Of the film most like this one, which the file's compression changed a little."""
        distances = (torch.stack(self._films) - video[0].float()).square().flatten(1).mean(dim=1)
        return self._latents[int(distances.argmin())][None]


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_new_films_become_what_was_chosen(sign: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Brighter where the brighter film was chosen, darker where the darker one was."""
    example = runpy.run_path(str(EXAMPLE))
    changes = [f"run.output={tmp_path}", "optimiser.learning_rate=0.01", "learning.steps=30"]
    recipe = load_recipe(DPORecipe, example["TINY"], [*changes, f"pairs.path={tmp_path / 'films/pairs.parquet'}"])
    geometry = recipe.generator.geometry
    policy: Any = load_generator(recipe.generator, recipe.lora, "cpu")
    memory = Remembering(policy)
    plain = example["brightness"]
    monkeypatch.setitem(
        example["make_pairs"].__globals__, "brightness", lambda video: 0.5 + sign * (plain(video) - 0.5)
    )
    with monkeypatch.context() as patched:
        patched.setattr(policy, "decode", memory.decode)
        example["make_pairs"](policy, geometry, tmp_path / "films")

    def brightness() -> float:
        films = [
            film for prompt in example["PROMPTS"] for film in example["sample"](policy, prompt, geometry, range(50, 58))
        ]
        return sum(plain(film.video) for film in films) / len(films)

    before = brightness()
    train(recipe, policy=policy, encode=memory.encode)
    assert sign * (brightness() - before) > 5e-4
