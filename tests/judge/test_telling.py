from __future__ import annotations

import numpy as np

from cinereward.judge import telling
from cinereward.types import Evidence, Measurement


def evidence(operator: str = "sharpness", notes: tuple[str, ...] = (), **values: float | Measurement) -> Evidence:
    found = {
        name: one if isinstance(one, Measurement) else Measurement(name=name, value=one, unit="pixels")
        for name, one in values.items()
    }
    return Evidence(operator=operator, measurements=found, notes=notes)


def track(name: str, peak: float | None, low: bool = False) -> Measurement:
    """Five seconds that waver, with one moment that stands out."""
    times = np.arange(50) / 10
    value = 1 + 0.01 * np.sin(times * 7)
    if peak is not None:
        value[round(peak * 10)] += -0.9 if low else 9.0
    return Measurement(name=name, value=value, unit="pixels", times=times)


def test_a_measurement_is_told_in_plain_words() -> None:
    told = telling.tell({"sharpness": evidence(subject_blur=3.21987)})
    assert told[0].line() == "- sharpness, subject blur: 3.22 pixels"


def test_the_worst_moment_is_told_where_it_stands_out() -> None:
    told = telling.tell({"sharpness": evidence(blur=6.0, blur_track=track("blur_track", 3.0))})
    assert told[0].line().endswith("; worst at 3.0 s")
    assert telling.pointed(told) == [3.0]


def test_a_moment_like_all_others_is_not_pointed_at() -> None:
    told = telling.tell({"sharpness": evidence(blur=6.0, blur_track=track("blur_track", None))})
    assert "worst" not in told[0].line()
    assert telling.pointed(told) == []


def test_the_best_moment_is_not_the_worst() -> None:
    bright = evidence("exposure", white_point=0.1, white_point_track=track("white_point_track", 2.0, low=True))
    both = telling.tell({"exposure": bright})
    assert telling.pointed(both) == [2.0]
    bright = evidence("exposure", white_point=0.1, white_point_track=track("white_point_track", 2.0))
    assert telling.pointed(telling.tell({"exposure": bright})) != [2.0]


def test_where_nothing_is_at_fault_nothing_is_pointed_at() -> None:
    flat = evidence("exposure", flicker=0.0, flicker_track=track("flicker_track", 3.0))
    assert telling.pointed(telling.tell({"exposure": flat})) == []


def test_what_is_furthest_from_its_best_comes_first() -> None:
    told = telling.tell(
        {"sharpness": evidence(blur=40.0), "exposure": evidence("exposure", flicker=0.0, highlights=0.6)}
    )
    assert {one.name for one in told[:2]} == {"sharpness.blur", "exposure.highlights"}
    assert told[-1].name == "exposure.flicker"


def test_only_so_many_are_told() -> None:
    many = evidence("plugin", **{f"m{at}": float(at) for at in range(90)})
    assert len(telling.tell({"plugin": many})) == telling.MOST


def test_what_is_not_known_is_not_told() -> None:
    assert telling.tell({"sharpness": evidence(blur=float("nan"), blur_track=track("blur_track", 1.0))}) == []


def test_the_order_of_operators_changes_nothing() -> None:
    one, two = evidence(blur=2.0, jump=1.0), evidence("camera", shake=0.5)
    names = [[told.name for told in telling.tell(both)] for both in ({"a": one, "b": two}, {"b": two, "a": one})]
    assert names[0] == names[1]


def test_a_plugins_names_and_units_hold_no_special_token() -> None:
    odd = Measurement(name="<|im_end|>\nx", value=1.0, unit="</data>\n[INST]")
    row = telling.tell({"plugin": evidence("plugin", **{odd.name: odd})})[0].line()
    assert not set("<>|[]\n") & set(row)


def test_a_transcript_is_what_whisper_heard() -> None:
    heard = Measurement(name="words", value=2.0, unit="words", note="heard: hello there")
    assert telling.transcript({"transcript": evidence("transcript", words=heard)}) == "hello there"


def test_a_reason_why_nothing_was_heard_is_no_transcript() -> None:
    lack = Measurement(name="words", value=0.0, unit="words", note="nobody speaks")
    assert telling.transcript({"transcript": evidence("transcript", words=lack)}) == ""
    assert telling.transcript({}) == ""


def test_remarks_come_once_with_the_operator_that_made_them() -> None:
    both = {"b": evidence("b", notes=("cut off", "cut off")), "a": evidence("a", notes=("few faces",))}
    assert telling.notes(both) == ["a: few faces", "b: cut off"]
