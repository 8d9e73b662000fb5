"""Several servers of one model: who is asked, who rests after failing, and when to give up.

All questions on one clip go to one server, so that what they share is encoded there once; clips go round. A server that
fails again and again is left alone for a while and then looked at before it is asked; its questions go to the others.
Every wait and every number of tries has a limit.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from cinereward.errors import JudgeError
from cinereward.judge.servers import Slot, Told, Unfit, meet, slot
from cinereward.judge.wire import Broken, Reply, Wire
from cinereward.networks.running import note

T = TypeVar("T")
KEPT = 4096  # clips whose server is remembered, and films that a server is known to hold


class Refused(JudgeError):
    """The server does not take this request, and would not take it again."""


class Unanswered(JudgeError):
    """No server answered within the limits."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """connect: s for a connection. total: s for one request, all of it. tries: of one question, over all servers.

    backoff: s before the second try at the same server, doubled each time, with jitter. longest: s that a server may
    ask to be left alone and still be waited for. failures: in a row, until a server is left alone. rest: s of that.
    """

    connect: float = 5.0
    total: float = 120.0
    tries: int = 4
    backoff: float = 0.25
    longest: float = 10.0
    failures: int = 3
    rest: float = 15.0


class _Busy(JudgeError):
    """The server is well and asks to be left alone for so many seconds."""

    def __init__(self, told: str, wait: float) -> None:
        super().__init__(told)
        self.wait = wait


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to put a request.

    body: makes it for a server. needs: what the server must know how to do. film: the name under which the server
    keeps what it is shown, or "". held: it is not sent, so that the server must hold it already. only: the software
    that can be asked so, or "" for any.
    """

    body: Callable[[Endpoint], dict[str, Any]]
    needs: frozenset[str] = frozenset()
    film: str = ""
    held: bool = False
    only: str = ""


@dataclass(eq=False)
class Endpoint:
    """One server, and whether it may be asked. All but `wire` is guarded by the lock."""

    wire: Wire
    model: str
    slots: threading.BoundedSemaphore
    told: Told | None = None  # None: it has to be looked at before it is asked
    software: str = ""  # as it told when it was last looked at
    lacks: set[str] = field(default_factory=set)  # what it turned out not to know
    films: OrderedDict[str, None] = field(default_factory=OrderedDict)  # names of what it holds
    forgets: bool = False  # it failed over what it should hold
    failed: int = 0  # in a row
    until: float = 0.0  # when it may be asked again
    shut: bool = False  # until then because it failed, and not because it is busy
    why: str = ""
    meeting: threading.Lock = field(default_factory=threading.Lock)
    leads: dict[str, Slot] = field(default_factory=dict)

    def slot(self, lead: str) -> Slot:
        """How an answer is begun here, and the labels' tokens where the server tells them."""
        if self.software != "vllm" or "label ids" in self.lacks:
            return Slot(lead=lead)
        with self.meeting:
            if lead not in self.leads:
                self.leads[lead] = slot(self.wire, self.model, lead)
            return self.leads[lead]


class Endpoints:
    """The servers of a judge. Threads may share it.

    Args:
        wires: one for each server. model: the name they must serve it by. key_env: where the key was read, for
            messages. concurrency: requests under way at one server. seed: of the jitter.
    """

    def __init__(
        self, wires: Sequence[Wire], model: str, *, key_env: str, concurrency: int, limits: Limits, seed: int = 0
    ) -> None:
        self.all = [Endpoint(wire, model, threading.BoundedSemaphore(concurrency)) for wire in wires]
        self.limits, self.model, self.key_env = limits, model, key_env
        self._lock, self._random = threading.Lock(), Random(seed)
        self._homes: OrderedDict[str, int] = OrderedDict()  # clip -> number of its server
        self._turn = 0
        self._first: Told | None = None

    def told(self) -> Told | None:
        """What the servers serve, from the first that tells; None where none does."""
        for endpoint in self.all:
            if self._first is None and self._may(endpoint) == 0.0:
                self._met(endpoint)
        return self._first

    def ask(self, key: str, ways: Sequence[Way], read: Callable[[Any], T]) -> T:
        """Put one request to the clip's server, or to another where that one fails.

        Args:
            key: of the clip. ways: from the best to the plainest; one that a server refuses is not tried there again
                once a plainer one was taken. read: makes the answer of the reply's JSON; what it raises as Broken or
                Unfit is held against the server.

        Raises:
            Refused: a server does not take the request. Unanswered: no server answered; says why of each.
        """
        missed: list[Endpoint] = []
        end = time.monotonic() + self.limits.tries * (self.limits.total + self.limits.longest)
        for _ in range(self.limits.tries):
            endpoint = self._next(key, missed)
            left = end - time.monotonic()
            if endpoint is None or left <= 0:
                break
            if endpoint in missed:
                self._pause(missed.count(endpoint))
            missed.append(endpoint)
            if not endpoint.slots.acquire(timeout=left):
                raise Unanswered(f"{endpoint.wire.name} has had as many questions as it may for {left:.4g} s")
            try:
                if not self._met(endpoint):
                    continue
                answer = read(self._put(endpoint, ways))
            except (Broken, Unfit) as error:
                self._miss(endpoint, str(error), shut=isinstance(error, Unfit))
                continue
            except _Busy as error:
                self._rest(endpoint, str(error), error.wait)
                continue
            finally:
                endpoint.slots.release()
            self._well(endpoint, key)
            return answer
        raise Unanswered("no server of the judge answered: " + self._whys())

    def close(self) -> None:
        """Let go of all connections."""
        for endpoint in self.all:
            endpoint.wire.close()

    def _put(self, endpoint: Endpoint, ways: Sequence[Way]) -> Any:
        """The reply's JSON, by the best way that this server takes.

        Raises:
            Broken, Unfit, _Busy, Refused.
        """
        refused: list[Way] = []
        for way in ways:
            if way.only not in ("", endpoint.software) or way.needs & endpoint.lacks:
                continue
            if way.held and (endpoint.forgets or way.film not in endpoint.films):
                continue
            reply = endpoint.wire.send("/v1/chat/completions", way.body(endpoint), seconds=self.limits.total)
            if way.held and reply.status >= 500:  # it may have lost what it should hold, and not know how to say so
                endpoint.forgets = True
            elif _takes(endpoint, reply, self.key_env):
                self._learn(endpoint, refused, way)
                return reply.body
            if way.held:
                with self._lock:
                    endpoint.films.pop(way.film, None)
            else:
                refused.append(way)
        raise Refused(f"{endpoint.wire.name} refuses the question ({reply.status}): {_words(endpoint, reply)}")

    def _learn(self, endpoint: Endpoint, refused: Sequence[Way], taken: Way) -> None:
        """What a server turned out not to know, and what it holds from now on."""
        lacking = {need for way in refused for need in way.needs - taken.needs}
        if lacking:
            note(f"judge: {endpoint.wire.name} does not take {', '.join(sorted(lacking))}; asked without")
        with self._lock:
            endpoint.lacks |= lacking
            if taken.film:
                endpoint.films[taken.film] = None
                if len(endpoint.films) > KEPT:
                    endpoint.films.popitem(last=False)

    def _met(self, endpoint: Endpoint) -> bool:
        """Whether this server is well and the one we want: looked at before its first question, and after a rest."""
        with endpoint.meeting:
            if endpoint.told is not None:
                return True
            if self._may(endpoint) > 0.0:  # another thread has just looked
                return False
            try:
                told = meet(endpoint.wire, self.model, self.key_env)
                with self._lock:
                    self._first = self._first or told
                if told != self._first:
                    raise Unfit(
                        f"{endpoint.wire.name} serves {told}, the others {self._first}; use one model and software"
                    )
            except (Broken, Unfit) as error:
                self._miss(endpoint, str(error), shut=True)
                return False
            with self._lock:
                endpoint.told, endpoint.failed, endpoint.shut = told, 0, False
                endpoint.software, endpoint.forgets = told.software, False
                for learnt in (endpoint.films, endpoint.lacks, endpoint.leads):  # it may be a new one by now
                    learnt.clear()
            return True

    def _next(self, key: str, missed: Sequence[Endpoint]) -> Endpoint | None:
        """Whom to ask: the clip's server, or the next that may be asked, at first such as have not just failed us.

        Where all that are well are busy, it waits for the first of them, if that is soon; None: there is nobody to ask.
        """
        order = self._order(key)
        ready = [endpoint for endpoint in order if self._may(endpoint) == 0.0]
        if ready:
            return next((endpoint for endpoint in ready if endpoint not in missed), ready[0])
        busy = [endpoint for endpoint in order if not endpoint.shut]
        if not busy or self._may(soonest := min(busy, key=self._may)) > self.limits.longest:
            return None
        time.sleep(self._may(soonest))
        return soonest

    def _order(self, key: str) -> list[Endpoint]:
        with self._lock:
            if key not in self._homes:
                ready = [at for at, one in enumerate(self.all) if one.until <= time.monotonic()] or range(len(self.all))
                self._homes[key] = list(ready)[self._turn % len(ready)]
                self._turn += 1
                if len(self._homes) > KEPT:
                    self._homes.popitem(last=False)
            home = self._homes[key]
        return self.all[home:] + self.all[:home]

    def _may(self, endpoint: Endpoint) -> float:
        """How long until it may be asked, in s."""
        with self._lock:
            return max(0.0, endpoint.until - time.monotonic())

    def _pause(self, times: int) -> None:
        with self._lock:
            jitter = self._random.uniform(0.5, 1.5)
        time.sleep(min(self.limits.longest, self.limits.backoff * 2 ** (times - 1) * jitter))

    def _miss(self, endpoint: Endpoint, why: str, *, shut: bool = False) -> None:
        """It failed: after some times in a row, or at once, it is left alone, and looked at before it is asked."""
        with self._lock:
            endpoint.failed += 1
            endpoint.why = why
            if shut or endpoint.failed >= self.limits.failures:
                endpoint.until, endpoint.shut = time.monotonic() + self.limits.rest, True
                endpoint.told = None

    def _rest(self, endpoint: Endpoint, why: str, wait: float) -> None:
        """It is well, and asked to be left alone for a while."""
        with self._lock:
            endpoint.why = why
            endpoint.until = max(endpoint.until, time.monotonic() + min(wait, 4 * self.limits.rest))

    def _well(self, endpoint: Endpoint, key: str) -> None:
        with self._lock:
            endpoint.failed = 0
            self._homes[key] = self.all.index(endpoint)  # where the clip is encoded now

    def _whys(self) -> str:
        with self._lock:
            return "; ".join(dict.fromkeys(one.why or f"{one.wire.name} was not asked" for one in self.all))


def _takes(endpoint: Endpoint, reply: Reply, key_env: str) -> bool:
    """Whether the server took the request; False: it refuses this one.

    Raises:
        _Busy: later. Unfit: it would refuse every request. Broken: it failed.
    """
    name, status = endpoint.wire.name, reply.status
    if status == 429 or (status == 503 and reply.wait is not None):
        wait = 1.0 if reply.wait is None else reply.wait
        raise _Busy(f"{name} is busy ({status}) and asks to be left alone for {wait:.4g} s", wait)
    if status in (401, 403):
        raise Unfit(f"{name} does not take the key ({status}); it is read from the environment: {key_env}")
    if status in (404, 405) or 300 <= status < 400:
        raise Unfit(f"{name} has no chat completions for this model here ({status}): {_words(endpoint, reply)}")
    if status == 408 or status >= 500 or status < 200:
        raise Broken(f"{name} failed ({status}): {_words(endpoint, reply)}")
    if status < 300 and not isinstance(reply.body, dict):
        raise Broken(f"{name} answered with something else than a JSON object: {reply.text[:80]!r}")
    return status < 300


def _words(endpoint: Endpoint, reply: Reply) -> str:
    """What the server says for itself, as OpenAI's protocol puts it, or as it stands."""
    body = reply.body if isinstance(reply.body, dict) else {}
    error = body.get("error")
    told = error.get("message") if isinstance(error, dict) else body.get("message") or body.get("detail")
    return endpoint.wire.clean(told) if isinstance(told, str) else reply.text
