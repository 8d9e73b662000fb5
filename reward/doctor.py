"""What a machine has, what is missing, and how to mend it: facts for `cinereward doctor`, and their page.

Nothing here raises: a library that cannot be imported is a finding, not a crash.
"""

from __future__ import annotations

import importlib
import importlib.metadata as metadata
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.text import Text

from cinereward import shelf
from cinereward.show import BAD, DIM, GOOD, wrapped
from cinereward.words import UNVALIDATED, plain

CORE = (
    *("av", "decord", "jinja2", "numpy", "opencv-python-headless", "pillow", "pydantic", "pyyaml"),
    *("rich", "scikit-image", "scipy", "silero-vad", "torch", "typer"),
)
OPENCVS = ["opencv-python", "opencv-contrib-python", "opencv-python-headless", "opencv-contrib-python-headless"]
CODECS = {
    "H.264": ("h264",),
    "H.265": ("hevc",),
    "VP9": ("vp9", "libvpx-vp9"),
    "AV1": ("libdav1d", "libaom-av1"),  # FFmpeg's own "av1" decodes on a GPU only
    "ProRes": ("prores",),
}
RESTRICTED = {
    "ultralytics": "AGPL-3.0: whoever offers your program over a network may ask for its source",
    "insightface": "its ready-made weights are for non-commercial research only",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_LEAST = re.compile(r">=\s*([0-9.]+)")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, "broken" where the signal profile cannot run for it, and what mends it."""

    level: Literal["broken", "warning"]
    what: str
    remedy: str


def version_of(library: str) -> str | None:
    """The installed version, or None."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return None


def examine() -> dict[str, Any]:
    """All facts; `problems` among them, broken ones first."""
    problems: list[Problem] = []
    facts = {
        "versions": versions(problems),
        "machine": machine(),
        "gpu": gpu(),
        "decoders": decoders(problems),
        "opencv": opencv(problems),
        "extras": extras(problems),
        "operators": operators(problems),
        "licences": {name: note for name, note in RESTRICTED.items() if version_of(name)},
        "weights": shelf.examine(
            lambda what, remedy: problems.append(Problem(level="warning", what=what, remedy=remedy))
        ),
        "profiles": profiles(problems),
        "self_test": self_test(problems),
    }
    problems.sort(key=lambda problem: problem.level)
    return facts | {"problems": [vars(problem) for problem in problems]}


def versions(problems: list[Problem]) -> dict[str, str | None]:
    """Of cinereward, Python, the system and the core libraries."""
    found: dict[str, str | None] = {
        "cinereward": version_of("cinereward"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    found |= {name: version_of(name) for name in CORE}
    needed, _ = requirements()
    for name, least in needed.items():
        told = _missing(name, least)
        if told and not (name == "opencv-python-headless" and any(map(version_of, OPENCVS))):
            problems.append(
                Problem(level="broken", what=f"{told} is needed", remedy="pip install --upgrade cinereward")
            )
    return found


def requirements() -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """What the installed metadata ask for, name -> least version: always, and for each extra.

    A requirement with a marker of the platform is left out: without packaging nobody here can say whether it holds.
    """
    always: dict[str, str] = {}
    by_extra: dict[str, dict[str, str]] = {}
    try:
        lines = metadata.requires("cinereward") or []
    except metadata.PackageNotFoundError:
        lines = []
    for line in lines:
        wanted, _, marker = line.partition(";")
        match, least = _NAME.match(wanted), _LEAST.search(wanted)
        if match is None:
            continue
        extra = _EXTRA.search(marker)
        if extra is None and not marker.strip():
            always[match.group()] = least.group(1) if least else ""
        elif extra is not None and match.group() == "cinereward":
            by_extra.setdefault(extra.group(1), {}).update(
                {f"[{part}]": "" for part in re.findall(r"[\w-]+", wanted)[1:]}
            )
        elif extra is not None:
            by_extra.setdefault(extra.group(1), {})[match.group()] = least.group(1) if least else ""
    return always, by_extra


def _missing(name: str, least: str) -> str:
    """Such as "trl >= 0.24 (0.9 is installed)"; empty where it is there and new enough."""
    have = version_of(name)
    told = f"{name} >= {least}" if least else name
    if have is None:
        return told
    return f"{told} ({have} is installed)" if _parts(have) < _parts(least) else ""


def _parts(version: str) -> tuple[int, ...]:
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in numbers.group().split(".")] if numbers else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def extras(problems: list[Problem]) -> dict[str, dict[str, Any]]:
    """Each extra: what of it is missing, and the command that brings it."""
    _, by_extra = requirements()
    found: dict[str, dict[str, Any]] = {}
    for extra, wanted in by_extra.items():
        flat = dict(wanted)
        for part in [name[1:-1] for name in wanted if name.startswith("[")]:
            flat |= by_extra.get(part, {})
        missing = [told for name, least in flat.items() if not name.startswith("[") and (told := _missing(name, least))]
        found[extra] = {"complete": not missing, "missing": missing, "install": f'pip install "cinereward[{extra}]"'}
    if not found and version_of("cinereward") is None:
        problems.append(
            Problem(level="broken", what="cinereward is not installed", remedy="pip install -e . in the checkout")
        )
    return found


def machine() -> dict[str, Any]:
    """Cores and memory that this process may use, and how many workers `score` takes by default."""
    from cinereward.engine import MOST_WORKERS

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(limit).read_text().strip() if Path(limit).is_file() else "max"
        if text.isdigit():  # a container's own limit, which is not in the kernel's total
            memory = min(memory or int(text), int(text))
    return {"cores": cores, "workers": min(cores, MOST_WORKERS), "memory_bytes": memory}


def gpu() -> dict[str, Any]:
    """GPUs that torch sees; why there are none where it cannot say."""
    try:
        import torch

        if torch.cuda.is_available():
            cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
            names = [{"name": card.name, "memory_bytes": int(card.total_memory)} for card in cards]
            return {"devices": names, "note": f"CUDA {torch.version.cuda}"}
        if torch.backends.mps.is_available():
            return {"devices": [{"name": "Apple GPU (mps)", "memory_bytes": None}], "note": ""}
        return {"devices": [], "note": "none; profile signal needs none"}
    except Exception as error:  # a broken torch raises ImportError, OSError, RuntimeError, ...
        return {"devices": [], "note": f"torch cannot say: {type(error).__name__}: {error}"}


def decoders(problems: list[Problem]) -> dict[str, Any]:
    """decord, PyAV with its FFmpeg, and which codecs can be decoded."""
    found: dict[str, Any] = {"decord": None, "ffmpeg": None, "codecs": dict.fromkeys(CODECS)}
    try:
        found["decord"] = importlib.import_module("decord").__version__
    except Exception as error:
        if version_of("decord"):
            told = f"decord is installed and does not load ({error})"
            problems.append(Problem(level="warning", what=told, remedy="pip install --force-reinstall decord"))
    try:
        av = importlib.import_module("av")
        known = getattr(av, "ffmpeg_version_info", None) or f"libavcodec {av.library_versions['libavcodec']}"
        found["ffmpeg"] = str(known)
        for title, names in CODECS.items():
            found["codecs"][title] = next((name for name in names if name in av.codecs_available), None)
    except Exception as error:
        told = f"PyAV does not load ({error}); no video can be read"
        problems.append(Problem(level="broken", what=told, remedy="pip install --force-reinstall av"))
        return found
    if absent := [title for title, name in found["codecs"].items() if name is None]:
        told = f"this FFmpeg decodes no {', '.join(absent)}"
        problems.append(Problem(level="warning", what=told, remedy="pip install --force-reinstall --only-binary av av"))
    return found


def opencv(problems: list[Problem]) -> dict[str, Any]:
    """Which OpenCV builds are installed: all of them write the same folder, so that two are a broken one."""
    there = {name: found for name in OPENCVS if (found := version_of(name))}
    only_headless = (
        f"pip uninstall -y {' '.join(there) or 'opencv-python'} && pip install --no-deps opencv-python-headless"
    )
    loaded = None
    try:
        loaded = str(importlib.import_module("cv2").__version__)
    except Exception as error:  # without libGL, opencv-python raises ImportError
        problems.append(Problem(level="broken", what=f"OpenCV does not load ({error})", remedy=only_headless))
    if len(there) > 1:
        told = f"{len(there)} OpenCVs are installed ({', '.join(there)}), which overwrite one another"
        problems.append(Problem(level="warning", what=told, remedy=only_headless))
    return {"installed": there, "loaded": loaded}


def operators(problems: list[Problem]) -> dict[str, dict[str, Any]]:
    """Every operator with its licence and the weights it takes."""
    from cinereward.operators import known

    found: dict[str, dict[str, Any]] = {}
    for name, place in known().items():
        module, _, attribute = place.partition(":")
        try:
            spec = getattr(importlib.import_module(module), attribute).spec
            found[name] = {"licence": spec.licence, "weights": list(spec.weights), "version": spec.version}
        except Exception as error:  # a plug-in may raise anything
            told = f"operator {name} does not load ({type(error).__name__}: {error})"
            remedy = f"reinstall the package of {module}"
            problems.append(Problem(level="warning", what=told, remedy=remedy))
    return found


def profiles(problems: list[Problem]) -> dict[str, Any]:
    """Each shipped profile: how it was held against human ratings, None where it was not."""
    from cinereward.profile import PROFILES, load_profile

    found: dict[str, Any] = {}
    for name in PROFILES:
        try:
            found[name] = {"validated": load_profile(name).validated}
        except Exception as error:
            told = f"profile {name} does not load ({error})"
            problems.append(Problem(level="broken", what=told, remedy="pip install --force-reinstall cinereward"))
    return found


def self_test(problems: list[Problem]) -> bool:
    """Whether profile signal scores a small clip that is encoded here, decoded again and measured."""
    try:
        from cinereward import Clip, RewardModel

        batch = RewardModel.from_profile("signal", workers=1)([Clip(_small_file())])
        if batch.errors[0] is not None:
            raise batch.errors[0]
        if failed := [batch.reasons[0][at] for at in range(len(batch.dimensions)) if batch.status[0, at] == 3]:
            raise RuntimeError(failed[0])
        return True
    except Exception as error:
        told = f"profile signal cannot score a small clip ({type(error).__name__}: {error})"
        remedy = "mend what is named above, or report this at the project's issues"
        problems.append(Problem(level="broken", what=told, remedy=remedy))
        return False


def _small_file() -> bytes:
    """Sixteen frames of noise that moves, as the bytes of a video file."""
    import io

    import av
    import numpy as np

    wide = np.random.default_rng(0).integers(0, 256, (6, 12, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as file:
        stream = file.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for step in range(16):
            pixels = np.ascontiguousarray(wide[:, 2 * step : 2 * step + 128])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(stream.encode())
    return buffer.getvalue()


# --- for people ---


def page(facts: dict[str, Any], console: Console) -> Iterator[Text]:
    """The facts, then the problems with what mends each."""
    for title, lines in (
        ("Versions", _versions(facts)),
        ("Machine", _machine(facts)),
        ("Decoders", _decoders(facts)),
        ("Extras", _extras(facts)),
        ("Operators", _operators(facts)),
        ("Weights", shelf.lines(facts)),
        ("Profiles", _profiles(facts)),
    ):
        yield Text(title, "bold")
        for name, text, style in lines:
            yield from _line(name, text, style, console)
        yield Text()
    if not facts["problems"]:
        yield Text("Nothing is wrong: ", GOOD) + Text("profile signal scored a small clip made for the purpose.")
    for problem in facts["problems"]:
        style = BAD if problem["level"] == "broken" else "bold"
        yield from wrapped(console, Text(f"{problem['level']}: ", style).append(plain(problem["what"]), "not bold"), "")
        yield from wrapped(console, Text("mend it with: ", DIM).append(problem["remedy"], "not dim bold"), "  ")


Line = tuple[str, str, str]


def _line(name: str, text: str, style: str, console: Console) -> Iterator[Text]:
    for at, line in enumerate(wrapped(console, Text(plain(text), style), " " * 26)):
        yield Text(f"  {name:<24}", DIM) + line[26:] if at == 0 else line


def _versions(facts: dict[str, Any]) -> Iterator[Line]:
    for name, version in facts["versions"].items():
        yield name, version or "not installed", "" if version else DIM
    others = [name for name in facts["opencv"]["installed"] if name != "opencv-python-headless"]
    for name in others:
        yield name, f"{facts['opencv']['installed'][name]}, beside the headless one", BAD


def _machine(facts: dict[str, Any]) -> Iterator[Line]:
    told = facts["machine"]
    yield "cores", f"{told['cores']}; score takes {told['workers']} of them unless --workers says otherwise", ""
    yield "memory", _gib(told["memory_bytes"]), ""
    for card in facts["gpu"]["devices"]:
        yield "GPU", f"{card['name']}, {_gib(card['memory_bytes'])} {facts['gpu']['note']}".strip(), ""
    if not facts["gpu"]["devices"]:
        yield "GPU", facts["gpu"]["note"], ""


def _decoders(facts: dict[str, Any]) -> Iterator[Line]:
    told = facts["decoders"]
    yield "decord", told["decord"] or "not here; PyAV decodes instead", ""
    yield "PyAV's FFmpeg", told["ffmpeg"] or "does not load", "" if told["ffmpeg"] else BAD
    can = [title for title, name in told["codecs"].items() if name]
    yield "decodes", ", ".join(can) or "nothing", "" if can else BAD


def _extras(facts: dict[str, Any]) -> Iterator[Line]:
    for name, told in facts["extras"].items():
        if told["complete"]:
            yield name, "complete", GOOD
        else:
            yield name, told["install"], ""
            few = len(told["missing"]) <= 6
            yield "", "lacks " + (", ".join(told["missing"]) if few else f"{len(told['missing'])} packages"), DIM


def _operators(facts: dict[str, Any]) -> Iterator[Line]:
    for name, told in facts["operators"].items():
        weights = ", ".join(told["weights"]) or "no weights"
        yield name, f"{told['licence']}, {weights}", ""
    for name, note in facts["licences"].items():
        yield name, note, BAD


def _profiles(facts: dict[str, Any]) -> Iterator[Line]:
    for name, told in facts["profiles"].items():
        yield name, told["validated"] or UNVALIDATED, ""


def _gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"


def sound(facts: dict[str, Any]) -> bool:
    """Whether the signal profile can run: nothing is broken."""
    return not any(problem["level"] == "broken" for problem in facts["problems"])
