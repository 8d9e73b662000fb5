"""Letting a model write on all questions of a clip at once: greedily, step by step, behind one shared prefix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cinereward.judge.backend import Written
from cinereward.judge.models import Loaded
from cinereward.judge.packing import Row, asked, packed, step
from cinereward.judge.turns import Staged

LOOP = 24  # tokens that must be repetition before it counts as a loop
TIMES = 3  # that the same piece stands in a row
LONGEST = 64  # tokens of a piece that is looked for


def write_packed(loaded: Loaded, staged: Staged, chunk: int, most_tokens: int) -> list[Written]:
    """What the model writes on every question of one clip.

    Args:
        chunk: answers written side by side. most_tokens: of an answer.
    """

    def one(row: Row, numbers: Sequence[int]) -> list[Written]:
        return _steps(loaded, row, staged, numbers, most_tokens)

    def failed(error: str) -> Written:
        return Written(text="", finished=False, error=error)

    return packed(loaded, staged, chunk, one, failed)


def loop(tokens: Sequence[int]) -> int | None:
    """Where a loop begins to repeat itself, or None where the end of these tokens is no loop.

    A loop is a piece of up to LONGEST tokens that stands TIMES or more in a row at the end, over LOOP tokens or more.

    Returns:
        How many tokens to keep: up to the end of the piece's first time.
    """
    for size in range(1, min(LONGEST, len(tokens) // TIMES) + 1):
        same = 0  # tokens at the end that equal the one a piece before them
        while same < len(tokens) - size and tokens[-1 - same] == tokens[-1 - same - size]:
            same += 1
        if same >= (TIMES - 1) * size and same + size >= LOOP:
            return len(tokens) - same
    return None


def _steps(loaded: Loaded, row: Row, staged: Staged, numbers: Sequence[int], most_tokens: int) -> list[Written]:
    """Write side by side, one token each a step; who has ended is left out of the next."""
    import torch

    device, length = staged.prefix.device, staged.prefix.shape[1]
    ends, turns = _ends(loaded)
    states = asked(loaded, row, staged, numbers)
    texts: dict[int, list[int]] = {number: [] for number in numbers}
    done: dict[int, bool] = {}  # whether it came to an end by itself
    going = list(numbers)
    for _ in range(most_tokens):
        chosen: list[int] = loaded.model.lm_head(states).argmax(dim=-1).tolist()
        still: list[tuple[int, int]] = []
        for number, token in zip(going, chosen, strict=True):
            if token in ends or token in turns:
                done[number] = token in ends
                continue
            texts[number].append(token)
            if (kept := loop(texts[number])) is not None:
                del texts[number][kept:]
                done[number] = False
                continue
            still.append((number, token))
        going = [number for number, _ in still]
        if not still or len(texts[going[0]]) == most_tokens:
            break
        places = [
            staged.positions[:, 0, length + len(staged.tails[number]) - 1] + len(texts[number]) for number in going
        ]
        states = step(
            loaded,
            row,
            torch.tensor([token for _, token in still], device=device),
            torch.stack(places, dim=1),
            torch.tensor(going, device=device),
        )
    decode = loaded.processor.tokenizer.decode
    return [
        Written(text=decode(texts[number], skip_special_tokens=True), finished=done.get(number, False))
        for number in numbers
    ]


def _ends(loaded: Loaded) -> tuple[set[int], set[int]]:
    """The tokens that end a turn, and the other marks that no answer may hold, after which it is cut."""
    tokenizer = loaded.processor.tokenizer
    told: Any = getattr(loaded.model.generation_config, "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(told if isinstance(told, list) else [told])}
    ends |= {tokenizer.get_added_vocab().get(mark) for mark in ("<|im_end|>", "<|endoftext|>")}
    return ends - {None}, {number for number, mark in tokenizer.added_tokens_decoder.items() if mark.special} - ends
