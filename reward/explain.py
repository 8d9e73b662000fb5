"""What a dimension means, what measures it, what it weighs, and when it is left out: the facts, and their page."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from cinereward.errors import CinerewardError, ConfigError
from cinereward.gate import open_gate
from cinereward.operators import spec_of
from cinereward.profile import Profile, Term
from cinereward.show import DIM, leaf, wrapped
from cinereward.taxonomy import LEVELS, Question, SubDimension, Taxonomy
from cinereward.types import Clip, MeasurementSpec
from cinereward.words import UNVALIDATED, plain

KINDS = {"stage": "stage", "aspect": "aspect", "dimension": "dimension", "sub_dimension": "sub-dimension"}


@dataclass(frozen=True, kw_only=True)
class Explained:
    """Everything there is to say about one node of the taxonomy under a profile.

    weight: its own, beside its siblings. share_of_all: its part of the scalar were every sub-dimension scored.
    share_of_measured: the same were every one scored that the profile measures. closed: sub-dimension -> why it is left
    out unless the prompt asks for it. promised: measurement -> what its operator says of it.
    """

    name: str
    level: str
    title: str
    above: tuple[str, ...]
    subs: tuple[SubDimension, ...]
    profile: Profile
    weight: float
    share_of_all: float
    share_of_measured: float
    closed: Mapping[str, str]
    promised: Mapping[str, MeasurementSpec] = field(default_factory=dict)

    def terms(self, sub: SubDimension) -> tuple[Term, ...]:
        """What measures a sub-dimension in the profile."""
        return self.profile.curves.get(sub.name, ())


def shares(
    subs: Sequence[SubDimension], weights: Mapping[str, Mapping[str, float]], levels: Sequence[str] = LEVELS
) -> dict[str, float]:
    """Each sub-dimension's part of the scalar were exactly these scored: they sum to 1, or {} where nothing weighs."""
    if not levels:
        return {subs[0].name: 1.0}
    level, *below = levels
    groups: dict[str, list[SubDimension]] = {}
    for sub in subs:
        groups.setdefault(sub.name if level == "sub_dimension" else getattr(sub, level), []).append(sub)
    parts = [(weights.get(level, {}).get(name, 1.0), shares(inside, weights, below)) for name, inside in groups.items()]
    total = sum(weight for weight, part in parts if part)
    if total <= 0:
        return {}
    return {name: weight / total * share for weight, part in parts if weight > 0 for name, share in part.items()}


def find(name: str, taxonomy: Taxonomy) -> str:
    """The full name of a node, of which the end is enough where only one has it.

    Raises:
        ConfigError: there is none, or there are several; it lists them, or close ones.
    """
    nodes = [*taxonomy.stages, *taxonomy.aspects, *taxonomy.dimensions, *taxonomy.names]
    if name in nodes:
        return name
    ends = [node for node in nodes if node.endswith("." + name)]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise ConfigError(f"{name!r} is the end of several names; give one of {', '.join(ends)}")
    close = difflib.get_close_matches(name, nodes, n=3)
    leaves = difflib.get_close_matches(name.rpartition(".")[2], {leaf(node) for node in nodes}, n=2)
    close += [node for node in nodes if leaf(node) in leaves and node not in close]
    hint = f"did you mean {', '.join(close[:4])}?" if close else "`cinereward explain` shows the whole tree"
    raise ConfigError(f"there is no {name!r} in the taxonomy; {hint}")


def explain(name: str, profile: Profile) -> Explained:
    """Gather what there is to say about a stage, an aspect, a dimension or a sub-dimension.

    Raises:
        ConfigError: the taxonomy has no such node.
    """
    taxonomy = profile.load_taxonomy()
    full = find(name, taxonomy)
    node = taxonomy[full]
    inside = {sub.name for sub in node.sub_dimensions}
    weights = profile.weights.model_dump()
    measured = [sub for sub in taxonomy.sub_dimensions if profile.curves.get(sub.name)]
    first = node.sub_dimensions[0]
    return Explained(
        name=full,
        level=node.level,
        title=node.title,
        above=tuple(taxonomy.titles[getattr(first, level)] for level in reversed(LEVELS[: LEVELS.index(node.level)])),
        subs=node.sub_dimensions,
        profile=profile,
        weight=weights[node.level].get(full, 1.0),
        share_of_all=_sum(shares(taxonomy.sub_dimensions, weights), inside),
        share_of_measured=_sum(shares(measured, weights), inside) if measured else 0.0,
        closed={sub: why for sub, why in closed(taxonomy).items() if sub in inside},
        promised=_promised(profile),
    )


def closed(taxonomy: Taxonomy) -> Mapping[str, str]:
    """Sub-dimension -> why it is left out where a prompt asks for a picture and no more."""
    return open_gate(Clip("", expects=frozenset()), taxonomy).closed


def _sum(share: Mapping[str, float], names: Collection[str]) -> float:
    return sum(part for name, part in share.items() if name in names)


def _promised(profile: Profile) -> dict[str, MeasurementSpec]:
    found: dict[str, MeasurementSpec] = {}
    for name in profile.operators:
        try:
            spec = spec_of(name)
        except (CinerewardError, ImportError, OSError):
            continue  # its extra is not installed: its meaning is left out, and `doctor` tells what is missing
        found.update({f"{spec.name}.{item.name}": item for item in spec.measurements})
    return found


# --- for people ---


def tree(profile: Profile) -> Tree:
    """The whole taxonomy; what the profile measures is marked."""
    taxonomy = profile.load_taxonomy()
    shut = closed(taxonomy)
    root = Tree(Text("taxonomy", "bold"), guide_style=DIM)
    branches: dict[str, Tree] = {}
    for sub in taxonomy.sub_dimensions:
        above = root
        for level in LEVELS[:-1]:
            name = getattr(sub, level)
            if name not in branches:
                style = "bold" if level in ("stage", "aspect") else ""
                branches[name] = above.add(Text(leaf(name), style))
            above = branches[name]
        line = Text(leaf(sub.name), "" if profile.curves.get(sub.name) else DIM)
        if profile.curves.get(sub.name):
            line.append(f"  measured by {profile.name}", "bright_blue")
        if sub.name in shut:
            line.append("  if asked for " + shut[sub.name].removeprefix("the prompt does not ask for "), "dim italic")
        above.add(line)
    return root


def legend(profile: Profile) -> Text:
    """What the tree's marks mean, with its counts."""
    taxonomy = profile.load_taxonomy()
    counts = (len(taxonomy.stages), len(taxonomy.aspects), len(taxonomy.dimensions), len(taxonomy.names))
    text = Text("{} stages > {} aspects > {} dimensions > {} sub-dimensions".format(*counts))
    text.append(f", {len(taxonomy.questions)} questions. Profile {profile.name} measures {len(profile.curves)}.")
    return text


def page(told: Explained, console: Console) -> Iterator[Text]:
    """Everything about one node."""
    yield Text(told.name, "bold") + Text(f"  {told.title}", "not bold")
    place = f"{KINDS[told.level]} of {' < '.join(told.above)}" if told.above else KINDS[told.level]
    yield Text(place + (" (inferred: the paper names it and does not define it)" if _inferred(told) else ""), DIM)
    yield Text()
    if told.level == "sub_dimension":
        yield from _meaning(told.subs[0], console)
        yield Text()
        yield from _measures(told, told.subs[0], console)
    else:
        yield from _members(told, console)
    yield Text()
    yield from _weighs(told, console)
    yield Text()
    yield from _gated(told, console)


def _inferred(told: Explained) -> bool:
    return told.level == "sub_dimension" and told.subs[0].inferred


def _meaning(sub: SubDimension, console: Console) -> Iterator[Text]:
    yield from wrapped(console, Text(sub.meaning), "")
    yield Text()
    yield Text(f"Questions for the judge ({len(sub.questions)})", "bold")
    for question in sub.questions:
        yield from _question(question, console)


def _question(question: Question, console: Console) -> Iterator[Text]:
    yield from wrapped(console, Text(question.text), "  ")
    for answer in (5, 3, 1):
        lines = wrapped(console, Text(question.anchors[answer], DIM), " " * 6)
        for at, line in enumerate(lines):
            yield Text(f"    {answer} ", "bold") + line[6:] if at == 0 else line
    if question.needs:
        yield Text(f"      needs {', '.join(sorted(question.needs))}", "dim italic")


def _measures(told: Explained, sub: SubDimension, console: Console) -> Iterator[Text]:
    terms = told.terms(sub)
    yield Text(f"Measured in profile {told.profile.name}", "bold") + Text("" if terms else "  by nothing", "not bold")
    if len(terms) > 1:
        yield Text("  the score is the product of these, each in [0, 1]", DIM)
    for term in terms:
        promise = told.promised.get(term.measurement)
        unit = f", {promise.unit}" if promise else ""
        head = Text("  ").append(term.measurement, "bold").append(f"{unit}, {term.shape}", "not bold")
        yield head.append(f", weight {term.weight:g}, std {term.std:.3f}", DIM)
        if promise:
            yield from wrapped(console, Text(plain(promise.meaning)), "    ")
        curve = "  ".join(f"{value:g} -> {score:g}" for value, score in term.points)
        yield from wrapped(console, Text("curve  ", DIM).append(curve, "not dim"), "    ")
        if tastes := _tastes(told.profile, term):
            yield from wrapped(
                console, Text("another curve where the prompt asks for " + ", ".join(tastes), DIM), "    "
            )
        yield from wrapped(console, Text("source " + plain(" ".join(term.source.split())), DIM), "    ")


def _tastes(profile: Profile, term: Term) -> list[str]:
    """The intents under which a term's curve is another, as words."""
    return [name.replace("_", " ") for name, intent in profile.intents.items() if term.measurement in intent.curves]


def _members(told: Explained, console: Console) -> Iterator[Text]:
    yield Text(f"Its sub-dimensions ({len(told.subs)})", "bold")
    for sub in told.subs:
        by = sorted({term.measurement.partition(".")[0] for term in told.terms(sub)})
        mark = f"measured by {', '.join(by)}" if by else f"profile {told.profile.name} does not measure it"
        yield Text(f"  {sub.name}")
        yield from wrapped(console, Text(sub.meaning, DIM), "    ")
        yield from wrapped(console, Text(mark, "bright_blue" if by else DIM), "    ")


def _weighs(told: Explained, console: Console) -> Iterator[Text]:
    yield Text(f"Weight in profile {told.profile.name}", "bold")
    yield from wrapped(console, Text(f"{told.weight:g} beside its siblings (what is not named weighs 1)"), "  ")
    everything = f"{told.share_of_all:.1%} of the scalar where all sub-dimensions are scored"
    measured = f"{told.share_of_measured:.1%} where all are scored that profile {told.profile.name} measures"
    yield from wrapped(console, Text(f"{everything}; {measured}"), "  ")
    if told.profile.validated is None:
        yield Text(f"  {UNVALIDATED}", DIM)


def _gated(told: Explained, console: Console) -> Iterator[Text]:
    yield Text("Left out", "bold")
    if not told.closed:
        yield Text("  never: every prompt asks for it")
    reasons: dict[str, int] = {}
    for why in told.closed.values():
        reasons[why] = reasons.get(why, 0) + 1
    for why, count in reasons.items():
        whom = "" if len(told.subs) == 1 else f"{count} of {len(told.subs)}, "
        yield from wrapped(console, Text(f"{whom}where {why} (or --expects does not name it)"), "  ")


# --- for programs ---


def record(told: Explained) -> dict[str, Any]:
    """The same facts as JSON."""
    return {
        "name": told.name,
        "level": told.level,
        "title": told.title,
        "profile": told.profile.name,
        "validated": told.profile.validated,
        "weight": told.weight,
        "share_of_all": told.share_of_all,
        "share_of_measured": told.share_of_measured,
        "sub_dimensions": [
            {
                "name": sub.name,
                "title": sub.title,
                "meaning": sub.meaning,
                "inferred": sub.inferred,
                "gated": told.closed.get(sub.name),
                "questions": [_question_record(question) for question in sub.questions],
                "terms": [
                    {**term.model_dump(mode="json"), "intents": _tastes(told.profile, term)} for term in told.terms(sub)
                ],
            }
            for sub in told.subs
        ],
    }


def _question_record(question: Question) -> dict[str, Any]:
    anchors = {str(answer): text for answer, text in question.anchors.items()}
    return {"id": question.id, "text": question.text, "anchors": anchors, "needs": sorted(question.needs)}


def tree_record(profile: Profile) -> dict[str, Any]:
    """The whole taxonomy as nested JSON: each sub-dimension with whether the profile measures it."""
    out: dict[str, Any] = {}
    for sub in profile.load_taxonomy().sub_dimensions:
        dimensions = out.setdefault(sub.stage, {}).setdefault(sub.aspect, {})
        dimensions.setdefault(sub.dimension, {})[sub.name] = bool(profile.curves.get(sub.name))
    return {"profile": profile.name, "validated": profile.validated, "measured": out}
