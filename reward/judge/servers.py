"""What a server tells of itself before it is asked: that it is well, which model it serves, which software it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cinereward.errors import JudgeError
from cinereward.judge.backend import LABELS

if TYPE_CHECKING:
    from cinereward.judge.wire import Wire

HASTE = 10.0  # s that a server may take to tell of itself


class Unfit(JudgeError):
    """A server that cannot be asked as long as it stays what it is."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What must be the same on all servers of a judge.

    model: as served. root, parent: where the server says the weights come from (the last part of a path), and what an
    adapter stands on; "" where it does not say. software: "vllm", "sglang", or "" for any other.
    """

    model: str
    root: str = ""
    parent: str = ""
    software: str = ""

    def __str__(self) -> str:
        more = [f"{name} {value}" for name, value in (("root", self.root), ("parent", self.parent)) if value]
        return ", ".join([self.model, *more, f"on {self.software or 'an unnamed server'}"])


@dataclass(frozen=True, kw_only=True)
class Slot:
    """How an answer is begun so that a label is the next token. lead: what is sent of it. ids: of the labels, or ()."""

    lead: str
    ids: tuple[int, ...] = ()


def meet(wire: Wire, model: str, key_env: str) -> Told:
    """Ask a server whether it is well and what it serves.

    Raises:
        Broken: it does not answer. Unfit: it is not well, does not take our key, or serves other models.
    """
    from cinereward.judge.wire import Broken

    health = wire.send("/health", seconds=HASTE)
    if health.status >= 500 and health.status != 501:  # who has no /health answers 404
        raise Broken(f"{wire.name} says that it is not well ({health.status})")
    models = wire.send("/v1/models", seconds=HASTE)
    if models.status in (401, 403):
        raise Unfit(f"{wire.name} does not take the key ({models.status}); it is read from the environment: {key_env}")
    cards = models.body.get("data") if isinstance(models.body, dict) else None
    if models.status != 200 or not isinstance(cards, list):
        raise Broken(f"{wire.name} does not tell which models it serves ({models.status}): {models.text[:120]}")
    named = {str(card.get("id")): card for card in cards if isinstance(card, dict)}
    if model not in named:
        served = ", ".join(wire.clean(name, 80) for name in list(named)[:5]) or "nothing"
        raise Unfit(f"{wire.name} serves {served}; the judge asks for {model}")
    card = named[model]
    owner = str(card.get("owned_by") or "").lower()
    return Told(
        model=model,
        root=_last(card.get("root")),
        parent=_last(card.get("parent")),
        software="vllm" if owner == "vllm" and _versioned(wire) else "sglang" if owner == "sglang" else "",
    )


def slot(wire: Wire, model: str, lead: str) -> Slot:
    """Which tokens the labels are after a lead, by the tokenizer of a vLLM server.

    Returns:
        The lead without the space that the labels' tokens begin with, where they do; without ids where the server does
        not tell, or where the labels are not five different single tokens.
    """
    plain, bare = _tokens(wire, model, lead), _tokens(wire, model, lead.rstrip())
    whole = [_tokens(wire, model, lead + label) for label in LABELS]
    for sent, before in ((lead, plain), (lead.rstrip(), bare)):
        ids = tuple(tokens[-1] for tokens in whole if tokens and tokens[:-1] == before)
        if len(set(ids)) == len(LABELS):
            return Slot(lead=sent, ids=ids)
    return Slot(lead=lead)


def _tokens(wire: Wire, model: str, text: str) -> list[int] | None:
    asked = {"model": model, "prompt": text, "add_special_tokens": False}
    reply = wire.send("/tokenize", asked, seconds=HASTE)
    tokens = reply.body.get("tokens") if reply.status == 200 and isinstance(reply.body, dict) else None
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        return None
    return tokens


def _versioned(wire: Wire) -> bool:
    reply = wire.send("/version", seconds=HASTE)
    return reply.status == 200 and isinstance(reply.body, dict) and isinstance(reply.body.get("version"), str)


def _last(path: Any) -> str:
    """Two machines may keep the same weights in two places."""
    return PurePosixPath(path).name if isinstance(path, str) else ""
