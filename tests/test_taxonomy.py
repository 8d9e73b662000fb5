"""The taxonomy: the shipped one keeps the contract, a studio's own is checked and read."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cinereward.errors import ConfigError
from cinereward.taxonomy import COUNTS, MAX_BUDGET, NEEDS, Group, SubDimension, Taxonomy, budget, check_counts, load

# The table of docs/design.md, section "Taxonomy", row for row.
DESIGN = """
pre_production | visual_concept_design | character: identifiability, costume_rationality; scene: environment_plausibility, genre_distinctiveness
production | acting | consistency: face_identity, attribute; action: action_tension, action_emotion_synergy, interaction_plausibility; expression: accuracy, facial_tension, expression_diversity, continuity
production | cinematography | composition: shot_size_rationality, subject_prominence, spatial_layering; lens: depth_of_field, focal_length, focus, exposure; pacing: movement_rationality, movement_pacing
production | aesthetics | visual_quality: rendering_quality, physics, temporal_consistency; chromaticity: harmony, emotive_power; materiality: material_identifiability, stylistic_consistency; lighting: lighting_logic, volumetric_sculpting
production | affectivity | grounding: tonal_identifiability, visual_emotional_synergy; progression: transition_continuity, intensity_layering
post_production | multi_shot | logic: scene_consistency, narrative_continuity, spatial_continuity; rhythm: shot_duration_rationality, rhythmic_layering
post_production | sound_design | vocal: acoustic_quality, lip_sync, narrative_sound_design; soundscape: ambient_sound_fidelity, musical_score_alignment
"""  # noqa: E501  one line a row, as in the contract


def design_rows() -> list[tuple[str, str]]:
    """List (stage, full name) of the contract's sub-dimensions, in its order."""
    rows = []
    for line in DESIGN.strip().splitlines():
        stage, aspect, dimensions = line.split(" | ")
        for dimension in dimensions.split("; "):
            name, subs = dimension.split(": ")
            rows += [(stage, f"{aspect}.{name}.{sub}") for sub in subs.split(", ")]
    return rows


QUESTION = {
    "id": "calm",
    "text": "How calm is the sea?",
    "anchors": {1: "A storm.", 3: "Waves.", 5: "A mirror."},
    "needs": [],
    "clause": "calmness",
}
SUB_DIMENSION = {"name": "water", "title": "Water", "meaning": "The sea looks calm.", "questions": [QUESTION]}
DIMENSION = {"name": "sea", "title": "Sea", "sub_dimensions": [SUB_DIMENSION]}
ASPECT = {"name": "nature", "title": "Nature", "dimensions": [DIMENSION]}
STUDIO = {"version": 1, "stages": [{"name": "shoot", "title": "Shoot", "aspects": [ASPECT]}]}


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return load()


@pytest.fixture
def studio(tmp_path: Path) -> Callable[..., Taxonomy]:
    """Write the small studio file, edited by a function, and load it."""

    def write_and_load(edit: Callable[[Any], object] = lambda raw: None, *, width: int = 80) -> Taxonomy:
        raw = copy.deepcopy(STUDIO)
        edit(raw)
        path = tmp_path / "studio.yaml"
        path.write_text(yaml.safe_dump(raw, width=width), encoding="utf-8")
        return load(path)

    return write_and_load


def sub_dimension(raw: Any) -> Any:
    """Return the studio file's only sub-dimension."""
    return raw["stages"][0]["aspects"][0]["dimensions"][0]["sub_dimensions"][0]


def question(raw: Any) -> Any:
    """Return the studio file's first question."""
    return sub_dimension(raw)["questions"][0]


# --- the shipped taxonomy ---


def test_counts_are_the_papers(taxonomy: Taxonomy) -> None:
    counts = [len(getattr(taxonomy, part)) for part in ("stages", "aspects", "dimensions", "sub_dimensions")]
    assert (*counts, len(taxonomy.questions)) == (3, 7, 18, 45, 196)


def test_names_and_order_are_the_contracts(taxonomy: Taxonomy) -> None:
    assert [(sub.stage, sub.name) for sub in taxonomy.sub_dimensions] == design_rows()


@pytest.mark.parametrize("part", ["name", "text"])
def test_no_two_questions_share(taxonomy: Taxonomy, part: str) -> None:
    assert len({getattr(question, part).casefold() for question in taxonomy.questions}) == len(taxonomy.questions)


def test_each_question_has_a_clause_of_its_own(taxonomy: Taxonomy) -> None:
    for sub in taxonomy.sub_dimensions:
        assert len({question.clause for question in sub.questions}) == len(sub.questions), sub.name


def test_every_sub_dimension_asks_three_to_six_questions(taxonomy: Taxonomy) -> None:
    assert {sub.name: len(sub.questions) for sub in taxonomy.sub_dimensions if not 3 <= len(sub.questions) <= 6} == {}


def test_questions_keep_the_budget(taxonomy: Taxonomy) -> None:
    assert max(budget(question.text) for question in taxonomy.questions) <= MAX_BUDGET


def test_questions_are_closed_questions_of_degree(taxonomy: Taxonomy) -> None:
    assert [q.name for q in taxonomy.questions if not (q.text.startswith("How ") and q.text.endswith("?"))] == []


def test_anchors_are_short_and_differ(taxonomy: Taxonomy) -> None:
    for question in taxonomy.questions:
        assert max(map(budget, question.anchors.values())) <= 20, question.name
        assert len(set(question.anchors.values())) == 3, question.name


def test_needs_are_known(taxonomy: Taxonomy) -> None:
    assert frozenset().union(*(question.needs for question in taxonomy.questions)) <= set(NEEDS)


def test_every_multi_shot_question_needs_cuts(taxonomy: Taxonomy) -> None:
    assert all("cuts" in q.needs for sub in taxonomy["multi_shot"].sub_dimensions for q in sub.questions)


def test_every_sound_question_needs_sound(taxonomy: Taxonomy) -> None:
    assert all("sound" in q.needs for sub in taxonomy["sound_design"].sub_dimensions for q in sub.questions)


def test_every_acting_question_needs_people(taxonomy: Taxonomy) -> None:
    assert all("people" in q.needs for sub in taxonomy["acting"].sub_dimensions for q in sub.questions)


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("sound_design.vocal.lip_sync", {"sound", "speech", "face", "people"}),
        ("sound_design.vocal.acoustic_quality", {"sound", "speech"}),
        ("sound_design.soundscape.musical_score_alignment", {"sound"}),
        ("acting.expression.accuracy", {"face", "people"}),
        ("visual_concept_design.character.identifiability", {"people"}),
        ("aesthetics.materiality.material_identifiability", set()),
    ],
)
def test_needs_of_a_sub_dimension_are_those_all_its_questions_share(
    taxonomy: Taxonomy, name: str, needs: set[str]
) -> None:
    node = taxonomy[name]
    assert isinstance(node, SubDimension)
    assert node.needs == needs


def test_only_movement_pacing_is_inferred(taxonomy: Taxonomy) -> None:
    inferred = [sub.name for sub in taxonomy.sub_dimensions if sub.inferred]
    assert inferred == ["cinematography.pacing.movement_pacing"]


def test_shipped_taxonomy_is_read_once() -> None:
    assert load() is load()


def test_survives_a_trip_to_another_process(taxonomy: Taxonomy) -> None:
    assert pickle.loads(pickle.dumps(taxonomy)) == taxonomy


# --- lookup and folding ---


@pytest.mark.parametrize(
    ("name", "title", "level", "size"),
    [
        ("production", "Production", "stage", 31),
        ("acting", "Acting", "aspect", 9),
        ("acting.expression", "Expression", "dimension", 4),
        ("acting.expression.continuity", "Continuity", "sub_dimension", 1),
    ],
)
def test_lookup_at_every_level(taxonomy: Taxonomy, name: str, title: str, level: str, size: int) -> None:
    node = taxonomy[name]
    assert (node.name, node.title, node.level, len(node.sub_dimensions)) == (name, title, level, size)


def test_group_holds_what_is_under_it(taxonomy: Taxonomy) -> None:
    node = taxonomy["multi_shot.rhythm"]
    assert isinstance(node, Group)
    assert [sub.title for sub in node.sub_dimensions] == ["Shot-duration rationality", "Rhythmic layering"]


def test_unknown_name_suggests_close_ones(taxonomy: Taxonomy) -> None:
    with pytest.raises(ConfigError, match=r"acting\.expression\.continuity"):
        taxonomy["acting.expresion.continuity"]


def test_name_like_no_other_is_answered_with_the_aspects(taxonomy: Taxonomy) -> None:
    with pytest.raises(ConfigError, match="'sound_design'"):
        taxonomy["zzz"]


@pytest.mark.parametrize("level", ["stage", "aspect", "dimension"])
def test_fold_index_sends_each_sub_dimension_to_its_own_group(taxonomy: Taxonomy, level: str) -> None:
    names, index = taxonomy.fold_index(level)
    assert [names[i] for i in index] == [getattr(sub, level) for sub in taxonomy.sub_dimensions]


def test_fold_to_sub_dimensions_changes_nothing(taxonomy: Taxonomy) -> None:
    assert taxonomy.fold_index("sub_dimension") == (taxonomy.names, tuple(range(45)))


def test_unknown_level_lists_the_levels(taxonomy: Taxonomy) -> None:
    with pytest.raises(ConfigError, match="'stage', 'aspect', 'dimension', 'sub_dimension'"):
        taxonomy.fold_index("shot")


# --- a studio's own file ---


def test_own_file_may_have_other_counts(studio: Callable[..., Taxonomy]) -> None:
    own = studio()
    assert (own.stages, own.names) == (("shoot",), ("nature.sea.water",))
    assert own.questions[0].name == "nature.sea.water.calm"


def test_other_counts_are_not_the_papers(studio: Callable[..., Taxonomy]) -> None:
    with pytest.raises(ConfigError, match=str(COUNTS["questions"])):
        check_counts(studio())


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda raw: question(raw).update(qeustion="?"), "unknown keys 'qeustion'; valid: 'id', 'text', 'anchors'"),
        (lambda raw: raw.update(name="mine"), "unknown keys 'name'; valid: 'version', 'stages'"),
        (lambda raw: raw.update(version=2), "version 2; this release reads version 1"),
        (lambda raw: question(raw).pop("needs"), "needs must be a list"),
        (lambda raw: sub_dimension(raw).update(questions=[]), "questions must be a list and not empty"),
        (lambda raw: sub_dimension(raw).update(questions=["How?"]), "expected a question with 'id'"),
        (lambda raw: question(raw).update(text="How " + "very " * 40 + "?"), "42 words and punctuation marks"),
        (lambda raw: question(raw).update(needs=["smell"]), "unknown needs 'smell'; valid: 'sound', 'speech'"),
        (lambda raw: question(raw).update(needs=["speech"]), "needs 'speech', so it also needs 'sound'"),
        (lambda raw: question(raw).update(needs=["face"]), "needs 'face', so it also needs 'people'"),
        (lambda raw: question(raw)["anchors"].pop(3), "exactly 1, 3 and 5"),
        (lambda raw: question(raw)["anchors"].update({3: True}), "a text for exactly 1, 3 and 5"),
        (lambda raw: question(raw).update(id="Calm"), "'Calm' must be in lower snake case"),
        (lambda raw: sub_dimension(raw)["questions"].append(QUESTION), "water.calm: this name is taken"),
        (lambda raw: raw["stages"][0].update(name="nature"), "nature: this name is taken"),
    ],
)
def test_a_broken_file_is_refused_with_the_rule(
    studio: Callable[..., Taxonomy], edit: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(ConfigError, match=f"studio.yaml: .*{message}".replace("?", r"\?")):
        studio(edit)


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("stages: [", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load(tmp_path / "absent.yaml")


def test_hash_changes_with_one_word(studio: Callable[..., Taxonomy]) -> None:
    assert studio(lambda raw: question(raw).update(text="How calm is the lake?")).hash != studio().hash


def test_hash_ignores_the_layout_of_the_file(studio: Callable[..., Taxonomy]) -> None:
    assert studio(width=20).hash == studio(width=200).hash


# --- the budget ---


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("How steady?", 3), ("a close-up", 4), ("the camera's path", 5), ("镜头稳吗", 4)],
)
def test_budget_counts_words_and_marks(text: str, count: int) -> None:
    assert budget(text) == count


@given(st.text(), st.text())
def test_budget_of_joined_texts_is_the_sum(left: str, right: str) -> None:
    assert budget(f"{left} {right}") == budget(left) + budget(right)


@given(st.text())
def test_budget_lies_between_the_pieces_and_the_characters(text: str) -> None:
    assert len(text.split()) <= budget(text) <= len(text)
