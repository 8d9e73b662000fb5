"""The ladder as data: what it names is there, and every sub-dimension that is scored has its fault."""

from __future__ import annotations

import pytest

from cinereward.operators import OPERATORS, spec_of
from cinereward.profile import load_profile
from cinereward.taxonomy import load as load_taxonomy
from cinereward.testing import FAULTS, SOUND_FAULTS

RUNGS = {**FAULTS, **SOUND_FAULTS}
PROFILE = load_profile("signal")
PROMISED = {f"{name}.{item.name}" for name in OPERATORS for item in spec_of(name).measurements}
# measured, and told in the evidence, but entered in no curve: see docs/design.md, "The ladder"
NOT_EMITTED = {"multi_shot.logic.spatial_continuity"}


@pytest.mark.parametrize("name", RUNGS)
def test_severities_go_one_way(name: str) -> None:
    steps = RUNGS[name].severities
    assert len(steps) == 5
    assert list(steps) in (sorted(set(steps)), sorted(set(steps), reverse=True))


@pytest.mark.parametrize("name", RUNGS)
def test_a_rung_speaks_of_sub_dimensions_that_exist(name: str) -> None:
    rung = RUNGS[name]
    assert rung.lowers
    assert {*rung.lowers, *rung.may_touch} <= set(load_taxonomy().names)
    assert not set(rung.lowers) & set(rung.may_touch)


@pytest.mark.parametrize("name", RUNGS)
def test_the_measurement_that_tells_it_exists(name: str) -> None:
    assert RUNGS[name].names in PROMISED


def test_every_scored_sub_dimension_has_a_fault_of_its_own() -> None:
    lowered = {name for rung in RUNGS.values() for name in rung.lowers}
    assert set(PROFILE.curves) - lowered == set()
    assert lowered - set(PROFILE.curves) == NOT_EMITTED


@pytest.mark.parametrize("name", [name for name in RUNGS if not set(RUNGS[name].lowers) & NOT_EMITTED])
def test_the_measurement_that_tells_it_enters_what_it_must_lower(name: str) -> None:
    rung = RUNGS[name]
    for dimension in rung.lowers:
        assert any(term.measurement for term in PROFILE.curves[dimension])
    entered = {term.measurement for dimension in rung.lowers for term in PROFILE.curves[dimension]}
    assert rung.names in entered
