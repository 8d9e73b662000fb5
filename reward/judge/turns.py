"""From what is shown and asked to tokens: the chat template on the whole conversation, cut where the questions part.

Every question is rendered and cut into tokens as it would be alone; what all have in common is the shared prefix. So
packed questions are the same tokens as single ones by construction. Pictures and sound are expanded once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import JudgeError
from cinereward.judge.backend import LABELS, Ask, Shown
from cinereward.judge.models import Loaded

if TYPE_CHECKING:
    import torch

PROBES = ("a", "1", " b", "\nc", ".d")  # beginnings of questions; the prefix ends where even these would part
RATE = 16_000  # Hz
LEAST_SOUND = 1_600  # samples: less is not even one token of sound
MOST_PIXELS = 1 << 40  # frames come at their budget: a processor only fits them to its grid of patches

MEDIA = (  # what the model takes beside tokens and their places
    "pixel_values",
    "pixel_values_videos",
    "image_grid_thw",
    "video_grid_thw",
    "input_features",
    "feature_attention_mask",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Staged:
    """One clip and its questions as tokens.

    prefix: int64 (1, P), with pictures and sound expanded. media: what the model takes beside the tokens. tails: the
    tokens of each question, up to its answer. labels: for each question the ids of the five labels, or () where it is
    to be written. positions: int64 (3, 1, P + the longest tail); a tail is text, so all tails share them.
    """

    prefix: torch.Tensor
    media: dict[str, torch.Tensor]
    tails: list[list[int]]
    labels: list[tuple[int, ...]]
    positions: torch.Tensor


def conversation(shown: Shown, ask: Ask, *, hears: bool) -> list[dict[str, Any]]:
    """The turns of one question, with places for what is seen and heard; the last turn is begun and not ended."""
    parts: list[dict[str, str]] = [{"type": "text", "text": shown.before}] if shown.before else []
    parts += [{"type": "image"}] if shown.reference is not None else []
    parts += [{"type": "video"}]
    parts += [{"type": "audio"}] if hears and _audible(shown) else []
    parts += [{"type": "text", "text": text} for text in (shown.after, ask.text) if text]
    return [
        {"role": "system", "content": [{"type": "text", "text": shown.system}]},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": [{"type": "text", "text": ask.lead}]},
    ]


def rendered(loaded: Loaded, shown: Shown, ask: Ask) -> str:
    """The text of one question as the model takes it, pictures and sound as one mark each.

    Raises:
        JudgeError: a text holds one of the model's own marks, or the template does not let a turn be begun.
    """
    marks = loaded.processor.tokenizer.get_added_vocab()
    for text in (shown.system, shown.before, shown.after, ask.text, ask.lead):
        if held := [mark for mark in marks if mark in text]:
            raise JudgeError(f"{ask.name}: a text holds {held[0]!r}, a mark of the model's own; fence it first")
    talk = conversation(shown, ask, hears=loaded.source.hears)
    whole: str = loaded.processor.apply_chat_template(talk, tokenize=False, continue_final_message=True)
    if whole.endswith(ask.lead):
        return whole
    if not whole.endswith(ask.lead.rstrip()):  # some templates trim what a turn ends with
        raise JudgeError(f"{ask.name}: the model's chat template does not let an answer begin with {ask.lead!r}")
    return whole.removesuffix(ask.lead.rstrip()) + ask.lead


def encoded(loaded: Loaded, text: str, shown: Shown) -> dict[str, torch.Tensor]:
    """What the processor makes of one question's whole text and all that is seen and heard, on the model's device.

    The reference is shown at the size of a frame at most.

    Raises:
        JudgeError: there is more sound than the model can take.
    """
    import torch

    frames, times = shown.frames, shown.times
    if len(frames) == 1:  # a patch is two frames deep
        frames, times = np.repeat(frames, 2, axis=0), np.repeat(times, 2)
    films = loaded.processor.video_processor
    side = films.patch_size * films.merge_size
    span = float(times[-1] - times[0])
    rate = (len(frames) - 1) / span if span > 0 else shown.fps
    device = {} if loaded.source.device == "cpu" else {"device": loaded.source.device}
    given: dict[str, Any] = {
        "text": [text],
        "videos": [torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))],
        "videos_kwargs": {
            "video_metadata": [_metadata(shown, times, rate)],
            "do_sample_frames": False,
            "cap_pixels_per_frame": False,
            "input_data_format": "channels_first",
            "size": {"shortest_edge": 2 * side * side, "longest_edge": MOST_PIXELS},
            **({"fps": rate} if loaded.source.hears else {}),
            **device,
        },
        "return_tensors": "pt",
    }
    if shown.reference is not None:
        most = max(side * side, frames.shape[1] * frames.shape[2])
        given["images"] = [torch.from_numpy(np.ascontiguousarray(shown.reference.transpose(2, 0, 1)))]
        given["images_kwargs"] = {
            "size": {"shortest_edge": side * side, "longest_edge": most},
            "input_data_format": "channels_first",
            **device,
        }
    if loaded.source.hears and _audible(shown):
        given["audio"] = [_sound(loaded, shown.sound)]
        given["audio_kwargs"] = {"sampling_rate": RATE}
    came = loaded.processor(**given)
    return {name: tensor.to(loaded.source.device) for name, tensor in came.items() if isinstance(tensor, torch.Tensor)}


def staged(loaded: Loaded, shown: Shown, asks: Sequence[Ask], *, labels: bool) -> Staged:
    """One clip and its questions as tokens; labels: whether labels are read, or answers are written.

    Raises:
        JudgeError: a question cannot be put to this model, or what it was cut into does not fit together.
    """
    import torch

    texts = [rendered(loaded, shown, ask) for ask in asks]
    probes = [rendered(loaded, shown, replace(asks[0], text=probe)) for probe in PROBES]
    cut = _tokens(loaded, texts + probes)
    shared = _shared(cut)
    leads = {ask.lead: text for text, ask in zip(texts, asks, strict=True)}
    slots = {lead: slot(loaded, text, lead) if labels else (0, ()) for lead, text in leads.items()}
    answers = [slots[ask.lead] for ask in asks]
    tails = [tokens[shared : len(tokens) - drop] for tokens, (drop, _) in zip(cut, answers, strict=False)]
    if not all(tails):
        raise JudgeError(f"the questions part {shared} tokens in, where one has ended; give each a text of its own")
    whole = encoded(loaded, texts[0], shown)
    own, ids = cut[0][shared:], whole["input_ids"]
    if ids[0, ids.shape[1] - len(own) :].tolist() != own:
        raise JudgeError("a question comes to other tokens beside the pictures than alone; the tokenizer is at odds")
    prefix = ids[:, : ids.shape[1] - len(own)]
    longest = torch.tensor([max(tails, key=len)], dtype=ids.dtype, device=ids.device)
    return Staged(
        prefix=prefix,
        media={name: tensor for name, tensor in whole.items() if name in MEDIA},
        tails=tails,
        labels=[ids for _, ids in answers],
        positions=_positions(loaded, torch.cat([prefix, longest], dim=1), whole),
    )


def slot(loaded: Loaded, text: str, lead: str) -> tuple[int, tuple[int, ...]]:
    """Where the label stands, and which tokens the labels are there.

    Args:
        text: of one question, ending in its lead.

    Returns:
        How many tokens at the text's end are not before the label (a space that the label's own token begins with), and
        the ids of the labels.

    Raises:
        JudgeError: the labels are not five different single tokens there.
    """
    tokenizer = loaded.processor.tokenizer
    end = text[max(text.rfind(mark) for mark in tokenizer.get_added_vocab()) :]
    plain = tokenizer.encode(end, add_special_tokens=False)
    answered = [tokenizer.encode(end + label, add_special_tokens=False) for label in LABELS]
    before = _shared(answered)
    ids = tuple(tokens[before] for tokens in answered if len(tokens) == before + 1)
    if len(set(ids)) != len(LABELS) or answered[0][:before] != plain[:before]:
        raise JudgeError(
            f"after {lead!r} the labels {', '.join(LABELS)} are not single tokens of this model; change the lead"
        )
    return len(plain) - before, ids


def _tokens(loaded: Loaded, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of texts, marks unexpanded; what they share up to a mark, which no token crosses, is cut once."""
    tokenizer = loaded.processor.tokenizer
    common = texts[0][: _shared(texts)]
    end = max((common.rfind(mark) + len(mark) for mark in tokenizer.get_added_vocab() if mark in common), default=0)
    head: list[int] = tokenizer.encode(common[:end], add_special_tokens=False)
    rests = tokenizer([text[end:] for text in texts], add_special_tokens=False)["input_ids"]
    return [head + rest for rest in rests]


def _shared(rows: Sequence[Sequence[Any]]) -> int:
    """How many items all rows begin with alike; the least and the greatest row differ first."""
    ordered: list[Any] = sorted(rows)  # strings, or lists of numbers
    least, greatest = ordered[0], ordered[-1]
    places = range(min(len(least), len(greatest)))
    return next((place for place in places if least[place] != greatest[place]), len(places))


def _metadata(shown: Shown, times: Any, rate: float) -> dict[str, Any]:
    """What the processor is told of a film: frames by their true numbers, so that true times are told to the model."""
    numbers = [round(float(time) * shown.fps) for time in times]
    return {
        "fps": shown.fps,
        "frames_indices": numbers,
        "total_num_frames": len(times) * shown.fps / rate,  # of the stretch: its frames a second come out as `rate`
        "duration": len(times) / rate,
    }


def _audible(shown: Shown) -> bool:
    return shown.sound is not None and len(shown.sound) >= LEAST_SOUND


def _sound(loaded: Loaded, sound: Any) -> Any:
    most = loaded.processor.feature_extractor.n_samples
    if len(sound) > most:
        told = f"{len(sound) / RATE:.0f} s of sound are given and the model takes {most / RATE:.0f} s"
        raise JudgeError(f"{told}; show shorter stretches (judge.showing.stretch)")
    return np.asarray(sound, np.float32)


def _positions(loaded: Loaded, ids: torch.Tensor, whole: dict[str, torch.Tensor]) -> torch.Tensor:
    """int64 (3, 1, N): every token's place in time, height and width, by the class's own rule and without its state."""
    import torch

    core, device = loaded.model.model, ids.device
    ids, told = ids.cpu(), {name: tensor.cpu() for name, tensor in whole.items() if tensor.dtype == torch.int64}
    grids = {name: told.get(name) for name in ("image_grid_thw", "video_grid_thw")}
    if loaded.source.hears:
        heard = whole.get("feature_attention_mask")
        places, _ = core.get_rope_index(
            ids,
            attention_mask=torch.ones_like(ids),
            audio_seqlens=None if heard is None else heard.sum(dim=1).cpu(),
            second_per_grids=whole.get("video_second_per_grid"),
            **grids,
        )
    else:
        kinds = told["mm_token_type_ids"]
        kinds = torch.nn.functional.pad(kinds, (0, max(0, ids.shape[1] - kinds.shape[1])))[:, : ids.shape[1]]
        apart = whole.get("second_per_grid_ts")
        timed = {} if apart is None else {"second_per_grid_ts": apart.cpu()}
        places, _ = core.get_rope_index(ids, mm_token_type_ids=kinds, **grids, **timed)
    found: torch.Tensor = places.to(device)
    return found
