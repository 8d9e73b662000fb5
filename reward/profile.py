"""A profile: which operators run, how measurements become scores, and what each dimension weighs. All of it is data."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cinereward import wants
from cinereward.errors import ConfigError
from cinereward.taxonomy import LEVELS, Taxonomy
from cinereward.taxonomy import load as load_taxonomy

PROFILES = ("signal", "perception", "cinematic", "vbench")
# what a prompt or a clip may ask for, and a term may be tied to: the gate's expectations, and those of wants.py
TAGS = wants.TAGS | {"sound", "speech", "music", "cuts", "people", "reference", "first_frame"}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Term(_Frozen):
    """One measurement's part in a score: a curve through `points` (measured value, score), straight in between.

    shape: "rising" or "falling" curves are monotone; a "peaked" one rises to an optimum and falls behind it. A term of
    weight w lowers the score to score x curve ** w. std: the curve's spread under edits that must not matter, as
    benchmarks/std.py measured it. source: where the points come from. when: what the prompt must ask for, each of these
    tags, before the term counts; never what the pixels show.
    """

    measurement: str
    points: tuple[tuple[float, float], ...] = Field(min_length=2)
    shape: Literal["rising", "falling", "peaked"]
    source: str = Field(min_length=10)
    weight: float = Field(default=1.0, gt=0, le=4)
    std: float = Field(default=0.0, ge=0, le=1)
    when: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _check(self) -> Term:
        if unknown := sorted(self.when - TAGS):
            raise ValueError(f"{self.measurement}: when holds {unknown}; it may hold {', '.join(sorted(TAGS))}")
        xs, ys = zip(*self.points, strict=True)
        if any(a >= b for a, b in itertools.pairwise(xs)):
            raise ValueError(f"{self.measurement}: the points' values must rise, not {list(xs)}")
        if min(ys) < 0 or max(ys) > 1:
            raise ValueError(f"{self.measurement}: the points' scores must lie in [0, 1], not {list(ys)}")
        top = ys.index(max(ys))
        rises = ys == tuple(sorted(ys))
        falls = ys == tuple(sorted(ys, reverse=True))
        peaks = ys[:top] == tuple(sorted(ys[:top])) and ys[top:] == tuple(sorted(ys[top:], reverse=True))
        fits = {"rising": rises, "falling": falls, "peaked": peaks and not rises and not falls}
        if not fits[self.shape]:
            raise ValueError(f"{self.measurement}: the points {list(self.points)} are not {self.shape}")
        return self


class Variant(_Frozen):
    """What an intent makes of a measurement's curves: other points, a stretched axis, less weight, or no say at all.

    stretch: a measured value of v counts as v / stretch. weight: of the term's own, such as 0.3 where what measures is
    outside its domain, as a recogniser of faces is in a cartoon. Exactly one of the four is given.
    """

    points: tuple[tuple[float, float], ...] | None = Field(default=None, min_length=2)
    stretch: float | None = Field(default=None, gt=0, le=100)
    weight: float | None = Field(default=None, gt=0, lt=1)
    excused: bool = False

    @model_validator(mode="after")
    def _check(self) -> Variant:
        given = (self.points is not None, self.stretch is not None, self.weight is not None, self.excused)
        if sum(given) != 1:
            raise ValueError("give one of points, stretch, weight, excused: true")
        return self

    def of(self, term: Term) -> Term:
        """The term under this intent."""
        if self.points is not None:
            return Term.model_validate({**term.model_dump(), "points": self.points, "shape": shape(self.points)})
        if self.weight is not None:
            return term.model_copy(update={"weight": term.weight * self.weight})
        stretched = tuple((x * (self.stretch or 1.0), y) for x, y in term.points)
        return term.model_copy(update={"points": stretched})


def shape(points: Sequence[tuple[float, float]]) -> str:
    """Whether a curve through these points is rising, falling or peaked."""
    ys = [y for _, y in points]
    return "rising" if ys == sorted(ys) else "falling" if ys == sorted(ys, reverse=True) else "peaked"


class Intent(_Frozen):
    """A taste that a prompt may ask for, and what it changes.

    words: "en", "zh" -> regular expressions, as in gate.yaml. curves: measurement -> its variant, wherever it counts.
    asks: sub-dimension -> further terms, for what the words call for and a clip may lack.
    """

    words: dict[Literal["en", "zh"], tuple[str, ...]] = Field(min_length=1)
    but: dict[Literal["en", "zh"], tuple[str, ...]] = {}
    curves: dict[str, Variant] = {}
    asks: dict[str, tuple[Term, ...]] = {}


class Weights(_Frozen):
    """Weights by name at each level of the taxonomy; what is not named weighs 1."""

    stage: dict[str, float] = {}
    aspect: dict[str, float] = {}
    dimension: dict[str, float] = {}
    sub_dimension: dict[str, float] = {}

    @field_validator("*")
    @classmethod
    def _check(cls, value: dict[str, float]) -> dict[str, float]:
        for name, weight in value.items():
            if not 0 <= weight < 1e6:
                raise ValueError(f"the weight of {name} is {weight}; expected 0 or more")
        return value


class Profile(_Frozen):
    """Everything that makes a score, but for the code and the model weights.

    name: of the profile. validated: how it was held against human ratings and what came of it, or None: not yet.
    window_frames: frames a window holds. batch_size: windows an operator is handed at once. decoder: of files; "decord"
    is for clips known to be whole, since it conceals damage. flow: what sees movement for all operators, OpenCV's "dis"
    or the network "raft". curves: sub-dimension -> terms. right: what prompt following is made of, name -> terms.
    intents: taste that a prompt may ask for. judge: what judge/settings.py reads, or None: nobody judges. taxonomy: a
    path, or None for the shipped one.
    """

    name: str = Field(pattern=r"^[\w.-]+$")
    validated: str | None
    operators: tuple[str, ...] = Field(min_length=1)
    curves: dict[str, tuple[Term, ...]]
    right: dict[str, tuple[Term, ...]] = {}
    judge: dict[str, Any] | None = None
    window_frames: int = Field(default=16, ge=1, le=1024)
    batch_size: int = Field(default=1, ge=1, le=1024)
    decoder: Literal["pyav", "decord"] = "pyav"
    flow: Literal["dis", "raft"] = "dis"
    weights: Weights = Weights()
    intents: dict[str, Intent] = {}
    taxonomy: str | None = None

    def load_taxonomy(self) -> Taxonomy:
        """The taxonomy this profile speaks of.

        Raises:
            ConfigError: the profile names what the taxonomy does not have.
        """
        taxonomy = load_taxonomy(self.taxonomy)
        asked = [(f"intent {key}", name) for key, intent in self.intents.items() for name in intent.asks]
        for where, name in [*(("curves", name) for name in self.curves), *asked]:
            if name not in taxonomy.names:
                raise ConfigError(f"profile {self.name}, {where}: {close_to(name, taxonomy.names)}")
        for level in LEVELS:
            valid, _ = taxonomy.fold_index(level)
            for name in getattr(self.weights, level):
                if name not in valid:
                    raise ConfigError(f"profile {self.name}, weights of level {level}: {close_to(name, valid)}")
        return taxonomy

    def speaks_of(self) -> Iterator[tuple[str, str]]:
        """Every measurement that is named, with where: a sub-dimension, or "intent noir"."""
        for name, terms in [*self.curves.items(), *((f"right.{name}", terms) for name, terms in self.right.items())]:
            yield from ((name, term.measurement) for term in terms)
        for key, intent in self.intents.items():
            asked = [term.measurement for terms in intent.asks.values() for term in terms]
            yield from ((f"intent {key}", measurement) for measurement in [*intent.curves, *asked])

    @property
    def hash(self) -> str:
        """Sha256 of all that decides a number, wherever the profile lies and whatever it says beside.

        The taxonomy has a hash of its own; whether a profile is validated, why a curve runs as it does and how many
        windows are handed over at once move no score.
        """
        beside = {"validated": True, "taxonomy": True, "batch_size": True}
        said = self.model_dump(mode="json", exclude=beside)
        asked = [terms for intent in said["intents"].values() for terms in intent["asks"].values()]
        for term in itertools.chain.from_iterable([*said["curves"].values(), *said["right"].values(), *asked]):
            del term["source"]
            term["when"] = sorted(term["when"])
        text = json.dumps(said, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


FILED = ("curves", "right", "intents")


def load_profile(name_or_path: str | Path) -> Profile:
    """Read a profile by its name ("signal") or from your own YAML.

    `curves:`, `right:` and `intents:` may hold their content or the path of a file that does, relative to the profile's
    folder. `extends: signal` takes all of that profile: operators and terms are added to its own, a term of the same
    measurement and `when` replaces its, intents, weights and the judge's settings are laid over its, and what else is
    named here counts.

    Raises:
        ConfigError: there is no such profile, or it holds what it may not; the message lists the valid keys.
    """
    given: Any = name_or_path
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(f"profile is a {type(given).__name__}; expected a str or a path; give {_choice()}")
    if str(name_or_path) in PROFILES:
        with as_file(files("cinereward.configs") / "profiles" / f"{name_or_path}.yaml") as path:
            return _read(path)
    path = Path(name_or_path)
    if not path.is_file():
        close = difflib.get_close_matches(path.stem.lower(), PROFILES, n=3, cutoff=0.5)
        meant = f"did you mean {' or '.join(close)}? Else give" if close else "give"
        raise ConfigError(f"no profile is called {str(name_or_path)!r}; {meant} {_choice()}")
    return _read(path)


def _choice() -> str:
    return f"{', '.join(PROFILES)}, or the path of a YAML"


def _read(path: Path) -> Profile:
    return build(Profile, _content(path, ()), str(path))


def _content(path: Path, seen: tuple[Path, ...]) -> Any:
    """A profile's content with that of the files it names, and of the profile it extends."""
    content = read_yaml(path)
    if not isinstance(content, dict):
        return content
    for key in FILED:
        if isinstance(content.get(key), str):
            content[key] = read_yaml(path.parent / content[key])
    if isinstance(content.get("taxonomy"), str):
        content["taxonomy"] = str(path.parent / content["taxonomy"])
    base = content.pop("extends", None)
    if base is None:
        return content
    if path in seen:
        raise ConfigError(f"{path} extends itself, by way of {', '.join(map(str, seen))}; extend another profile")
    if base in PROFILES:
        with as_file(files("cinereward.configs") / "profiles" / f"{base}.yaml") as below:
            return extended(_content(below, (*seen, path)), content)
    below = path.parent / str(base)
    if not below.is_file():
        raise ConfigError(f"{path} extends {base!r}, which is not there; give {_choice()}")
    return extended(_content(below, (*seen, path)), content)


def extended(base: Any, own: dict[str, Any]) -> Any:
    """A profile's content laid over the one it extends; see `load_profile`."""
    if not isinstance(base, dict):
        return own
    out = {**base, **own}
    laid = ("operators", "curves", "right", "intents", "weights")
    given: dict[str, Any] = {key: own[key] for key in laid if key in own}
    if not all(isinstance(base.get(key, type(item)()), type(item)) for key, item in given.items()):
        return out  # of another kind than it should be; what is wrong is told when it is checked
    if isinstance(given.get("operators"), list):
        out["operators"] = list(dict.fromkeys([*base.get("operators", []), *given["operators"]]))
    for key in ("curves", "right"):
        if isinstance(given.get(key), dict):
            below = base.get(key, {})
            out[key] = {name: _joined(below.get(name), given[key].get(name)) for name in {**below, **given[key]}}
    if isinstance(base.get("judge"), dict) and isinstance(own.get("judge"), dict):
        out["judge"] = _merged(base["judge"], own["judge"])
    for key in ("intents", "weights"):
        if isinstance(given.get(key), dict):
            below = base.get(key, {})
            out[key] = {name: _merged(below.get(name), given[key].get(name)) for name in {**below, **given[key]}}
    return out


def _joined(below: Any, own: Any) -> Any:
    """Terms of one sub-dimension: the base's without those that the own ones replace, then the own ones."""
    if not (isinstance(below, list) and isinstance(own, list)):
        return below if own is None else own
    taken = [_named(term) for term in own]
    return [*(term for term in below if _named(term) not in taken), *own]


def _named(term: Any) -> Any:
    return (term.get("measurement"), sorted(map(str, term.get("when") or ()))) if isinstance(term, dict) else term


def _merged(below: Any, own: Any) -> Any:
    """Mappings of mappings laid over one another, two levels deep; lists and values of the own one count."""
    if not (isinstance(below, dict) and isinstance(own, dict)):
        return below if own is None else own
    both = below.keys() & own.keys()
    inner = {
        key: {**below[key], **own[key]} for key in both if isinstance(below[key], dict) and isinstance(own[key], dict)
    }
    return {**below, **own, **inner}


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigError: it cannot be read or is no YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


Model = TypeVar("Model", bound=BaseModel)


def build(model: type[Model], content: Any, where: str) -> Model:
    """Make a model of a file's content.

    Raises:
        ConfigError: each thing wrong with it, in one message; an unknown key with the valid ones.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            place = ".".join(str(part) for part in item["loc"]) or "the file"
            told = item["msg"].removeprefix("Value error, ")
            if item["type"] == "extra_forbidden":
                told = f"unknown key; valid keys here: {', '.join(_keys(model, item['loc'][:-1]))}"
            lines.append(f"  {place}: {told}")
        raise ConfigError(f"{where}:\n" + "\n".join(lines)) from error


def _keys(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that are valid at a place inside a model."""
    inside: Any = model
    for part in place:
        if isinstance(part, str) and part in getattr(inside, "model_fields", {}):
            inside = _model_in(inside.model_fields[part].annotation) or inside
    return sorted([*inside.model_fields, *(["extends"] if inside is Profile else [])])


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds: Term of dict[str, tuple[Term, ...]], say; None where there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def close_to(name: str, valid: Iterable[str]) -> str:
    """Say that there is no such name, and which there are: those that look alike, or else all."""
    known = sorted(valid)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"there is no {name!r}; " + (f"did you mean {', '.join(close)}?" if close else f"valid: {', '.join(known)}")
