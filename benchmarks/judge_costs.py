"""What judging costs by count: tokens, vision passes and operations of Qwen3-VL, from its dimensions alone.

An operation is a multiplication or an addition inside a matrix product, two for each weight a token meets, as
`torch.utils.flop_counter` counts them; attention is counted whole, also where its mask leaves half of it out, since the
kernels that take a mask compute it whole. Norms, activations and rotations, under 1 %, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WRITTEN = 512  # tokens of a chain of thought, per question


@dataclass(frozen=True, kw_only=True)
class Vision:
    """The vision tower: layers, width, inner width, heads, out (the text's width), taps (layers that feed it too)."""

    layers: int
    width: int
    inner: int
    out: int
    taps: int
    heads: int = 16
    patch: int = 16  # pixels a side
    deep: int = 2  # frames of a patch
    merge: int = 2  # patches a side that become one token


@dataclass(frozen=True, kw_only=True)
class Text:
    """The text model: layers, width, inner width of a layer's MLP, heads, those of keys and values, their width.

    tied: the output head is the input table.
    """

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool = False


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model's dimensions."""

    vision: Vision
    text: Text


# Source: config.json of Qwen/Qwen3-VL-2B-Instruct and Qwen/Qwen3-VL-8B-Instruct.
SHAPES = {
    "Qwen3-VL-2B": Shape(
        vision=Vision(layers=24, width=1024, inner=4096, out=2048, taps=3),
        text=Text(layers=28, width=2048, inner=6144, heads=16, kv_heads=8, head_dim=128, vocabulary=151_936, tied=True),
    ),
    "Qwen3-VL-8B": Shape(
        vision=Vision(layers=27, width=1152, inner=4304, out=4096, taps=3),
        text=Text(layers=36, width=4096, inner=12_288, heads=32, kv_heads=8, head_dim=128, vocabulary=151_936),
    ),
}
SIZES = ((480, 832), (256, 448))
FRAMES = 32


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is judged, in tokens.

    frames, height, width: of the pictures. around: tokens of text in the shared prefix, with the times between the
    pictures. tails: tokens of each question, up to where its answer stands. chunk: questions side by side in one pass.
    """

    frames: int
    height: int
    width: int
    around: int
    tails: tuple[int, ...]
    chunk: int = 32


@dataclass(frozen=True, kw_only=True)
class Cost:
    """operations: see the module. passes: of the text model, one after the other. seen: of the vision tower."""

    operations: float
    tokens: int
    passes: int
    seen: int


def shape_of(config: Any) -> Shape:
    """The dimensions of a transformers Qwen3VLConfig."""
    seen, text = config.vision_config, config.text_config
    return Shape(
        vision=Vision(
            layers=seen.depth,
            width=seen.hidden_size,
            inner=seen.intermediate_size,
            out=seen.out_hidden_size,
            taps=len(seen.deepstack_visual_indexes),
            heads=seen.num_heads,
            patch=seen.patch_size,
            deep=seen.temporal_patch_size,
            merge=seen.spatial_merge_size,
        ),
        text=Text(
            layers=text.num_hidden_layers,
            width=text.hidden_size,
            inner=text.intermediate_size,
            heads=text.num_attention_heads,
            kv_heads=text.num_key_value_heads,
            head_dim=text.head_dim,
            vocabulary=text.vocab_size,
            tied=config.tie_word_embeddings,
        ),
    )


def patches(vision: Vision, load: Load) -> tuple[int, int]:
    """How many groups of frames there are, and patches in each; a frame's sides are rounded to whole tokens."""
    step = vision.patch * vision.merge
    rows, columns = (max(1, round(side / step)) * vision.merge for side in (load.height, load.width))
    return math.ceil(load.frames / vision.deep), rows * columns


def prefix_tokens(shape: Shape, load: Load) -> int:
    """Tokens of the shared prefix: pictures, and the text around them."""
    groups, each = patches(shape.vision, load)
    return groups * each // shape.vision.merge**2 + load.around


def seeing(vision: Vision, load: Load) -> float:
    """Operations of one pass of the vision tower over all frames; a patch attends within its own group of frames."""
    groups, each = patches(vision, load)
    many = groups * each
    wide = vision.merge**2 * vision.width  # of patches that are merged
    embedding = 2 * many * 3 * vision.deep * vision.patch**2 * vision.width
    layer = 2 * many * (4 * vision.width**2 + 2 * vision.width * vision.inner) + 4 * many * each * vision.width
    merging = 2 * (many // vision.merge**2) * (wide * wide + wide * vision.out)
    return float(embedding + vision.layers * layer + (1 + vision.taps) * merging)


def reading(text: Text, new: int, seen: int) -> float:
    """Operations of the text model over `new` tokens in one pass, which attend to `seen`, themselves included."""
    inside = text.heads * text.head_dim
    weights = text.width * (2 * inside + 2 * text.kv_heads * text.head_dim) + 3 * text.width * text.inner
    return float(text.layers * (2 * new * weights + 4 * new * seen * inside))


def answering(text: Text, answers: int) -> float:
    """Operations of the output head at so many answers."""
    return float(2 * answers * text.width * text.vocabulary)


def packed(shape: Shape, load: Load) -> Cost:
    """All questions behind one prefix, a chunk of them in each pass."""
    before = prefix_tokens(shape, load)
    operations = seeing(shape.vision, load) + reading(shape.text, before, before)
    for at in range(0, len(load.tails), load.chunk):
        some = load.tails[at : at + load.chunk]
        operations += reading(shape.text, sum(some), before + sum(some)) + answering(shape.text, len(some))
    return Cost(
        operations=operations,
        tokens=before + sum(load.tails),
        passes=1 + math.ceil(len(load.tails) / load.chunk),
        seen=1,
    )


def one(shape: Shape, load: Load) -> Cost:
    """A single question, the mean of all."""
    mean = round(sum(load.tails) / len(load.tails))
    return packed(shape, _with(load, (mean,)))


def one_by_one(shape: Shape, load: Load) -> Cost:
    """All questions, each with its own prefix and vision pass."""
    each = [packed(shape, _with(load, (tail,))) for tail in load.tails]
    return Cost(
        operations=sum(cost.operations for cost in each),
        tokens=sum(cost.tokens for cost in each),
        passes=sum(cost.passes for cost in each),
        seen=len(each),
    )


def thinking(shape: Shape, load: Load, written: int = WRITTEN) -> Cost:
    """All questions behind one prefix, each with so many tokens written one by one before its answer is read.

    The least that a full chain of thought costs: the instruction to reason and a second look come on top.
    """
    text, before = shape.text, prefix_tokens(shape, load)
    plain = packed(shape, load)
    operations, passes = plain.operations, plain.passes
    for at in range(0, len(load.tails), load.chunk):
        some = load.tails[at : at + load.chunk]
        filled = before + sum(some)
        seen = sum(filled + len(some) * (step + 1) for step in range(written))
        operations += reading(text, len(some) * written, 0) + 4 * text.layers * len(some) * seen * (
            text.heads * text.head_dim
        )
        operations += answering(text, len(some) * written)
        passes += written
    return Cost(operations=operations, tokens=plain.tokens + written * len(load.tails), passes=passes, seen=1)


def ratios(shape: Shape, load: Load) -> dict[str, float]:
    """Each way of asking all questions against one question, by operations, and the shares that explain it."""
    single = one(shape, load)
    return {
        "packed": packed(shape, load).operations / single.operations,
        "one by one": one_by_one(shape, load).operations / single.operations,
        "chain of thought": thinking(shape, load).operations / single.operations,
        "vision's share of one": seeing(shape.vision, load) / single.operations,
    }


def most_tail(shape: Shape, load: Load, limit: float) -> int:
    """Tokens that a question may have on average for all to cost at most `limit` times one; 0 where none may."""
    for length in range(200, 0, -1):
        if ratios(shape, _with(load, (length,) * len(load.tails)))["packed"] <= limit:
            return length
    return 0


def _with(load: Load, tails: Sequence[int]) -> Load:
    return Load(
        frames=load.frames,
        height=load.height,
        width=load.width,
        around=load.around,
        tails=tuple(tails),
        chunk=load.chunk,
    )
