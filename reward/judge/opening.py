"""Make the judge that a profile asks for: its models, its ensemble, its cache."""

from __future__ import annotations

from pydantic import ValidationError

from cinereward.errors import ConfigError
from cinereward.judge.backend import Backend
from cinereward.judge.cache import Cache
from cinereward.judge.ensemble import Ensemble, OtherLook
from cinereward.judge.film import FilmJudge
from cinereward.judge.settings import JudgeSettings
from cinereward.taxonomy import Taxonomy, load

# What does not make another judge of one.
ALIKE = {
    *("chunk", "key_env", "concurrency", "timeout", "batch", "cache"),
    *("weight", "weights", "questions", "context", "ensemble"),
}


def open_judge(
    settings: JudgeSettings, taxonomy: Taxonomy | None = None, *, device: str | None = None
) -> FilmJudge | OtherLook | Ensemble:
    """The judge of a profile (`types.Judge`, with an `identity`).

    Args:
        settings: the profile's. A further judge of its ensemble that has another seed is shown other frames.
        taxonomy: whose questions; None: the shipped one. device: of a local model; None: the first GPU, or the CPU.

    Raises:
        ConfigError: an ensemble's judges answer in several modes, or two of them are the same.
        MissingExtraError: a library is not installed.
        WeightsError: a local model is not here.
    """
    taxonomy = load() if taxonomy is None else taxonomy
    try:
        members = settings.members()
    except ValidationError as error:
        raise ConfigError(f"judge.ensemble: {error}") from error
    if odd := {member.mode for member in members} - {settings.mode}:
        raise ConfigError(
            f"judge.ensemble: a judge answers in mode {', '.join(sorted(odd))} and the first in {settings.mode}; their "
            "scores are different estimators and have no common median; give all one mode"
        )
    told = [member.model_dump(exclude=ALIKE) for member in members]
    if twice := [at for at, one in enumerate(told, 1) if one in told[: at - 1]]:
        raise ConfigError(f"judge.ensemble: judge {twice[0]} is one of those before it; change its model or its seed")
    caches = {member.cache: Cache(member.cache) for member in members if member.cache is not None}
    judges: list[FilmJudge | OtherLook] = []
    for member in members:
        cache = caches[member.cache] if member.cache is not None else None
        judge = FilmJudge(open_backend(member, device), member, taxonomy, cache)
        judges.append(judge if member.seed == settings.seed else OtherLook(judge, member.seed))
    return judges[0] if len(judges) == 1 else Ensemble(judges)


def open_backend(settings: JudgeSettings, device: str | None = None) -> Backend:
    """The model of one judge, here or behind servers; what it may raise is told by `open_judge`."""
    if settings.kind == "served":
        from cinereward.judge.served import ServedBackend  # its library is an extra

        return ServedBackend(settings)
    from cinereward.judge.local import LocalBackend  # its libraries are an extra

    return LocalBackend(settings, device)
