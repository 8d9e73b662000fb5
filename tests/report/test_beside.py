"""What stands beside the scores is told where there is any, in its own place, and cannot act on a reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cinereward.report.beside import answers, remarks, right
from cinereward.taxonomy import load
from cinereward.types import Clip, Evidence, Status, Verdict
from tests.report import faked
from tests.report.test_page import Read, render

FOCUS = "cinematography.lens.focus"
PLANTED = faked.beside(faked.batch(scored=45, duration=2.0))
SCRIPT = "<script>document.documentElement.dataset.evil='1'</script>"


# --- what is told ---


def test_prompt_following_has_its_bars_and_no_part_in_the_scores(mp4: Path) -> None:
    html = render(Clip(mp4), batches=PLANTED)
    part = html.partition('<section class="right"')[2].partition("</section>")[0]
    for title, value in [("Subject", 0.2), ("Count", 0.4), ("Colour", 0.6), ("Spatial relation", 0.8), ("Action", 1.0)]:
        assert f'aria-label="{title}: {value:.2f} of 1, give or take {value / 10:.2f}"' in part
    assert "Mean of what was asked for 0.60" in Read(part).text and "no part of them" in Read(part).text
    assert html.replace(part, "").count("Spatial relation") == 0


def test_a_value_of_prompt_following_says_why() -> None:
    found = right(PLANTED, 0)
    assert found is not None
    assert found.scores[0].reasons == ("objects.subject 0.3 share -> 0.50", "planted")
    assert [group.titles for group in found.gated] == [("Camera move",)]
    assert [title for group in found.unavailable for title in group.titles] == ["Style", "Reference"]


def test_where_prompt_following_failed_there_is_no_mean(mp4: Path) -> None:
    html = render(Clip(mp4), batches=faked.beside(faked.batch(duration=2.0), failed=["count"]))
    text = Read(html.partition('<section class="right"')[2].partition("</section>")[0]).text
    assert "Mean of what was asked for failed" in text and "Count failed: objects.count" in text


def test_answers_stand_under_their_sub_dimension_in_their_order() -> None:
    found = answers(PLANTED, 0, load())
    questions = {sub.name: [question.text for question in sub.questions] for sub in load().sub_dimensions}
    assert {name: [one.score.title for one in some] for name, some in found.items()} == questions


def test_answers_are_folded_away_with_what_the_judge_wrote(mp4: Path) -> None:
    html = render(Clip(mp4), batches=PLANTED)
    entry = html.partition(f">{load().titles[FOCUS]}</span><svg")[2]
    part = entry.partition('<details class="answers">')[2].partition("</details>")[0]
    text = Read(part).text
    assert 'class="score"' not in entry.partition('<details class="answers">')[0]
    count = len(answers(PLANTED, 0, load())[FOCUS])
    assert f"What the judge answered ({count})" in text and text.count("rationale of planted") == count - 2
    assert "On reflection: reflection of planted" in text and "0.91 of its probability" in text
    assert "failed why not: planted" in text and "no answer why not: planted" in text


def test_a_spread_that_is_not_known_is_not_told(mp4: Path) -> None:
    html = render(Clip(mp4), batches=PLANTED)
    assert ": 0.35 of 1, give or take 0.12" in html and ': 0.35 of 1"' in html
    assert "take nan" not in html and "±nan" not in html


def test_an_answer_to_a_question_that_the_taxonomy_lacks_goes_by_its_name() -> None:
    odd = Verdict(question=f"{FOCUS}.odd", score=0.5)
    found = answers(replace(PLANTED, verdicts=({odd.question: odd},)), 0, load())
    assert [one.score.title for one in found[FOCUS]] == [odd.question]


def test_what_befell_the_measuring_stands_near_the_version(mp4: Path) -> None:
    reward = faked.reward(missing={"pose": "its weights are not here; run cinereward doctor"})
    head = render(Clip(mp4), batches=PLANTED, reward=reward).partition("<main>")[0]
    assert '<details class="befell" open>' in head
    text = Read(head).text
    assert "1 operator left out, 1 note on the measuring" in text
    assert "pose is left out: its weights are not here; run cinereward doctor" in text
    assert text.endswith("first: a note: planted")


def test_of_several_clips_a_note_names_its_own_once(mp4: Path) -> None:
    clips = [Clip(mp4, clip_id=name) for name in ("ant", "bee", "cat")]
    head = render(*clips, batches=[PLANTED, faked.batch(duration=2.0), PLANTED]).partition("<main>")[0]
    assert Read(head).text.endswith("1 note on the measuring first: a note: planted (on ant, cat)")


def test_a_note_that_is_given_twice_is_told_once() -> None:
    twice = replace(PLANTED, evidence=({"x": Evidence(operator="x", measurements={}, notes=("n", "n"))},))
    assert remarks([(twice, 0), (twice, 0)], ["a", "b"]) == {"x: n": ("a", "b")}


def test_many_notes_are_folded(mp4: Path) -> None:
    reward = faked.reward(missing={f"op{at}": "gone" for at in range(6)})
    assert '<details class="befell"><summary>6 operators left out</summary>' in render(Clip(mp4), reward=reward)


# --- what must not be ---


def test_a_profile_without_them_tells_nothing_of_them(mp4: Path) -> None:
    main = render(Clip(mp4)).partition("</head>")[2].partition("<script>")[0]
    assert not [word for word in ("As asked", 'class="answers"', 'class="right"', 'class="befell"') if word in main]
    assert right(faked.batch(), 0) is None and answers(faked.batch(), 0, load()) == {}


@pytest.mark.parametrize("text", [SCRIPT, faked.EVIL])
def test_nothing_that_a_judge_or_an_operator_wrote_becomes_a_tag(mp4: Path, text: str) -> None:
    plain, evil = (
        render(
            Clip(mp4),
            batches=faked.beside(faked.batch(duration=2.0), text=said, failed=["count"]),
            reward=faked.reward(missing={said: said}),
        )
        for said in ("x", text)
    )
    assert [tag for tag, _ in Read(evil).tags] == [tag for tag, _ in Read(plain).tags]
    assert not [name for _, given in Read(evil).tags for name in given if name.startswith("on")]
    for shown in (f"Why: rationale of {text}", f"On reflection: reflection of {text}", f"first: a note: {text}"):
        assert shown in Read(evil).text
    assert SCRIPT not in evil and f"{text} is left out: {text}" in Read(evil).text


def test_a_clip_that_failed_tells_none_of_it(mp4: Path) -> None:
    from cinereward.errors import ClipError

    failed = faked.batch(error=ClipError("gone"))
    html = render(Clip(mp4), batches=replace(failed, right=PLANTED.right, verdicts=({},)))
    assert 'class="right"' not in html and int((failed.status == Status.FAILED).sum()) == len(failed.dimensions)
