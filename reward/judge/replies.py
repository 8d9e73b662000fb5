"""What a chat completion says: the labels at its first token, or its text. Pure functions over its JSON.

A reply that is not what was asked for is held against the server, as one that broke off is; nothing is guessed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import JudgeError
from cinereward.judge.backend import LABELS, Read, Written
from cinereward.judge.labels import LEAST_MASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64 = NDArray[np.float64]

TOP = 20  # most likely tokens that are asked for, the most that OpenAI's protocol allows
SPACES = " \u2581\u0120\t\n"  # what tokenizers write for a space before a label
NOTHING = -1e3  # below, a logarithm stands for a chance of 0
SLACK = 1e-3  # by which rounding may take a sum of chances above 1
LOOP = 24  # characters that must be repetition before it counts as a loop
TIMES = 4  # that the same piece stands in a row
LONGEST = 160  # characters of a piece that is looked for


class Odd(JudgeError):
    """A reply that is not what the protocol says."""


class Other(JudgeError):
    """A reply of another model."""


def labels(reply: dict[str, Any], model: str, lead: str) -> Read:
    """The labels' probabilities of a reply of one token.

    Args:
        reply: JSON of a chat completion with logprobs. model: that must have answered. lead: what the answer was
            begun with.

    Raises:
        Odd: it is not such a reply. Other: another model answered.
    """
    choice = _choice(reply, model)
    told = choice.get("logprobs")
    slots = told.get("content") if isinstance(told, dict) else None
    if not isinstance(slots, list) or not slots or not isinstance(slots[0], dict):
        raise Odd("it tells no probabilities (logprobs); a judge cannot be asked without them")
    if len(slots) > 1:
        raise Odd(f"it wrote {len(slots)} tokens; one was asked for")
    chances = _chances(slots[0])
    logs = np.full(len(LABELS), -np.inf)
    for token, log in chances:
        label = token.strip(SPACES)
        if label in LABELS:
            logs[LABELS.index(label)] = np.logaddexp(logs[LABELS.index(label)], log)
    mass = float(np.exp(logs).sum())
    if mass > 1 + SLACK:
        raise Odd(f"it gives the labels {mass:.3f} of the probability; expected 1 at most")
    said = chances[0][0].strip(SPACES)
    if mass < LEAST_MASS and said and lead.strip().startswith(said) and said not in LABELS:
        return Read.failed(
            f"the server begins a new turn with {said!r} instead of going on after {lead!r}; "
            "it must take continue_final_message, as vLLM and SGLang do"
        )
    return Read(logs=np.minimum(logs, 0.0))


def text(reply: dict[str, Any], model: str, most_tokens: int) -> Written:
    """What was written; unfinished where it came to its limit, and cut where it went round in a loop until then.

    Raises:
        Odd: it is not such a reply, or is longer than was allowed. Other: another model answered.
    """
    choice = _choice(reply, model)
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, str):
        raise Odd("it holds no text")
    usage = reply.get("usage")
    used = usage.get("completion_tokens") if isinstance(usage, dict) else None
    if isinstance(used, int) and used > most_tokens:
        raise Odd(f"it wrote {used} tokens; {most_tokens} were allowed")
    finished = choice.get("finish_reason") == "stop"
    return Written(text=content if finished else content[: loop(content)], finished=finished)


def loop(content: str) -> int | None:
    """Where a text's end begins to repeat itself: characters to keep, up to the end of the piece's first time.

    None where the end is no loop: a piece of up to LONGEST characters, TIMES or more in a row, over LOOP or more.
    """
    for size in range(1, min(LONGEST, len(content) // TIMES) + 1):
        same = 0  # characters at the end that equal the one a piece before them
        while same < len(content) - size and content[-1 - same] == content[-1 - same - size]:
            same += 1
        if same >= (TIMES - 1) * size and same + size >= max(LOOP, TIMES * size):
            return len(content) - same
    return None


def _choice(reply: dict[str, Any], model: str) -> dict[str, Any]:
    came = reply.get("model")
    if came != model:
        raise Other(f"the model {str(came)[:80]!r} answered; {model!r} was asked")
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise Odd(f"{len(choices) if isinstance(choices, list) else 'no'} answers came; expected one")
    found: dict[str, Any] = choices[0]
    return found


def _chances(slot: dict[str, Any]) -> list[tuple[str, float]]:
    """Tokens and the logarithms of their chances: the one that was drawn, then all that are told beside it."""
    tops = slot.get("top_logprobs")
    if not isinstance(tops, list):
        raise Odd("it tells no probabilities beside the chosen token (top_logprobs)")
    drawn, *rest = [_token(entry) for entry in (slot, *tops)]
    return [drawn, *rest] if drawn[0] not in [token for token, _ in rest] else _first(drawn[0], rest)


def _first(token: str, rest: list[tuple[str, float]]) -> list[tuple[str, float]]:
    return sorted(rest, key=lambda one: one[0] != token)


def _token(entry: Any) -> tuple[str, float]:
    token, log = (entry.get("token"), entry.get("logprob")) if isinstance(entry, dict) else (None, None)
    if not isinstance(token, str) or isinstance(log, bool) or not isinstance(log, int | float):
        raise Odd(f"a token's probability reads {str(entry)[:80]!r}")
    if math.isnan(log) or log > SLACK:
        raise Odd(f"the logarithm of {token[:20]!r}'s probability is {log}; expected 0 or less")
    return token, -math.inf if log < NOTHING else min(0.0, float(log))
