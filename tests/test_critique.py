from __future__ import annotations

import dataclasses
import json
import math
import re
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
import yaml

from cinereward import taxonomy
from cinereward.critique import FEW, find, joined, schema
from cinereward.fusion import Fused, fuse
from cinereward.operators import OPERATORS, spec_of
from cinereward.profile import Term, load_profile
from cinereward.types import LOCI, Critique, Evidence, Measurement, Status

EXPOSURE, FOCUS = "cinematography.lens.exposure", "cinematography.lens.focus"
WORDS = yaml.safe_load((files("cinereward.configs") / "critiques.yaml").read_text(encoding="utf-8"))
PERCEPTION = load_profile("perception")  # with all of signal
USED = sorted({term.measurement for terms in PERCEPTION.curves.values() for term in terms})


def term(measurement: str, **changed: Any) -> Term:
    content: dict[str, Any] = {
        "measurement": measurement,
        "shape": "falling",
        "points": ((0, 1), (1, 0)),
        "source": "made up for a test",
    }
    return Term(**content | changed)


def track(name: str, values: Any, times: Any) -> Measurement:
    return Measurement(
        name=name, value=np.asarray(values, np.float64), times=np.asarray(times, np.float64), unit="share"
    )


def evidence(operator: str, **found: Any) -> dict[str, Evidence]:
    made = {
        name: value if isinstance(value, Measurement) else Measurement(name=name, value=value, unit="share")
        for name, value in found.items()
    }
    return {operator: Evidence(operator=operator, measurements=made)}


def shots(*starts: float) -> dict[str, Evidence]:
    return evidence("shots", duration_track=track("duration_track", np.ones(len(starts)), starts))


def findings(terms: dict[str, list[Term]], found: dict[str, Evidence], duration: float = 4.0) -> tuple[Critique, ...]:
    fused = {name: fuse(parts, found, {}) for name, parts in terms.items()}
    return find(fused, terms, found, duration)


def flicker(values: Any, times: Any, *starts: float) -> Critique:
    found = evidence("exposure", flicker=0.9, flicker_track=track("flicker_track", values, times)) | shots(*starts)
    return findings({EXPOSURE: [term("exposure.flicker")]}, found)[0]


def test_a_good_clip_has_no_findings() -> None:
    assert findings({EXPOSURE: [term("exposure.flicker")]}, evidence("exposure", flicker=0.1)) == ()


def test_what_is_not_scored_has_no_findings() -> None:
    nothing = Fused(value=math.nan, std=math.nan, status=Status.FAILED, reason="dark")
    assert find({EXPOSURE: nothing}, {EXPOSURE: [term("exposure.flicker")]}, {}, 1.0) == ()


def test_the_worst_comes_first() -> None:
    terms = {EXPOSURE: [term("exposure.highlights"), term("exposure.shadows"), term("exposure.flicker")]}
    found = findings(terms, evidence("exposure", highlights=0.4, shadows=0.9, flicker=0.6))
    assert [item.evidence for item in found] == [("exposure.shadows",), ("exposure.flicker",), ("exposure.highlights",)]
    assert [item.severity for item in found] == pytest.approx([0.9, 0.6, 0.4])


def test_one_fault_is_told_once_where_it_costs_most() -> None:
    terms = {EXPOSURE: [term("exposure.flicker", weight=0.5)], FOCUS: [term("exposure.flicker")]}
    found = findings(terms, evidence("exposure", flicker=0.6))
    assert [item.dimension for item in found] == [FOCUS]


def test_a_director_reads_no_more_than_a_few() -> None:
    terms = {EXPOSURE: [term(f"exposure.m{at}") for at in range(FEW + 5)]}
    assert len(findings(terms, evidence("exposure", **{f"m{at}": 0.9 for at in range(FEW + 5)}))) == FEW


def test_a_moment_has_its_timecode_and_its_shot() -> None:
    times = np.arange(0, 4, 0.5)
    item = flicker([0, 0, 0, 0, 0, 9, 8, 0], times, 0.0, 2.0)
    assert (item.start, item.end, item.shot) == (2.5, 3.5, 2)


def test_a_moment_at_the_end_lasts_to_the_end() -> None:
    item = flicker([0, 0, 0, 0, 0, 0, 0, 9], np.arange(0, 4, 0.5), 0.0)
    assert (item.start, item.end, item.shot) == (3.5, 4.0, 1)


@pytest.mark.parametrize("values", [[1.0] * 8, [0, 9, 0, 9, 0, 9, 9, 9]])
def test_a_manner_concerns_the_whole_clip(values: list[float]) -> None:
    item = flicker(values, np.arange(0, 4, 0.5), 0.0, 2.0)
    assert (item.start, item.end, item.shot) == (0.0, 4.0, None)


def test_gaps_in_a_track_are_passed_over() -> None:
    nan = math.nan
    item = flicker([nan, 0, 0, 0, nan, 9, 8, 0], np.arange(0, 4, 0.5), 0.0, 2.0)
    assert (item.start, item.end) == (2.5, 3.5)


def test_a_track_of_gaps_concerns_the_whole_clip() -> None:
    item = flicker([math.nan] * 8, np.arange(0, 4, 0.5), 0.0)
    assert (item.start, item.end, item.shot) == (0.0, 4.0, 1)


def test_a_lack_is_worst_where_the_value_is_lowest() -> None:
    times = np.arange(0, 4, 0.5)
    found = evidence("camera", motion=0.1, motion_track=track("motion_track", [1, 1, 1, 0, 1, 1, 1, 1], times))
    rising = term("camera.motion", shape="rising", points=((0, 0), (1, 1)))
    item = findings({FOCUS: [rising]}, found)[0]
    assert (item.start, item.end) == (1.5, 2.0)


def test_two_sides_of_a_peak_have_their_own_words() -> None:
    peak = term("shots.duration", shape="peaked", points=((0, 0), (3, 1), (9, 0)))
    short, long = (findings({FOCUS: [peak]}, evidence("shots", duration=value))[0] for value in (0.5, 8.5))
    assert short.finding == WORDS["shots.duration.low"]["finding"]
    assert long.finding == WORDS["shots.duration.high"]["finding"]


def test_a_plug_in_without_words_is_told_plainly() -> None:
    item = findings({FOCUS: [term("my_lens.edge_glow")]}, evidence("my_lens", edge_glow=0.9))[0]
    assert item.finding == "my lens: edge glow is 0.9 share."


def test_a_plug_in_called_shots_may_have_no_tracks() -> None:
    found = evidence("shots", glow=0.9)
    assert findings({FOCUS: [term("shots.glow")]}, found)[0].shot is None


# --- the words ---

JARGON = (
    r"px|pixels?|rms|luma|chroma|optical flow|homograph\w*|residual\w*|histogram\w*|percentile\w*|quantile\w*|sigma"
    r"|variance|laplacian|gradient\w*|octaves?|threshold\w*|metrics?|measure\w*|operator\w*|scores?|std|hz|db|fft|crf|gop"
    r"|macroblock\w*|frame difference|motion vectors?|temporal\w*|jerk|blocking|banding|algorithm\w*|detector\w*"
)


@pytest.mark.parametrize("name", sorted(WORDS))
def test_words_are_whole_and_free_of_jargon(name: str) -> None:
    assert set(WORDS[name]) == {"finding", "remedy", "locus"}
    assert WORDS[name]["locus"] in LOCI
    told = f"{WORDS[name]['finding']} {WORDS[name]['remedy']}"
    assert re.search(rf"\b(?:{JARGON})\b|_|\d", told, re.IGNORECASE) is None
    assert all(WORDS[name][part][0].isupper() and WORDS[name][part].endswith(".") for part in ("finding", "remedy"))
    assert len(told) < 240


def test_words_name_no_measurement() -> None:
    names = {f"{name}.{item.name}" for name in OPERATORS for item in spec_of(name).measurements}
    told = " ".join(f"{entry['finding']} {entry['remedy']}" for entry in WORDS.values())
    assert not [name for name in names if name in told]


@pytest.mark.parametrize("measurement", USED)
def test_every_measurement_that_is_used_has_words(measurement: str) -> None:
    shapes = {term.shape for terms in PERCEPTION.curves.values() for term in terms if term.measurement == measurement}
    sides = {f"{measurement}.low", f"{measurement}.high"}
    assert sides <= set(WORDS) if shapes == {"peaked"} and measurement not in WORDS else measurement in WORDS


def test_no_words_are_left_of_a_measurement_that_no_operator_has() -> None:
    names = {f"{name}.{item.name}" for name in OPERATORS for item in spec_of(name).measurements}
    assert {re.sub(r"\.(?:low|high)$", "", name) for name in WORDS} <= names


@pytest.mark.parametrize("dimension", sorted(PERCEPTION.curves))
def test_every_curve_is_of_a_dimension_of_the_taxonomy(dimension: str) -> None:
    assert dimension in taxonomy.load().names


@pytest.mark.parametrize("measurement", USED)
def test_every_measurement_that_is_used_is_promised(measurement: str) -> None:
    operator, _, name = measurement.partition(".")
    assert name in {item.name for item in spec_of(operator).measurements}


# --- the schema ---


def test_the_published_schema_is_that_of_the_code() -> None:
    published = json.loads((files("cinereward.configs") / "schemas" / "critiques.json").read_text(encoding="utf-8"))
    assert published == schema(), "write it again: see `schema`"


def test_a_finding_has_what_the_schema_says() -> None:
    told = schema()["$defs"]["Critique"]
    found = dataclasses.asdict(flicker([0.1, 0.1, 0.9, 0.1], [0.0, 1.0, 2.0, 3.0], 0.0))
    assert set(told["required"]) <= set(found) <= set(told["properties"])
    assert found["locus"] in told["properties"]["locus"]["enum"]


# --- with what a judge wrote ---


def written(dimension: str, start: float, end: float, severity: float = 0.5) -> Critique:
    said = {"finding": "It trembles.", "remedy": "Hold still.", "locus": "seed"}
    return Critique(dimension=dimension, shot=1, start=start, end=end, severity=severity, **said)


def test_a_judges_finding_joins_those_of_the_evidence() -> None:
    found = (written(FOCUS, 0.0, 1.0, 0.4),)
    assert [one.dimension for one in joined(found, (written(EXPOSURE, 0.0, 1.0, 0.9),))] == [EXPOSURE, FOCUS]


def test_one_fault_that_both_name_is_told_once_in_the_judges_words() -> None:
    seen = dataclasses.replace(written(FOCUS, 1.0, 2.0, 0.8), finding="soft", evidence=("sharpness.blur",))
    (one,) = joined((seen,), (written(FOCUS, 1.2, 2.4, 0.3),))
    assert (one.finding, one.severity, one.evidence) == ("It trembles.", 0.8, ("sharpness.blur",))


def test_faults_at_different_times_are_told_apart() -> None:
    assert len(joined((written(FOCUS, 0.0, 1.0),), (written(FOCUS, 3.0, 4.0),))) == 2


def test_no_more_is_told_than_a_director_reads() -> None:
    many = tuple(written(FOCUS, 2.0 * at, 2.0 * at + 1) for at in range(20))
    assert len(joined(many[:10], many[10:])) == FEW
