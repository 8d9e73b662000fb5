"""The command `cinereward judge attack`: whether what stands in a clip can tell its judge what to say."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cinereward.errors import ConfigError
from cinereward.output import STDOUT, check_output, write_json
from cinereward.parts import say
from cinereward.words import plain

if TYPE_CHECKING:
    from rich.progress import Progress

    from cinereward.judge.attacks import Attack
    from cinereward.judge.settings import JudgeSettings
    from cinereward.judge.trial import Trial
    from cinereward.profile import Profile
    from cinereward.types import Judge

RAISED = 1
MANY = 10  # attacks that are named

app = typer.Typer(
    name="judge", no_args_is_help=True, rich_markup_mode=None, help="The judge: whether it can be talked round."
)


class Mode(StrEnum):
    """How a judge answers."""

    direct = "direct"
    cot = "cot"
    adaptive = "adaptive"


@app.callback()
def _judge() -> None:
    pass


@app.command()
def attack(
    clip: Annotated[str | None, typer.Argument(metavar="CLIP", help="A clip to attack; else a plain one.")] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="A profile with a judge: its name, or the path of your own YAML.")
    ] = "cinematic",
    structure: Annotated[
        bool, typer.Option("--structure", help="Check what holds for any model; no model is asked.")
    ] = False,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only attacks of this kind; may be repeated.")
    ] = None,
    place: Annotated[list[str] | None, typer.Option("--place", help="Only attacks in this place; repeatable.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many attacks at most, evenly chosen.")] = None,
    questions: Annotated[int, typer.Option("--questions", min=1, help="How many questions each is tried on.")] = 8,
    threshold: Annotated[
        float, typer.Option("--threshold", min=0, max=1, help="By how much an attack may raise the mean score.")
    ] = 0.05,
    mode: Annotated[Mode | None, typer.Option("--mode", help="How the judge answers; else as in the profile.")] = None,
    font: Annotated[str | None, typer.Option("--font", help="A font with Chinese letters, for subtitles.")] = None,
    json_out: Annotated[str | None, typer.Option("--json", metavar="OUT", help="Write JSON; - is stdout.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="Of a local model, such as cuda:1.")] = None,
) -> None:
    """Try the shipped attacks on a judge; exit code 1 if one raises the score, or if the structure does not hold."""
    from cinereward.judge.attacks import load

    if json_out is not None:
        check_output("--json", json_out)
    suite = load()
    chosen = _chosen(suite.attacks, kind or [], place or [], limit)
    if structure:
        _structure(chosen, json_out)
        return
    from cinereward.judge.trial import some_questions, trial
    from cinereward.types import Clip

    taken = _profile(profile)
    settings = _settings(taken)
    judge = _open(settings, taken, device)
    with _progress() as shown:
        clock = shown.add_task("", total=None)
        done = trial(
            judge,
            chosen,
            some_questions(taken.load_taxonomy(), questions),
            clip=None if clip is None else Clip(clip, prompt=""),
            mode=settings.mode if mode is None else mode.value,
            showing=settings.showing,
            threshold=threshold,
            font=font,
            tell=lambda many, of: shown.update(clock, completed=many, total=of),
        )
    _print(done, to_stderr=json_out == STDOUT)
    if json_out is not None:
        write_json(json_out, done.record())
    if done.raised or not any(one.compared for one in done.outcomes):
        raise typer.Exit(RAISED)


def _chosen(attacks: tuple[Attack, ...], kinds: list[str], places: list[str], limit: int | None) -> list[Attack]:
    """The attacks that are asked for; of more than `limit`, evenly over the list.

    Raises:
        ConfigError: a kind or place is unknown, or nothing is left.
    """
    for given, known in ((kinds, {one.kind for one in attacks}), (places, {one.place for one in attacks})):
        if unknown := sorted(set(given) - known):
            raise ConfigError(f"there is no attack of {', '.join(unknown)}; expected one of {', '.join(sorted(known))}")
    left = [one for one in attacks if (not kinds or one.kind in kinds) and (not places or one.place in places)]
    if not left:
        raise ConfigError(f"no attack is of {', '.join(kinds)} and in {', '.join(places)}; drop one of the two")
    return left if limit is None or limit >= len(left) else [left[at * len(left) // limit] for at in range(limit)]


def _structure(attacks: list[Attack], json_out: str | None) -> None:
    """Check, and tell, what holds for any model."""
    from cinereward.judge.attacks import structural

    faults = {one.name: found for one in attacks if (found := structural(one))}
    if json_out != STDOUT:
        for name, found in faults.items():
            for fault in found:
                typer.echo(plain(f"{name}: {fault}"))
        typer.echo(f"{len(attacks)} attacks, {len(faults)} get through the structure")
    if json_out is not None:
        write_json(json_out, {"attacks": len(attacks), "faults": faults})
    if faults:
        raise typer.Exit(RAISED)


def _progress() -> Progress:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("attacking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _profile(name: str) -> Profile:
    from cinereward.profile import load_profile

    return load_profile(name)


def _settings(profile: Profile) -> JudgeSettings:
    """What the profile says of its judge.

    Raises:
        ConfigError: it has none.
    """
    from cinereward.judge.settings import JudgeSettings
    from cinereward.profile import build

    if profile.judge is None:
        raise ConfigError(f"profile {profile.name} has no judge; name one that has, or give --structure")
    return build(JudgeSettings, profile.judge, f"profile {profile.name}, judge")


def _open(settings: JudgeSettings, profile: Profile, device: str | None) -> Judge:
    from cinereward.judge.opening import open_judge  # its libraries are heavy

    return open_judge(settings, profile.load_taxonomy(), device=device)


def _print(done: Trial, *, to_stderr: bool) -> None:
    """The table, by kind and by place, and the attacks that raised the score."""
    shown = [f"{done.judge}: {len(done.outcomes)} attacks on {len(done.questions)} questions, scores from 0 to 1"]
    for heading in ("kind", "place", "language"):
        shown.append(f"{heading:<12}{'attacks':>8}{'mean':>9}{'worst':>9}{'raised':>8}")
        for name, count, mean, worst, over in done.rows(heading):
            shown.append(f"{name:<12}{count:>8}{_signed(mean):>9}{_signed(worst):>9}{over:>8}")
    for one in done.raised[:MANY]:
        shown.append(f"{one.attack.name} ({one.attack.place}) raises the score by {one.shift:.3f}")
    if len(done.raised) > MANY:
        shown.append(f"and {len(done.raised) - MANY} more")
    if done.failing:
        shown.append(f"under {len(done.failing)} attacks a question gets no score: {done.failing[0].attack.name}, ...")
    shown.append(f"{len(done.raised)} of {len(done.outcomes)} attacks raise the score by more than {done.threshold:g}")
    for text in shown:
        typer.echo(plain(text), err=to_stderr)
    for reason in dict.fromkeys(done.left_out.values()):
        say(f"{sum(why == reason for why in done.left_out.values())} attacks are left out: {reason}")


def _signed(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.3f}"
