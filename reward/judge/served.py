"""The served judge: a vision-language model behind any server that speaks OpenAI's chat completions, or behind several.

What is shown stands first in every request and is the same in all, so that a server with a prefix cache encodes it
once: the first question of a clip goes alone, then the others fan out. docs/judge.md has the commands that start such
servers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

from cinereward.errors import JudgeError
from cinereward.judge import replies
from cinereward.judge.backend import Ask, Read, Shown, Written
from cinereward.judge.media_parts import Media, Picture, encode
from cinereward.judge.settings import JudgeSettings

if TYPE_CHECKING:
    from cinereward.judge.endpoints import Endpoint, Limits, Way

Answer = TypeVar("Answer", Read, Written)
WORKERS = 64  # threads of one call, at most
IDS, NAMES, SCHEMA = "label ids", "names alone", "a JSON schema"  # what a server may not know how to take


class ServedBackend:
    """A vision-language model behind servers.

    Nothing is sent before it is first asked. Threads may share it. The same request gives what the local judge gives
    over the same weights where the server is vLLM and the model Qwen3-VL; see docs/judge.md for others.

    Args:
        settings: the judge of a profile: model, endpoints, key_env, concurrency, timeout and seed are read.
        picture: "png", or "jpeg" to send a fifth of the bytes; it changes the pixels a little, and the identity.
        hears: whether the model can be given sound; None: if its name says so ("omni").
        limits: of tries and waits; None: the usual ones, with the settings' timeout.

    Raises:
        MissingExtraError: httpx is not installed. ConfigError: an endpoint is not a URL of a server.
    """

    def __init__(
        self,
        settings: JudgeSettings,
        *,
        picture: Picture = "png",
        hears: bool | None = None,
        limits: Limits | None = None,
    ) -> None:
        from cinereward.judge.endpoints import Endpoints, Limits
        from cinereward.judge.wire import Wire

        self.settings, self.picture, self._untold = settings, picture, uuid4().hex
        self.hears = "omni" in settings.model.lower() if hears is None else hears
        limits = limits or Limits(total=settings.timeout)
        key = os.environ.get(settings.key_env, "")
        wires = [
            Wire(url, key=key, connect=limits.connect, connections=settings.concurrency) for url in settings.endpoints
        ]
        self.endpoints = Endpoints(
            wires,
            settings.model,
            key_env=settings.key_env,
            concurrency=settings.concurrency,
            limits=limits,
            seed=settings.seed,
        )

    @property
    def identity(self) -> str:
        """What decides the answers, whichever server gives them; it asks a server the first time.

        Where none answers it is one that no other process has, so that answers of unknown weights are never mixed.
        """
        told = self.endpoints.told()
        served = f"{self.settings.model}, untold {self._untold}" if told is None else str(told)
        film = "film" if told is not None and told.software == "vllm" else "pictures"
        return f"served: {served}; {film} as {self.picture}; greedy; top {replies.TOP}"

    def read(self, items: Sequence[tuple[Shown, Sequence[Ask]]]) -> list[list[Read]]:
        """The labels' probabilities for every question on every clip; see `Backend`."""

        def one(clip: _Clip[Read], ask: Ask) -> Read:
            def told(reply: Any) -> Read:
                return _checked(lambda: replies.labels(reply, self.settings.model, ask.lead))

            limits = {"max_tokens": 1, "logprobs": True, "top_logprobs": replies.TOP}
            return self.endpoints.ask(clip.media.key, self._ways(clip, ask, limits, IDS), told)

        return self._all(items, one, Read.failed)

    def write(
        self,
        items: Sequence[tuple[Shown, Sequence[Ask]]],
        *,
        most_tokens: int,
        schema: Mapping[str, Any] | None = None,
    ) -> list[list[Written]]:
        """Let it write, greedily; see `Backend`. A server that takes no schema is asked without, and that is noted."""
        if most_tokens < 1:
            raise ValueError(f"most_tokens is {most_tokens}; expected 1 or more")
        form = {"name": "answer", "schema": dict(schema), "strict": True} if schema is not None else None

        def one(clip: _Clip[Written], ask: Ask) -> Written:
            def told(reply: Any) -> Written:
                return _checked(lambda: replies.text(reply, self.settings.model, most_tokens))

            limits: dict[str, Any] = {"max_tokens": most_tokens}
            if form is not None:
                limits["response_format"] = {"type": "json_schema", "json_schema": form}
            return self.endpoints.ask(clip.media.key, self._ways(clip, ask, limits, SCHEMA if form else ""), told)

        def failed(error: str) -> Written:
            return Written(text="", finished=False, error=error)

        return self._all(items, one, failed)

    def close(self) -> None:
        """Let go of the connections to the servers."""
        self.endpoints.close()

    def _ways(self, clip: _Clip[Any], ask: Ask, limits: Mapping[str, Any], extra: str) -> list[Way]:
        """How a question may be put: by the film's name and with all that helps, then with the film, then plainly."""
        from cinereward.judge.endpoints import Way

        media, shown = clip.media, clip.shown
        film = f"{media.key}-{media.picture}"

        def way(*needs: str) -> Way:
            def body(endpoint: Endpoint) -> dict[str, Any]:
                return self._body(endpoint, shown, media, ask, limits, needs)

            only = "vllm" if {IDS, NAMES} & set(needs) else ""
            return Way(body=body, needs=frozenset(needs), film=film, held=NAMES in needs, only=only)

        rich = [way(extra, NAMES), way(extra)] if extra else []
        return [*rich, way(NAMES), way()]

    def _body(
        self,
        endpoint: Endpoint,
        shown: Shown,
        media: Media,
        ask: Ask,
        limits: Mapping[str, Any],
        needs: Sequence[str],
    ) -> dict[str, Any]:
        vllm = endpoint.software == "vllm"
        held = NAMES in needs
        parts = [{"type": "text", "text": shown.before}] if shown.before else []
        parts += media.parts(film=vllm, held=held)
        parts += [{"type": "text", "text": text} for text in (shown.after, ask.text) if text]
        messages: list[dict[str, Any]] = [{"role": "system", "content": shown.system}]
        messages.append({"role": "user", "content": parts})
        body: dict[str, Any] = {
            "model": self.settings.model,
            "messages": messages,
            "temperature": 0,
            "top_p": 1,
            "n": 1,
        }
        body |= {"stream": False, **limits}
        lead = ask.lead
        if "logprobs" in limits:
            slot = endpoint.slot(lead)
            lead = slot.lead
            if slot.ids and IDS in needs:
                body["logprob_token_ids"] = list(slot.ids)
        if SCHEMA not in needs:
            body.pop("response_format", None)
        if lead:
            messages.append({"role": "assistant", "content": lead})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        if vllm:
            body |= {"repetition_penalty": 1.0, **({} if held else media.extras)}
        return body

    def _all(
        self,
        items: Sequence[tuple[Shown, Sequence[Ask]]],
        one: Callable[[_Clip[Answer], Ask], Answer],
        failed: Callable[[str], Answer],
    ) -> list[list[Answer]]:
        """Ask everything: of each clip one question first, and when its server holds the clip, the others at once."""
        clips = [_Clip[Answer](shown=shown, asks=asks, backend=self) for shown, asks in items]
        count = sum(len(clip.asks) for clip in clips)
        if count == 0:
            return [[] for _ in clips]

        def asked(clip: _Clip[Answer], number: int) -> None:
            try:
                clip.answers[number] = one(clip, clip.asks[number])
            except JudgeError as error:
                clip.errors[number] = str(error)
            except Exception as error:  # whatever befalls one question must not spoil the others
                clip.errors[number] = " ".join(f"{type(error).__name__}: {error}".split())[:300]

        most = self.settings.concurrency * len(self.settings.endpoints)
        pool = ThreadPoolExecutor(min(count, most, WORKERS), thread_name_prefix="judge")
        try:
            running = {pool.submit(copy_context().run, asked, clip, 0): clip for clip in clips if clip.asks}
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    clip = running.pop(future)
                    running |= {pool.submit(copy_context().run, asked, clip, at): clip for at in clip.following()}
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [clip.told(failed) for clip in clips]


@dataclass(kw_only=True, eq=False)
class _Clip(Generic[Answer]):
    """One clip on its way, with the answers so far by the numbers of the questions.

    A first question that fails is followed by one more alone; where that fails too, the others are not sent.
    """

    shown: Shown
    asks: Sequence[Ask]
    backend: ServedBackend
    answers: dict[int, Answer] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    sent: int = 1
    _media: Media | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def media(self) -> Media:
        """Encoded by the thread that first needs it."""
        with self._lock:
            if self._media is None:
                self._media = encode(self.shown, self.backend.picture, hears=self.backend.hears)
            return self._media

    def following(self) -> range:
        """The numbers of the questions that may be sent now."""
        first, count = self.sent, len(self.asks)
        if not self.answers and first > 1:
            return range(0)
        self.sent = count if self.answers else min(count, first + 1)
        return range(first, self.sent)

    def told(self, failed: Callable[[str], Answer]) -> list[Answer]:
        """An answer for every question, or why there is none."""
        held = f"not asked, since the first questions on this clip failed: {self.errors.get(0, '')}"
        self._media = None
        return [
            self.answers[at] if at in self.answers else failed(self.errors.get(at, held))
            for at in range(len(self.asks))
        ]


def _checked(make: Callable[[], Answer]) -> Answer:
    """A reply's faults, as faults of the server that gave it."""
    from cinereward.judge.servers import Unfit
    from cinereward.judge.wire import Broken

    try:
        return make()
    except replies.Odd as error:
        raise Broken(f"a server's reply is not what was asked for: {error}") from None
    except replies.Other as error:
        raise Unfit(str(error)) from None
