"""Words burnt into pictures, as subtitles are: what an attack on a judge may write into a clip."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cinereward.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    UInt8 = NDArray[np.uint8]

FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts")
# Files that hold Chinese letters, by how their names begin, the free ones first.
CHINESE = (
    "NotoSansCJK",
    "NotoSansSC",
    "SourceHanSans",
    "wqy-",
    "DroidSansFallback",
    "uming",
    "PingFang",
    "msyh",
    "simhei",
)
LETTERS = 26  # letters to a line
LEAST = 9  # pixels of a letter's height


def readable(text: str, font: str | None = None) -> bool:
    """Whether the words can be drawn here: those of plain ASCII always, others with a font for Chinese."""
    return font is not None or text.isascii() or find_font() is not None


def burn(frames: UInt8, text: str, font: str | None = None) -> UInt8:
    """Draw words at the bottom of every frame, white with a dark rim.

    Args:
        frames: uint8 (T, H, W, 3), RGB; not modified. text: on up to four lines. font: a file, or None for Pillow's own
            (which looks the same everywhere), or for Chinese one that is found.

    Returns:
        uint8 (T, H, W, 3).

    Raises:
        ConfigError: the font cannot be read, or none with the letters is found.
    """
    from PIL import Image, ImageDraw

    height, width = frames.shape[1:3]
    per_row = LETTERS if text.isascii() else LETTERS // 2
    rows = _rows(" ".join("".join(filter(str.isprintable, text[:400])).split()), per_row)
    size = max(LEAST, min(int(1.6 * width / per_row), height // (2 * len(rows))))
    layer = Image.new("RGBA", (width, height))
    ImageDraw.Draw(layer).multiline_text(
        (width / 2, height - size // 4),
        "\n".join(rows),
        fill="white",
        font=_font(text, font, size),
        anchor="md",
        align="center",
        stroke_width=max(1, size // 10),
        stroke_fill="black",
    )
    drawn = np.asarray(layer, np.float32)
    share = drawn[..., 3:] / 255
    return np.stack([np.rint(frame * (1 - share) + drawn[..., :3] * share).astype(np.uint8) for frame in frames])


@cache
def find_font() -> str | None:
    """A font with Chinese letters on this machine, or None."""
    for start in CHINESE:
        for folder in FOLDERS:
            found = sorted(
                path for path in Path(folder).rglob(f"{start}*") if path.suffix.lower() in {".ttf", ".ttc", ".otf"}
            )
            if found:
                return str(found[0])
    return None


def _font(text: str, font: str | None, size: int) -> Any:
    from PIL import ImageFont

    if font is None and text.isascii():
        return ImageFont.load_default(size)
    font = font or find_font()
    if font is None:
        raise ConfigError("no font with Chinese letters is found here; install one such as Noto Sans CJK, or name one")
    try:
        return ImageFont.truetype(font, size)
    except OSError as error:
        raise ConfigError(f"{font} cannot be read as a font ({error}); give a .ttf, .otf or .ttc file") from error


def _rows(text: str, length: int) -> list[str]:
    """At most four lines of about so many letters, broken at spaces where there are some."""
    rows = [""]
    for word in text.split(" "):
        for piece in [word[at : at + length] for at in range(0, len(word), length)] or [""]:
            if rows[-1] and len(rows[-1]) + 1 + len(piece) > length:
                rows.append(piece)
            else:
                rows[-1] = f"{rows[-1]} {piece}".strip()
    return rows[:4]
