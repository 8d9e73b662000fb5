"""The report in a headless Chromium: no error, nothing fetched, findings seen, clips sought.

Where there is no Chromium these are skipped, but for CINEREWARD_BROWSER_REQUIRED=1, which makes them fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cinereward import report
from cinereward.errors import ClipError
from cinereward.types import Clip
from tests.report import browser, faked
from tests.report.conftest import FPS


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Page]:
    program = browser.find()
    if program is None:
        told = f"no browser; install one of {', '.join(browser.NAMES)}"
        if os.environ.get("CINEREWARD_BROWSER_REQUIRED"):
            pytest.fail(told)
        pytest.skip(told)
    with browser.opened(program, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def written(webm: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of three clips with names and prompts that would like to run, one of which failed; its address."""
    out = tmp_path_factory.mktemp("report") / "out.html"
    clips = [Clip(webm, prompt=faked.EVIL, clip_id=f"{faked.EVIL}{at}") for at in range(2)]
    batches = [faked.batch(duration=2.0, seed=seed, cuts=(0.5,)) for seed in range(2)]
    failed = faked.batch(error=ClipError(faked.EVIL))
    report.write(out, [*clips, Clip("/nope.mp4")], [*batches, failed], faked.reward())
    return out.as_uri()


@pytest.fixture
def shown(page: browser.Page, written: str) -> browser.Page:
    """The report, just opened, in a window of 1280 x 900."""
    page.resize(1280, 900)
    page.media("")
    page.open("about:blank")
    page.errors.clear()
    page.requests.clear()
    page.open(written)
    page.wait("document.documentElement.dataset.ready === 'true'")
    return page


def inside(page: browser.Page, selector: str) -> bool:
    """Whether an element is there and takes room on the screen."""
    return bool(
        page.ask(
            f"(({{width, height}}) => width * height > 0)(document.querySelector({selector!r}).getBoundingClientRect())"
        )
    )


def test_opening_it_raises_no_error(shown: browser.Page) -> None:
    assert shown.errors == [] and shown.ask("document.documentElement.dataset.error") is None


def test_nothing_from_outside_was_run(shown: browser.Page) -> None:
    assert shown.ask("document.documentElement.dataset.evil") is None
    assert shown.ask("document.querySelectorAll('[onerror], script:not(:last-of-type)').length") == 0


def test_nothing_is_fetched(shown: browser.Page, written: str) -> None:
    shown.ask("document.querySelectorAll('video').forEach((video) => { video.preload = 'auto'; })")
    shown.wait("[...document.querySelectorAll('video')].every((video) => video.readyState >= 1)")
    assert [url for url in shown.requests if not url.startswith("data:")] == [written]


def test_the_page_s_own_policy_stops_what_is_put_in_later(shown: browser.Page) -> None:
    shown.ask("document.body.insertAdjacentHTML('beforeend', `<img src=x onerror=\"document.title='run'\">`)")
    shown.wait("true")
    assert shown.ask("document.title") != "run"


def test_findings_are_seen(shown: browser.Page) -> None:
    assert shown.ask("document.querySelectorAll('.finding').length") == 24
    assert all(inside(shown, f"#f-{clip}-{number}") for clip in (1, 2) for number in (1, 12))
    assert "The planted fault number 12 shows" in shown.ask("document.querySelector('#f-1-12').innerText")


def test_every_picture_is_one(shown: browser.Page) -> None:
    shown.ask("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    shown.wait("[...document.images].every((image) => image.complete)")
    assert shown.ask("[...document.images].filter((image) => image.naturalWidth < 100).length") == 0


def test_a_click_on_a_keyframe_shows_its_moment_in_the_clip(shown: browser.Page) -> None:
    wanted = float(shown.ask("document.querySelector('#f-1-6 .keyframe').dataset.seek"))
    shown.click("#f-1-6 .keyframe")
    shown.wait("document.querySelector('#clip-1').dataset.at")
    assert shown.ask("document.querySelector('#clip-1 video').currentTime") == pytest.approx(wanted, abs=0.5 / FPS)


def test_a_player_out_of_sight_comes_along_and_can_be_sent_back(shown: browser.Page) -> None:
    shown.click("#f-1-12 .keyframe")
    shown.wait("document.querySelector('#clip-1 .viewer').classList.contains('floating')")
    assert inside(shown, "#clip-1 .dock")
    shown.ask("document.querySelector('#clip-1 .dock').click()")
    assert not shown.ask("document.querySelector('#clip-1 .viewer').classList.contains('floating')")


def test_a_click_on_the_timeline_goes_there(shown: browser.Page) -> None:
    shown.click("#clip-2 .axis", across=0.75)
    shown.wait("document.querySelector('#clip-2').dataset.at")
    assert shown.ask("document.querySelector('#clip-2 video').currentTime") == pytest.approx(1.5, abs=0.01)
    assert shown.ask("document.querySelector('#clip-2 .playhead').style.left") == "75%"


def test_a_finding_on_the_timeline_leads_to_its_card_and_its_moment(shown: browser.Page) -> None:
    shown.click("#clip-2 .marks li:nth-child(3) a")
    shown.wait("document.querySelector('#clip-2').dataset.at")
    assert shown.ask("location.hash") == "#f-2-3"


def test_a_link_to_a_finding_shows_its_moment(shown: browser.Page, written: str) -> None:
    shown.open("about:blank")
    shown.open(f"{written}#f-2-5")
    wanted = float(shown.ask("document.querySelector('#f-2-5 .keyframe').dataset.seek"))
    assert float(shown.wait("document.querySelector('#clip-2').dataset.at")) == pytest.approx(wanted, abs=0.5 / FPS)


@pytest.mark.parametrize("width", [320, 390, 700, 1280, 2400])
def test_the_page_is_never_wider_than_the_screen(shown: browser.Page, width: int) -> None:
    shown.resize(width, 844, mobile=width < 701)
    assert shown.ask("document.documentElement.scrollWidth") <= width


def test_on_a_phone_there_is_one_column(shown: browser.Page) -> None:
    shown.resize(390, 844, mobile=True)
    for name in ("stage", "cards", "stages"):
        assert " " not in shown.ask(f"getComputedStyle(document.querySelector('.{name}')).gridTemplateColumns")


def test_the_first_column_of_a_table_stays_when_it_is_moved(shown: browser.Page) -> None:
    shown.resize(390, 844, mobile=True)
    place = "document.querySelector('.compare tbody th').getBoundingClientRect().left"
    before = shown.ask(place)
    shown.ask("document.querySelector('.compare').parentElement.scrollLeft = 120")
    assert shown.ask("document.querySelector('.compare').parentElement.scrollLeft") > 0
    assert shown.ask(place) == pytest.approx(before, abs=1)


CONTRAST = """(() => {
  const paint = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = (colour) => {
    paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map((x) => x / 255)
      .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/rgba\\(.*, 0\\)|transparent/.test(colour)) return colour;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim())) continue;
    if (node.closest('script, title, .floating, .time, .dock, .hidden, .skip')) continue;
    const style = getComputedStyle(node);
    const svg = node instanceof SVGElement;
    const [a, b] = [light(svg ? style.fill : style.color), light(ground(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${node.tagName}.${node.getAttribute('class')}: ${node.innerHTML}`);
  }
  return [...new Set(low)].slice(0, 5);
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground_as_wcag_asks(shown: browser.Page, scheme: str) -> None:
    shown.media("screen", prefers_color_scheme=scheme)
    assert shown.ask(CONTRAST) == []


def test_light_and_dark_differ(shown: browser.Page) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        shown.media("screen", prefers_color_scheme=scheme)
        grounds.append(shown.ask("getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_in_print_there_is_no_player_and_no_card_is_torn(shown: browser.Page) -> None:
    shown.media("print")
    assert not inside(shown, "#clip-1 video") and inside(shown, "#f-1-12")
    assert shown.ask("getComputedStyle(document.querySelector('.finding')).breakInside") == "avoid"


def test_it_can_be_printed(shown: browser.Page, tmp_path: Path) -> None:
    shown.print(tmp_path / "out.pdf")
    assert (tmp_path / "out.pdf").read_bytes().startswith(b"%PDF")


def test_all_that_can_be_clicked_can_be_reached_by_keyboard(shown: browser.Page) -> None:
    assert shown.ask("[...document.querySelectorAll('[data-seek]')].every((node) => node.tabIndex === 0)")
    assert shown.ask("[...document.querySelectorAll('.scroll')].every((node) => node.tabIndex === 0)")


def test_every_drawing_says_what_it_shows(shown: browser.Page) -> None:
    assert shown.ask("document.querySelectorAll(\"svg:not([aria-label]):not([aria-hidden='true'])\").length") == 0
    assert shown.ask("document.querySelectorAll('img:not([alt])').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_stands_beside_the_scores_is_read_on_every_screen(
    shown: browser.Page, webm: Path, tmp_path: Path, scheme: str
) -> None:
    batch = faked.beside(faked.batch(duration=2.0), text=faked.EVIL, failed=["count"])
    report.write(tmp_path / "out.html", [Clip(webm)], batch, faked.reward(missing={"pose": faked.EVIL}))
    shown.media("screen", prefers_color_scheme=scheme)
    shown.open((tmp_path / "out.html").as_uri())
    shown.ask("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert all(inside(shown, name) for name in (".befell li", ".right .bar", ".answer .bar", ".answers .said"))
    assert shown.ask(CONTRAST) == [] and shown.errors == []
    assert shown.ask("document.documentElement.dataset.evil") is None
    for width in (320, 700, 1280):
        shown.resize(width, 844, mobile=width < 701)
        assert shown.ask("document.documentElement.scrollWidth") <= width
