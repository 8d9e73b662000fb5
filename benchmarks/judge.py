"""What it costs to ask a judge all 196 questions against one: packed, one by one, and with a full chain of thought.

    python -m benchmarks.judge [--device cuda] [--tokenizer FOLDER] [--rounds 3] [--json OUT]

By count, at the true dimensions of Qwen3-VL-2B and -8B (see judge_costs.py), and by the clock: on a GPU at those
dimensions with random weights, on a CPU with a small model, whose ratios say little about a large one's. Ways of asking
take turns, and the median of the rounds' ratios is told.

Tokens of our own texts are counted with the tokenizer that is given. Without one they are bounded so that all questions
look dearer than they are: questions at 3.5 characters a token, what all share at 4.5. With Qwen's own 151,643 merges it
was 3.94 and 4.18 on 2026-11-21.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.judge_costs import (
    FRAMES,
    SHAPES,
    SIZES,
    WRITTEN,
    Load,
    Shape,
    Text,
    Vision,
    most_tail,
    one,
    one_by_one,
    packed,
    patches,
    prefix_tokens,
    ratios,
    thinking,
)
from benchmarks.speed import peak

if TYPE_CHECKING:
    from cinereward.judge.models import Loaded
    from cinereward.judge.turns import Staged

LIMIT = 6.0  # times one question, for all of them
QUESTION, SHARED = 3.5, 4.5  # characters a token: few where tokens make packing dearer, many where they make it cheaper
TURNS, ANSWER = 8, 8  # tokens of the template: around the system's and the user's turn, and from there to the answer
STAMP = 8  # tokens between two groups of frames: "<0.3 seconds>" and the marks around the pictures
PROMPT = "A woman walks through a market at night."
SMALL = Shape(
    vision=Vision(layers=4, width=64, inner=256, out=128, taps=2, heads=4),
    text=Text(layers=4, width=128, inner=384, heads=4, kv_heads=2, head_dim=32, vocabulary=2_000),
)
SMALL_LOAD = (8, 128, 224)  # frames, height, width
CONTEXT = 262_144  # tokens


def bounds() -> tuple[Callable[[str], int], Callable[[str], int]]:
    """Counters of a question's tokens, from above, and of shared text's, from below."""
    return lambda text: -int(-len(text) // QUESTION), lambda text: int(len(text) / SHARED)


def exact(folder: Path) -> tuple[Callable[[str], int], Callable[[str], int]]:
    """Counters by a true tokenizer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    return count, count


def load_of(size: tuple[int, int], counters: tuple[Callable[[str], int], Callable[[str], int]], chunk: int) -> Load:
    """All questions of the taxonomy on a clip of 32 frames, five seconds long, with a short prompt and no evidence.

    Evidence and a long prompt make the shared part longer, and so all questions cheaper against one.
    """
    from cinereward import taxonomy
    from cinereward.judge.material import stage
    from cinereward.judge.settings import Showing
    from cinereward.judge.wording import question_ask
    from cinereward.types import JudgeRequest, Window

    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (FRAMES, 32, 32, 3), dtype=np.uint8)
    times = np.arange(FRAMES) * 5 / FRAMES
    window = Window(
        frames=frames, times=times, start_frame=0, overlap=0, fps=16.0, sound=None, features={}, prompt=PROMPT
    )
    (shown,) = stage(JudgeRequest(clip=[window], questions=[], evidence={}), Showing(frames=FRAMES), hears=False)
    question, shared = counters
    groups, _ = patches(SHAPES["Qwen3-VL-2B"].vision, Load(frames=FRAMES, height=32, width=32, around=0, tails=()))
    return Load(
        frames=FRAMES,
        height=size[0],
        width=size[1],
        around=sum(map(shared, (shown.system, shown.before, shown.after))) + TURNS + STAMP * groups,
        tails=tuple(question(question_ask(one).text) + ANSWER for one in taxonomy.load().questions),
        chunk=chunk,
    )


def counted(shape: Shape, load: Load) -> dict[str, Any]:
    """Tokens, passes and operations of each way of asking."""
    ways = {"one question": one, "all, packed": packed, "all, one by one": one_by_one, "all, thinking": thinking}
    rows = {name: way(shape, load) for name, way in ways.items()}
    return {
        "prefix tokens": prefix_tokens(shape, load),
        "tokens a question": sum(load.tails) / len(load.tails),
        "may have": most_tail(shape, load, LIMIT),
        **{
            name: {"tera_ops": row.operations / 1e12, "tokens": row.tokens, "passes": row.passes, "seen": row.seen}
            for name, row in rows.items()
        },
        "ratios": ratios(shape, load),
    }


def random_model(shape: Shape, device: str, dtype: str) -> Loaded:
    """A Qwen3-VL of this shape with random weights, as the local judge holds one; it has no tokenizer."""
    import torch
    import transformers

    from cinereward.judge.models import Loaded, Source

    seen, text = shape.vision, shape.text
    half = text.head_dim // 2
    thin = half * 5 // 16
    config = transformers.Qwen3VLConfig(
        text_config={
            "vocab_size": text.vocabulary,
            "hidden_size": text.width,
            "intermediate_size": text.inner,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "num_key_value_heads": text.kv_heads,
            "head_dim": text.head_dim,
            "max_position_embeddings": CONTEXT,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 5e6,
                "mrope_section": [half - 2 * thin, thin, thin],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": seen.layers,
            "hidden_size": seen.width,
            "intermediate_size": seen.inner,
            "num_heads": seen.heads,
            "out_hidden_size": seen.out,
            "patch_size": seen.patch,
            "temporal_patch_size": seen.deep,
            "spatial_merge_size": seen.merge,
            "deepstack_visual_indexes": [seen.layers * (at + 1) // (seen.taps + 1) for at in range(seen.taps)],
        },
        video_token_id=1,
        image_token_id=2,
        vision_start_token_id=3,
        vision_end_token_id=4,
        tie_word_embeddings=text.tied,
    )
    kind: Any = transformers.Qwen3VLForConditionalGeneration
    with torch.device(device), torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind._from_config(config, dtype=getattr(torch, dtype), attn_implementation="sdpa")
    model.eval().requires_grad_(False)
    source = Source(folder=Path("random"), kind="qwen3_vl", device=device, dtype=dtype, identity="random")
    return Loaded(model=model, processor=None, source=source, context=CONTEXT)


def staged(loaded: Loaded, shape: Shape, load: Load) -> Staged:
    """Tokens, pictures and positions of such a load, drawn at random: what the judge's kernel takes."""
    import torch

    from cinereward.judge.turns import Staged

    rng = np.random.default_rng(0)
    seen, device = shape.vision, loaded.source.device
    groups, each = patches(seen, load)
    config = loaded.model.config

    def words(count: int) -> list[int]:
        return [int(token) for token in rng.integers(100, int(0.9 * shape.text.vocabulary), count)]

    first = (load.around - STAMP * groups) // 2
    prefix = words(first)
    for _ in range(groups):
        pads = [config.video_token_id] * (each // seen.merge**2)
        prefix += [*words(STAMP - 2), config.vision_start_token_id, *pads, config.vision_end_token_id]
    prefix += words(load.around - STAMP * groups - first)
    tails = [words(length) for length in load.tails]
    rows = max(1, round(load.height / (seen.patch * seen.merge))) * seen.merge
    grid = torch.tensor([[groups, rows, each // rows]], device=device)
    pixels = torch.from_numpy(rng.uniform(-1, 1, (groups * each, 3 * seen.deep * seen.patch**2)).astype(np.float32))
    ids = torch.tensor([prefix + max(tails, key=len)], device=device)
    kinds = torch.where(ids == config.video_token_id, 2, 0)
    places, _ = loaded.model.model.get_rope_index(ids, mm_token_type_ids=kinds, video_grid_thw=grid)
    return Staged(
        prefix=ids[:, : len(prefix)],
        media={"pixel_values_videos": pixels.to(device, loaded.model.dtype), "video_grid_thw": grid},
        tails=tails,
        labels=[(10, 11, 12, 13, 14)] * len(tails),
        positions=places,
    )


def clocked(shape: Shape, load: Load, device: str, rounds: int, singles: int) -> dict[str, float]:
    """One question and all of them by the clock, taking turns; one by one from a few, scaled to all.

    Peak memory is the GPU's, with the model, or this process's.
    """
    import torch

    from cinereward.judge.packing import read_packed

    on_gpu = device != "cpu"
    loaded = random_model(shape, device, "bfloat16" if on_gpu else "float32")
    put = staged(loaded, shape, load)
    passes = []
    loaded.model.model.visual.register_forward_hook(lambda *_: passes.append(1))

    def ask(some: Sequence[int]) -> float:
        part = _part(put, some)
        began = time.perf_counter()
        reads = read_packed(loaded, part, load.chunk)
        took = time.perf_counter() - began  # the answers are numbers on the CPU: the GPU has finished
        assert not any(read.error for read in reads), reads[0].error
        return took

    everything, middle = range(len(put.tails)), sorted(range(len(put.tails)), key=lambda at: len(put.tails[at]))
    mean = middle[len(middle) // 2]
    ask([mean]), ask(everything)  # kernels are chosen and memory is got the first time
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    passes.clear()
    pairs = [(ask([mean]), ask(everything)) for _ in range(rounds)]
    seen = len(passes) / (2 * rounds)
    memory = torch.cuda.max_memory_allocated() / 1e6 if on_gpu else peak()
    passes.clear()
    apart = sum(ask([at]) for at in everything[:singles]) / singles * len(everything)
    whole = statistics.median(b for _, b in pairs)
    return {
        "one_s": statistics.median(a for a, _ in pairs),
        "packed_s": whole,
        "packed_to_one": statistics.median(b / a for a, b in pairs),
        "packed_to_one_by_count": ratios(shape, load)["packed"],
        "one_by_one_to_packed": apart / whole,
        "clips_per_s": 1 / whole,
        "vision_passes_packed": seen,
        "vision_passes_one_by_one": len(passes) / singles * len(everything),
        "peak_mb": memory,
    }


def _part(put: Staged, some: Sequence[int]) -> Staged:
    import dataclasses

    return dataclasses.replace(put, tails=[put.tails[at] for at in some], labels=[put.labels[at] for at in some])


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one table of figures."""
    counters = exact(options.tokenizer) if options.tokenizer else bounds()
    loads = {f"{height}x{width}": load_of((height, width), counters, options.chunk) for height, width in SIZES}
    figures: dict[str, Any] = {"tokens": "by the tokenizer" if options.tokenizer else "bounded by characters"}
    figures["counted"] = {
        f"{name}, {size}": counted(shape, load) for name, shape in SHAPES.items() for size, load in loads.items()
    }
    figures["clock"] = {}
    if options.device == "cuda":
        for name in options.models:
            for size, load in loads.items():
                row = clocked(SHAPES[name], load, "cuda", options.rounds, options.singles)
                figures["clock"][f"{name}, {size}, bfloat16"] = row
    elif options.rounds:
        tails = next(iter(loads.values())).tails
        frames, height, width = SMALL_LOAD
        load = Load(frames=frames, height=height, width=width, around=320, tails=tails, chunk=options.chunk)
        figures["clock"]["a small model, CPU"] = clocked(SMALL, load, "cpu", options.rounds, options.singles)
    return figures


def tell(figures: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"tokens {figures['tokens']}; {FRAMES} frames; a chain of thought is {WRITTEN} tokens; limit {LIMIT:g} x one")
    for name, row in figures["counted"].items():
        question, may = row["tokens a question"], row["may have"]
        print(f"\n{name}: prefix {row['prefix tokens']} tokens, a question {question:.1f} (may have {may})")
        for way in ("one question", "all, packed", "all, one by one", "all, thinking"):
            print(f"  {way:18s}" + "  ".join(f"{key} {value:,.4g}" for key, value in row[way].items()))
        print("  against one: " + "  ".join(f"{key} {value:.2f}" for key, value in row["ratios"].items()))
    for name, row in figures["clock"].items():
        print(f"\n{name}: " + "  ".join(f"{key} {value:.4g}" for key, value in row.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and tell; 1 where all questions cost more than the limit."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], help="a GPU where there is one")
    parser.add_argument("--models", nargs="+", default=list(SHAPES), choices=list(SHAPES), help="by the clock on a GPU")
    parser.add_argument("--tokenizer", type=Path, help="folder of Qwen's tokenizer, to count our texts' tokens exactly")
    parser.add_argument("--chunk", type=int, default=32, help="questions in one pass")
    parser.add_argument("--rounds", type=int, default=3, help="0: no clock on the CPU")
    parser.add_argument("--singles", type=int, default=4, help="questions asked one by one, to scale from")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    if min(options.chunk, options.singles) < 1 or options.rounds < 0:
        parser.error("--chunk and --singles are 1 or more, --rounds 0 or more")
    options.device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if options.device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA device; leave --device out, or say cpu", file=sys.stderr)
        return 2
    figures = run(options)
    tell(figures)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    dearest = max(row["ratios"]["packed"] for row in figures["counted"].values())
    return 0 if dearest <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
