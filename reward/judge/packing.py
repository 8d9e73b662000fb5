"""All questions on one clip in one pass: the shared prefix is encoded once, the questions stand side by side behind it.

One row of tokens, one copy of the keys and values. A mask lets each question see the prefix and itself, and explicit
positions put each right behind the prefix, so that each is read as if it were alone. Nothing is kept in the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cinereward.errors import JudgeError
from cinereward.judge.backend import Ask, Read, Shown, Written
from cinereward.judge.models import Loaded
from cinereward.judge.turns import Staged, encoded, rendered, slot
from cinereward.networks.running import free, note, out_of_memory

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

Answer = TypeVar("Answer", Read, Written)
Made = TypeVar("Made")
SHARED = -1  # the owner of a token that all questions see


@dataclass(kw_only=True, eq=False)
class Row:
    """The one row of tokens that a clip's questions share.

    cache: keys and values of all tokens so far. owners: int64 (N,), whose each is: a question's number, or SHARED.
    """

    cache: Any
    owners: torch.Tensor

    def crop(self, length: int) -> None:
        """Forget all but the first tokens, in every layer, whatever a step that failed has left there."""
        for layer in self.cache.layers:
            if (more := int(layer.get_seq_length()) - length) > 0:
                layer.crop(-more)
        self.owners = self.owners[:length]


def read_packed(loaded: Loaded, staged: Staged, chunk: int) -> list[Read]:
    """The labels' probabilities for all questions on one clip; chunk: questions side by side at once."""

    def one(row: Row, numbers: Sequence[int]) -> list[Read]:
        logs = label_logs(loaded, asked(loaded, row, staged, numbers), [staged.labels[number] for number in numbers])
        return [Read.failed("the model gave no numbers") if np.isnan(row).any() else Read(logs=row) for row in logs]

    return packed(loaded, staged, chunk, one, Read.failed)


def packed(
    loaded: Loaded,
    staged: Staged,
    chunk: int,
    answer: Callable[[Row, Sequence[int]], list[Answer]],
    failed: Callable[[str], Answer],
) -> list[Answer]:
    """Answer all questions on one clip, a chunk at a time behind one prefix.

    Args:
        chunk: questions at a time. Halved, and that noted, where a GPU runs out of memory. answer: answers the
            questions of these numbers behind the prefix in a row. failed: an answer that says why there is none.
    """
    import torch

    device, length = loaded.source.device, staged.prefix.shape[1]
    with loaded.lock, torch.inference_mode():
        row = _fitting(lambda: prefilled(loaded, staged))
        if row is None:
            told = f"what is shown, {length} tokens, does not fit into the memory of {device}"
            return [failed(f"{told}; show fewer or smaller frames (judge.showing)")] * len(staged.tails)
        answers: list[Answer] = []
        while (first := len(answers)) < len(staged.tails):
            numbers = range(first, min(first + chunk, len(staged.tails)))
            came = _fitting(partial(answer, row, numbers))
            row.crop(length)
            if came is not None:
                answers += came
            elif chunk == 1:
                answers.append(failed(f"a question does not fit into the memory of {device}; take a smaller model"))
            else:
                note(f"judge: {device} ran out of memory; {chunk // 2} questions at a time instead of {chunk}")
                chunk //= 2
        return answers


def plain_logs(loaded: Loaded, shown: Shown, ask: Ask) -> Float64:
    """One question by one whole forward pass in the model's own way, nothing shared: what packing must come to.

    Returns:
        float64 (5,), natural logarithms of the labels' probabilities among all tokens.
    """
    import torch

    text = rendered(loaded, shown, ask)
    drop, labels = slot(loaded, text, ask.lead)
    inputs = encoded(loaded, text, shown)
    keep = inputs["input_ids"].shape[1] - drop
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in inputs:
            inputs[name] = inputs[name][:, :keep]
    with loaded.lock, torch.inference_mode():
        hidden = loaded.model.model(**inputs).last_hidden_state[0, -1:]
        return label_logs(loaded, hidden, [labels])[0]


def prefilled(loaded: Loaded, staged: Staged) -> Row:
    """Encode the shared prefix with all that is seen and heard: the one pass of the vision tower."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=loaded.model.config)
    length = staged.prefix.shape[1]
    loaded.model.model(
        input_ids=staged.prefix,
        position_ids=staged.positions[..., :length],
        past_key_values=cache,
        use_cache=True,
        **staged.media,
    )
    return Row(cache=cache, owners=torch.full((length,), SHARED, device=staged.prefix.device))


def step(loaded: Loaded, row: Row, tokens: torch.Tensor, places: torch.Tensor, owners: torch.Tensor) -> torch.Tensor:
    """Put more tokens into the row.

    Args:
        tokens: int64 (S,). places: int64 (3, S), their positions. owners: int64 (S,), whose they are.

    Returns:
        (S, H), the last layer's states.
    """
    import torch

    before = len(row.owners)
    row.owners = torch.cat([row.owners, owners])
    own = (row.owners == SHARED) | (row.owners == owners[:, None])
    order = torch.arange(len(row.owners), device=tokens.device)
    mask = own & (order <= order[before:, None])
    came = loaded.model.model(
        input_ids=tokens[None],
        position_ids=places[:, None],
        attention_mask=mask[None, None],
        past_key_values=row.cache,
        use_cache=True,
    )
    states: torch.Tensor = came.last_hidden_state[0]
    return states


def asked(loaded: Loaded, row: Row, staged: Staged, numbers: Sequence[int]) -> torch.Tensor:
    """Put these questions side by side behind the prefix; (Q, H), the states at their ends."""
    import torch

    device, length = staged.prefix.device, staged.prefix.shape[1]
    tails = [staged.tails[number] for number in numbers]
    tokens = torch.tensor([token for tail in tails for token in tail], device=device)
    places = torch.cat([staged.positions[:, 0, length : length + len(tail)] for tail in tails], dim=1)
    owners = torch.tensor([number for number, tail in zip(numbers, tails, strict=True) for _ in tail], device=device)
    ends = torch.tensor(np.cumsum([len(tail) for tail in tails]) - 1, device=device)
    return step(loaded, row, tokens, places, owners)[ends]


def label_logs(loaded: Loaded, hidden: torch.Tensor, labels: Sequence[Sequence[int]]) -> list[Float64]:
    """The labels' log probabilities from the states (Q, H) at the answer slots.

    The labels' own logits are computed in float32: in bfloat16 two logits near 20 differ by 0.125 or not at all.
    """
    import torch

    head = loaded.model.lm_head
    logits = head(hidden).float()
    ids = torch.tensor([list(row) for row in labels], device=hidden.device)
    if type(head) is torch.nn.Linear and head.weight.dtype in (torch.bfloat16, torch.float16):
        exact = torch.einsum("qlh,qh->ql", head.weight[ids].float(), hidden.float())
        logits.scatter_(1, ids, exact)
    logs = torch.log_softmax(logits.double(), dim=-1).gather(1, ids).cpu().numpy()
    return [np.minimum(row, 0.0) for row in logs]


def check_room(loaded: Loaded, staged: Staged, more: int = 0) -> None:
    """Refuse what is longer than the model's context; it is never cut.

    Args:
        more: tokens that may be written.

    Raises:
        JudgeError: prefix, longest question and answer are more tokens than the model can take.
    """
    need = staged.prefix.shape[1] + max(len(tail) for tail in staged.tails) + more
    if need > loaded.context:
        raise JudgeError(
            f"{need} tokens are needed and the model can take {loaded.context}; show fewer or smaller frames or "
            f"shorter stretches (judge.showing)"
        )


def _fitting(make: Callable[[], Made]) -> Made | None:
    """What is made, or None where the device's memory was too small for it."""
    try:
        return make()
    except Exception as error:
        if not out_of_memory(error):
            raise
    free()  # outside the handler, whose traceback holds on to the memory
    return None
