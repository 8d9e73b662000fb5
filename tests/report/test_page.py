"""The page: what it says, what it must not let in, and that nothing of it lies elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cinereward import report
from cinereward.errors import ClipError
from cinereward.taxonomy import load
from cinereward.types import Clip
from tests.report import faked

SOURCES = ("src", "href", "poster", "data", "action", "srcset", "background")


class Read(HTMLParser):
    """Every tag with its attributes, and all text that is shown."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def render(*clips: Clip, batches: Any = None, reward: Any = None, **given: Any) -> str:
    made = report.render(
        clips,
        [faked.batch(duration=2.0) for _ in clips] if batches is None else batches,
        reward or faked.reward(),
        **given,
    )
    return made.html


@pytest.fixture(scope="module")
def evil(mp4: Path) -> str:
    """Two clips whose names and prompts would like to be run."""
    return render(*(Clip(mp4, prompt=faked.EVIL, clip_id=f"{faked.EVIL}{at}.mp4") for at in range(2)), note=faked.EVIL)


# --- safety ---


def test_nothing_from_outside_becomes_a_tag_or_an_attribute(evil: str, mp4: Path) -> None:
    plain = Read(render(*(Clip(mp4, prompt="p", clip_id=f"{at}.mp4") for at in range(2)), note="n"))
    assert [tag for tag, _ in Read(evil).tags if tag != "wbr"] == [tag for tag, _ in plain.tags if tag != "wbr"]
    assert not [name for _, given in Read(evil).tags for name in given if name.startswith("on")]


def test_what_comes_from_outside_is_shown_as_it_is(evil: str) -> None:
    assert faked.EVIL in Read(evil).text


def test_what_looks_like_a_template_is_not_run(evil: str) -> None:
    assert "{{ 7919 * 7907 }}" in Read(evil).text and str(7919 * 7907) not in evil


def test_reasons_errors_and_findings_are_escaped_too(mp4: Path) -> None:
    from dataclasses import replace

    made = faked.batch(duration=2.0, found=1)
    evil = replace(made.critiques[0][0], finding=faked.EVIL, remedy=faked.EVIL)
    texts = tuple(faked.EVIL for _ in made.dimensions)
    told = replace(made, reasons=(texts,), critiques=((evil,),))
    html = render(
        Clip(mp4), Clip("/nope.mp4"), batches=[told, faked.batch(error=ClipError(faked.EVIL))], reward=faked.reward()
    )
    assert [tag for tag, _ in Read(html).tags].count("script") == 1
    assert not [name for _, given in Read(html).tags for name in given if name.startswith("on")]


def test_nothing_lies_elsewhere(evil: str) -> None:
    found = [given[name] for _, given in Read(evil).tags for name in SOURCES if name in given]
    assert found and not [uri[:60] for uri in found if not uri.startswith(("data:image/", "data:video/", "#"))]


def test_the_style_fetches_nothing(evil: str) -> None:
    style = evil.partition("<style>")[2].partition("</style>")[0]
    assert style and not re.search(r"url\(|@import|image-set|src\(", style)


@pytest.mark.parametrize("tag", ["style", "script"])
def test_the_policy_allows_the_page_s_own_code_and_no_other(evil: str, tag: str) -> None:
    policy = next(given["content"] for name, given in Read(evil).tags if given.get("http-equiv"))
    inside = re.findall(rf"<{tag}>(.*?)</{tag}>", evil, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
    assert len(inside) == 1 and f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_no_element_has_a_style_of_its_own(evil: str) -> None:
    assert not [tag for tag, given in Read(evil).tags if "style" in given]


def test_characters_that_act_are_written_out(mp4: Path) -> None:
    html = render(Clip(mp4, prompt="a\u202eb\x00c\nd", clip_id="e\x1b[31m.mp4"))
    assert "a\\u202eb\\x00c\nd" in html and "e\\x1b[31m" in html and "\x1b" not in html and "\u202e" not in html


def test_a_name_that_is_not_utf_8_can_be_written(mp4: Path, tmp_path: Path) -> None:
    report.write(tmp_path / "out.html", [Clip(mp4, clip_id="a\udc80.mp4")], faked.batch(duration=2.0), faked.reward())
    assert "a\\udc80." in (tmp_path / "out.html").read_text(encoding="utf-8")


# --- what it says ---


def test_the_same_input_gives_the_same_bytes(mp4: Path) -> None:
    assert render(Clip(mp4)) == render(Clip(mp4))


def test_one_batch_or_one_for_each_clip_give_the_same(mp4: Path) -> None:
    from cinereward import RewardModel

    reward = RewardModel.from_profile("signal", workers=1)
    clips = [Clip(mp4, prompt="a lake"), Clip(mp4, prompt="a lake, then cut to a hill")]
    whole = report.render(clips, reward(clips), reward)
    assert whole == report.render(iter(clips), list(reward.stream(clips)), reward)
    assert "profile signal" in Read(whole.html).text


@pytest.mark.parametrize(
    ("validated", "text"),
    [(None, "not yet validated against human ratings"), ("rho .6 on 500 clips", "rho .6 on 500 clips")],
)
def test_it_says_whether_the_profile_is_validated(mp4: Path, validated: str | None, text: str) -> None:
    assert text in Read(render(Clip(mp4), reward=faked.reward(validated=validated))).text


def test_it_says_profile_version_and_how_many(mp4: Path) -> None:
    text = Read(render(Clip(mp4), Clip(mp4))).text
    assert "2 clips" in text and "profile planted" in text and "cinereward=0 profile=planted" in text


def test_it_says_prompt_and_expectations(mp4: Path) -> None:
    text = Read(render(Clip(mp4, prompt="雨夜，霓虹灯", expects=frozenset({"sound", "cuts"})))).text
    assert "雨夜，霓虹灯" in text and "cuts, sound" in text


def test_every_scored_sub_dimension_has_a_bar_with_its_value(mp4: Path) -> None:
    made = faked.batch(duration=2.0)
    labels = [given.get("aria-label", "") for tag, given in Read(render(Clip(mp4), batches=made)).tags if tag == "svg"]
    for name, value, std, scored in zip(made.dimensions, made.values[0], made.std[0], made.mask[0], strict=True):
        told = f"{load().titles[name]}: {value:.2f} of 1, give or take {std:.2f}"
        assert (told in labels) == bool(scored)


def test_what_has_no_number_is_folded_away_with_its_reason(mp4: Path) -> None:
    made = faked.batch(duration=2.0)
    text = Read(render(Clip(mp4), batches=made)).text
    assert f"Not asked for by the prompt ({int((made.status == 1).sum())})" in text
    assert f"Not measured by this profile ({int((made.status == 2).sum())})" in text
    assert "the prompt does not ask for sound" in text and "no evidence in profile planted" in text


def test_what_failed_is_shown_in_its_place(mp4: Path) -> None:
    made = faked.batch(duration=2.0, failed=["cinematography.lens.focus"])
    text = Read(render(Clip(mp4), batches=made)).text
    assert "Focus failed: first failed: there is no light" in text and "no scalar: something failed" in text


@pytest.mark.parametrize(("scored", "there"), [(45, True), (1, False)])
def test_the_radar_is_there_when_five_aspects_are_scored(mp4: Path, scored: int, there: bool) -> None:
    html = render(Clip(mp4), batches=faked.batch(duration=2.0, scored=scored))
    assert ("Radar of plain.mp4 over 7 aspects" in html) == there == ('class="radar"' in html)


def test_every_finding_says_what_when_how_bad_and_what_to_change(mp4: Path) -> None:
    made = faked.batch(duration=2.0, found=4)
    text = Read(render(Clip(mp4), batches=made)).text
    assert "4 findings, worst first" in text and "throughout" in text and "shot 1, 0:00.1–0:00.4" in text
    assert "severe 1.00" in text and "clear 0.40" in text and "Plant it elsewhere" in text
    assert "Mended by: the prompt" in text and "Mended by: another seed" in text


def test_every_finding_has_its_keyframe_and_its_moment(mp4: Path) -> None:
    tags = Read(render(Clip(mp4), batches=faked.batch(duration=2.0, found=5))).tags
    moments = [float(given["data-seek"]) for tag, given in tags if given.get("class") == "keyframe"]
    planted = [2.0 * 2 * at / faked.MEASURES for at in range(5)]
    assert moments == pytest.approx(planted, abs=0.11)


def test_a_clip_without_findings_says_so(mp4: Path) -> None:
    assert "Nothing notable was found" in Read(render(Clip(mp4), batches=faked.batch(duration=2.0, found=0))).text


def test_the_tracks_of_findings_come_first_and_the_others_unfold(mp4: Path) -> None:
    html = render(Clip(mp4), batches=faked.batch(duration=2.0, found=3))
    before, _, after = html.partition('<details class="more">')
    names = re.compile(r'<span class="track-name">([^<]*)</span>')
    assert names.findall(before) == ["first: m0", "first: m2", "first: m4"]
    assert len(names.findall(after)) == 47 and "47 more measurements over time" in Read(html).text


def test_shots_are_drawn_and_told(mp4: Path) -> None:
    html = render(Clip(mp4), batches=faked.batch(duration=2.0, cuts=(0.5, 1.25)))
    assert "3 shots, cut at 0:00.5, 0:01.2" in html


def test_clips_stand_side_by_side_in_the_order_given(mp4: Path) -> None:
    clips = [Clip(mp4, clip_id=name) for name in ("zebra", "ant", "mole")]
    html = render(*clips, batches=[faked.batch(duration=2.0, seed=seed) for seed in range(3)])
    for table in ("overview", "compare"):
        part = html.partition(f'<table class="{table}">')[2].partition("</table>")[0]
        assert re.findall(r"<bdi>(\w+)</bdi>", part) == ["zebra", "ant", "mole"]
        assert re.findall(r'href="#(clip-\d)"', part) == ["clip-1", "clip-2", "clip-3"]


def test_the_tables_hold_the_batch_s_values(mp4: Path) -> None:
    batches = [faked.batch(duration=2.0, seed=seed) for seed in range(2)]
    table = (
        render(Clip(mp4), Clip(mp4), batches=batches).partition('<table class="compare">')[2].partition("</table>")[0]
    )
    row = table.partition(f'<th scope="row">{load().titles["cinematography.lens.focus"]}</th>')[2].partition("</tr>")[0]
    at = load().names.index("cinematography.lens.focus")
    assert re.findall(r">([\d.]+)<", row) == [f"{made.values[0, at]:.2f}" for made in batches]


def test_one_clip_is_not_compared(mp4: Path) -> None:
    assert "<table" not in render(Clip(mp4))


def test_every_link_inside_the_page_leads_somewhere(mp4: Path) -> None:
    clips = [Clip(mp4), Clip(mp4), Clip("/nope.mp4")]
    batches = [*(faked.batch(duration=2.0) for _ in range(2)), faked.batch(error=ClipError("gone"))]
    tags = Read(render(*clips, batches=batches)).tags
    ids = [given["id"] for _, given in tags if "id" in given]
    links = {given["href"] for tag, given in tags if tag == "a"}
    assert links <= {f"#{name}" for name in ids} and len(set(ids)) == len(ids)


def test_a_clip_that_failed_says_why(mp4: Path) -> None:
    failed = faked.batch(error=ClipError("the file breaks off after 3 frames"))
    text = Read(render(Clip(mp4), Clip("/nope.mp4"), batches=[faked.batch(duration=2.0), failed])).text
    assert "could not be scored: the file breaks off after 3 frames" in text


def test_a_clip_that_is_gone_keeps_its_scores_and_is_named() -> None:
    made = report.render([Clip("/gone.mp4")], faked.batch(duration=2.0), faked.reward())
    assert "gone.mp4: keyframes are missing" in made.notes[0] and made.notes[0] in Read(made.html).text
    assert "12 findings" in made.html


def test_a_note_stands_before_everything_else(mp4: Path) -> None:
    html = render(Clip(mp4), note="stopped: 1 of 2 clips were scored")
    assert 0 < html.find("stopped: 1 of 2 clips were scored") < html.index("<main>")


def test_frames_of_a_tensor_can_be_reported() -> None:
    html = render(Clip(np.zeros((48, 32, 32, 3), np.uint8), fps=24, layout="THWC"), batches=faked.batch(duration=2.0))
    assert "<video" not in html and html.count("data:image/jpeg") > 12


def test_many_clips_have_fewer_pictures_and_it_is_said(mp4: Path) -> None:
    few, many = (
        report.render([Clip(mp4)] * count, [faked.batch(duration=2.0)] * count, faked.reward()) for count in (2, 48)
    )
    assert few.notes == () and "only 10 keyframes each" in many.notes[0]
    assert many.html.count('class="keyframe"') == 48 * 10 and few.html.count('class="keyframe"') == 2 * 12


# --- how it is called ---


def test_a_report_of_nothing_can_be_made() -> None:
    assert "0 clips" in render(batches=[], note="stopped: 0 of 3 clips were scored")


def test_a_folded_batch_is_refused(mp4: Path) -> None:
    with pytest.raises(ValueError, match="folded to aspect"):
        render(Clip(mp4), batches=faked.batch().fold("aspect"))


@pytest.mark.parametrize(
    ("clips", "results", "told"), [(1, 2, "1 clips for 2 results"), (2, 1, "more clips than the 1")]
)
def test_clips_and_results_must_agree(mp4: Path, clips: int, results: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        render(*[Clip(mp4)] * clips, batches=[faked.batch(duration=2.0)] * results)


def test_it_is_written_as_it_was_made(mp4: Path, tmp_path: Path) -> None:
    made = report.write(tmp_path / "out.html", [Clip(mp4)], faked.batch(duration=2.0), faked.reward())
    assert (tmp_path / "out.html").read_text(encoding="utf-8") == made.html
    assert [path.name for path in tmp_path.iterdir()] == ["out.html"]


def test_it_begins_as_html_does(mp4: Path) -> None:
    html = render(Clip(mp4))
    assert html.startswith("<!doctype html>") and '<html lang="en">' in html and "width=device-width" in html
