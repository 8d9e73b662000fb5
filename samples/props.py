"""The people and things of the night street: a detective, a lamp, a car, a neon sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from samples.stage import Array, Size, Vec, fill, outline, rgba

Point = tuple[float, float]
# Direction to the light (x right, y up, z to the viewer) and its colour times power.
Light = tuple[Vec, Vec]


def round_out(mask: Array, depth: float) -> tuple[Array, Array]:
    """Give a flat mask (h, w) the body of a cushion `depth` pixels thick; return its normals' slopes in x and y."""
    inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    height = np.sqrt(np.maximum(1 - (1 - np.clip(inside / depth, 0, 1)) ** 2, 0)) * depth
    height = cv2.GaussianBlur(height.astype(np.float32), (0, 0), max(depth / 8, 0.8))
    return cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)


def model(
    canvas: Array, mask: Array, albedo: Vec, lights: Sequence[Light], depth: float, folds: Array | None = None
) -> Array:
    """Lay one rounded, lit part over a premultiplied canvas (h, w, 4); `folds` (h, w) roughen it."""
    slope_x, slope_y = round_out(mask, depth)
    if folds is not None:
        slope_x = slope_x + cv2.Sobel(folds, cv2.CV_32F, 1, 0, scale=1 / 8)
        slope_y = slope_y + cv2.Sobel(folds, cv2.CV_32F, 0, 1, scale=1 / 8)
    length = np.sqrt(1 + slope_x**2 + slope_y**2)
    arriving = np.zeros((*mask.shape, 3), np.float32)
    for (x, y, z), colour in lights:
        facing = (-slope_x * x + slope_y * y + z) / (length * np.sqrt(x * x + y * y + z * z))
        arriving += np.maximum(facing, 0)[..., None] * np.float32(colour)
    part = rgba(arriving * np.float32(albedo), mask)
    return canvas * (1 - mask[..., None]) + part


class Tailor:
    """Draw parts given in metres (x right, y up) on one canvas."""

    def __init__(self, width: float, height: float, density: float, lights: Sequence[Light]) -> None:
        """Cut an empty canvas of `width` x `height` metres at `density` pixels a metre; x = 0 is its middle."""
        self.shape: Size = (round(height * density), round(width * density))
        self.density, self.lights = density, lights
        self.middle, self.height = width / 2, height
        self.canvas = np.zeros((*self.shape, 4), np.float32)

    def pixels(self, points: Sequence[Point]) -> np.ndarray:
        """Return canvas pixels (N, 2) of points in metres."""
        p = np.array(points, np.float64)
        return np.stack([(p[:, 0] + self.middle) * self.density, (self.height - p[:, 1]) * self.density], -1)

    def cut(self, points: Sequence[Point], smooth: bool = True) -> Array:
        """Return the mask of a closed shape."""
        p = self.pixels(points)
        return fill(self.shape, outline([(float(a), float(b)) for a, b in p]) if smooth else p)

    def add(
        self, points: Sequence[Point], albedo: Vec, depth: float = 0.06, folds: Array | None = None, smooth: bool = True
    ) -> Array:
        """Model a closed shape on the canvas and return its mask; `depth` in metres."""
        mask = self.cut(points, smooth)
        self.canvas = model(self.canvas, mask, albedo, self.lights, depth * self.density, folds)
        return mask

    def shade(self, mask: Array, factor: float) -> None:
        """Darken the canvas under a mask."""
        self.canvas[..., :3] *= (1 - mask * (1 - factor))[..., None]


def limb(a: Point, b: Point, thick: float, thin: float) -> list[Point]:
    """Return a tapered capsule from `a` to `b`; widths in metres."""
    along = np.array(b) - np.array(a)
    along = along / np.linalg.norm(along)
    side = np.array([-along[1], along[0]])
    start, end = np.array(a), np.array(b)
    corners = [
        start + side * thick / 2,
        end + side * thin / 2,
        end + along * thin / 2,
        end - side * thin / 2,
        start - side * thick / 2,
        start - along * thick / 2,
    ]
    return [(float(x), float(y)) for x, y in corners]


COAT: Vec = (0.42, 0.35, 0.27)
FELT: Vec = (0.20, 0.17, 0.15)
SKIN: Vec = (0.60, 0.40, 0.29)
CLOTH: Vec = (0.12, 0.12, 0.13)


def detective(
    density: float, lights: Sequence[Light], folds: Array, *, breath: float, lean: float, draw: float, ember: float
) -> Array:
    """Return a man in a trench coat and a fedora, 1.4 x 2.0 m, feet at the bottom, as a texture.

    Args:
        density: pixels a metre.
        lights: what falls on him.
        folds: float32 (h, w), relief of the cloth in pixels; fixed, so that cloth does not crawl.
        breath: -1 to 1, the chest.
        lean: metres his head moves right as his weight shifts.
        draw: 0 hand low, 1 cigarette at the mouth.
        ember: brightness of the cigarette's tip.
    """
    t = Tailor(1.4, 2.0, density, lights)
    b, s = 0.006 * breath, lean

    def at(points: Sequence[Point]) -> list[Point]:
        return [(x + s * y / 1.8, y + (b if y > 1.0 else 0)) for x, y in points]

    for x in (-0.105, 0.10):
        t.add([(x - 0.075, 0.06), (x + 0.06, 0.06), (x + 0.085, 0.62), (x - 0.09, 0.62)], CLOTH, 0.05)
        t.add(
            [(x - 0.085, 0.0), (x + 0.13, 0.0), (x + 0.15, 0.03), (x + 0.04, 0.09), (x - 0.07, 0.10)], (0.1,) * 3, 0.03
        )
    # The far arm, its hand in the pocket, goes behind the coat's front.
    t.add(at(limb((-0.185, 1.42), (-0.265, 1.16), 0.15, 0.115)), COAT, 0.06, folds)
    skirt = [(-0.15, 1.12), (-0.20, 0.9), (-0.25, 0.46), (-0.20, 0.41), (0.02, 0.40), (0.22, 0.43), (0.27, 0.48)]
    t.add(at([*skirt, (0.19, 0.9), (0.155, 1.12)]), COAT, 0.12, folds)
    chest = [(-0.165, 1.05), (-0.20, 1.28), (-0.235, 1.42), (-0.19, 1.51), (-0.07, 1.56), (0.07, 1.56), (0.18, 1.50)]
    t.add(at([*chest, (0.215, 1.40), (0.185, 1.25), (0.155, 1.05)]), COAT, 0.10, folds)
    t.add(at(limb((-0.265, 1.16), (-0.175, 0.99), 0.115, 0.10)), COAT, 0.055, folds)
    for line in ([(0.045, 1.50), (0.06, 1.10), (0.075, 0.42)], [(-0.06, 1.50), (0.03, 1.22), (0.05, 1.2)]):
        seam = np.zeros(t.shape, np.uint8)
        cv2.polylines(seam, [np.round(t.pixels(at(line)) * 16).astype(np.int32)], False, 255, 2, cv2.LINE_AA, 4)
        t.shade(seam.astype(np.float32) / 255, 0.45)
    t.add(at([(-0.17, 1.06), (0.165, 1.06), (0.165, 1.115), (-0.17, 1.115)]), (0.30, 0.25, 0.19), 0.03, smooth=False)
    t.add(at([(0.03, 1.05), (0.095, 1.05), (0.095, 1.125), (0.03, 1.125)]), (0.5, 0.46, 0.38), 0.02, smooth=False)
    _head(t, at)
    mouth: Point = (0.165, 1.585)
    low = 1 - draw
    hand = (mouth[0] + 0.060 + 0.125 * low + 0.25 * low * draw, mouth[1] - 0.045 - 0.56 * low)
    shoulder: Point = (0.180, 1.43)
    elbow = (0.265 - 0.01 * low + 0.06 * low * draw, 1.16 + 0.01 * low)
    t.add(at(limb(shoulder, elbow, 0.145, 0.115)), COAT, 0.06, folds)
    t.add(at(limb(elbow, hand, 0.112, 0.085)), COAT, 0.05, folds)
    t.add(at(limb(hand, (hand[0] - 0.035, hand[1] + 0.05), 0.075, 0.06)), SKIN, 0.03)
    tip = (hand[0] + 0.025, hand[1] + 0.085)
    t.add(at(limb((hand[0] - 0.04, hand[1] + 0.065), tip, 0.014, 0.012)), (0.9, 0.88, 0.8), 0.006)
    (cx, cy) = t.pixels(at([tip]))[0]
    y, x = np.mgrid[0 : t.shape[0], 0 : t.shape[1]]
    spot = np.hypot(x - cx, y - cy) / density
    glow = np.exp(-((spot / 0.012) ** 2)) + 0.03 * np.exp(-spot / 0.05)
    t.canvas[..., :3] += (ember * glow)[..., None] * np.float32([5.0, 1.5, 0.3])
    t.canvas[..., 3] = np.maximum(t.canvas[..., 3], np.exp(-((spot / 0.012) ** 2)))
    return t.canvas


def _head(t: Tailor, at: Callable[[Sequence[Point]], list[Point]]) -> None:
    """Draw collar, face in the brim's shade, and hat."""
    t.add(at([(-0.11, 1.49), (-0.115, 1.60), (-0.07, 1.64), (0.0, 1.60), (0.03, 1.50)]), COAT, 0.04)
    face = [(0.09, 1.75), (0.105, 1.70), (0.132, 1.655), (0.108, 1.635), (0.112, 1.61), (0.098, 1.565), (0.05, 1.545)]
    skin = t.add(at([*face, (-0.02, 1.58), (-0.075, 1.62), (-0.09, 1.70), (-0.06, 1.77)]), SKIN, 0.07)
    t.shade(skin * t.cut(at([(-0.12, 1.655), (0.15, 1.645), (0.15, 1.8), (-0.12, 1.8)]), False), 0.35)
    t.add(at([(-0.125, 1.48), (-0.13, 1.585), (-0.085, 1.635), (-0.02, 1.56), (0.03, 1.50)]), COAT, 0.04)
    t.add(at([(0.03, 1.49), (0.06, 1.545), (0.115, 1.575), (0.15, 1.48)]), COAT, 0.03)
    crown = [(-0.115, 1.735), (-0.118, 1.80), (-0.095, 1.875), (-0.04, 1.885), (0.01, 1.868), (0.06, 1.885)]
    t.add(at([*crown, (0.105, 1.85), (0.122, 1.735)]), FELT, 0.07)
    t.add(
        at([(-0.118, 1.745), (0.122, 1.735), (0.122, 1.775), (-0.118, 1.787)]), (0.04, 0.04, 0.045), 0.05, smooth=False
    )
    brim = [(-0.21, 1.735), (-0.10, 1.757), (0.05, 1.748), (0.17, 1.725), (0.235, 1.695), (0.19, 1.692)]
    t.add(at([*brim, (0.08, 1.712), (-0.08, 1.722), (-0.17, 1.718)]), FELT, 0.025)


def street_lamp(density: float) -> Array:
    """Return an old iron street lamp, 1.0 x 3.2 m, foot at the bottom, lantern glowing."""
    lights: list[Light] = [((0.3, 1.0, 0.3), (0.5, 0.28, 0.1)), ((-1.0, 0.2, 0.5), (0.03, 0.07, 0.09))]
    t = Tailor(1.0, 3.2, density, lights)
    iron: Vec = (0.16, 0.17, 0.17)
    t.add([(-0.035, 0.3), (0.035, 0.3), (0.026, 2.62), (-0.026, 2.62)], iron, 0.03, smooth=False)
    t.add([(-0.11, 0.0), (0.11, 0.0), (0.075, 0.36), (-0.075, 0.36)], iron, 0.06, smooth=False)
    for y, r in ((0.38, 0.075), (0.95, 0.05), (2.45, 0.055), (2.62, 0.07)):
        t.add([(-r, y - 0.02), (r, y - 0.02), (r, y + 0.025), (-r, y + 0.025)], iron, 0.03, smooth=False)
    t.add([(-0.24, 2.36), (0.24, 2.36), (0.24, 2.385), (-0.24, 2.385)], iron, 0.012, smooth=False)
    glass = t.cut([(-0.10, 2.66), (0.10, 2.66), (0.165, 2.98), (-0.165, 2.98)], False)
    y, x = np.mgrid[0 : t.shape[0], 0 : t.shape[1]].astype(np.float32)
    spot = np.hypot(x / density - 0.5, (3.2 - y / density - 2.80) * 0.8)
    flame = (1.6 + 7.5 * np.exp(-((spot / 0.075) ** 2)))[..., None] * np.float32([1.0, 0.62, 0.27])
    t.canvas = t.canvas * (1 - glass[..., None]) + rgba(flame, glass)
    for a, b in (((-0.10, 2.66), (-0.165, 2.98)), ((0.10, 2.66), (0.165, 2.98)), ((0.0, 2.66), (0.0, 2.98))):
        t.add(limb(a, b, 0.022, 0.022), iron, 0.01, smooth=False)
    t.add(
        [(-0.21, 2.98), (0.21, 2.98), (0.09, 3.09), (0.03, 3.15), (-0.03, 3.15), (-0.09, 3.09)],
        iron,
        0.05,
        smooth=False,
    )
    return t.canvas


def saloon_car(density: float, lights: Sequence[Light]) -> Array:
    """Return an old saloon car from its side, 4.8 x 1.7 m, wheels at the bottom."""
    t = Tailor(4.8, 1.7, density, lights)
    paint: Vec = (0.10, 0.11, 0.12)
    body = [(-2.3, 0.42), (-2.33, 0.75), (-2.1, 0.98), (-1.5, 1.10), (-1.05, 1.50), (-0.4, 1.62), (0.25, 1.56)]
    t.add([*body, (0.72, 1.14), (1.6, 1.06), (2.2, 0.92), (2.33, 0.62), (2.3, 0.4), (0, 0.34)], paint, 0.16)
    for side in (
        [(-1.10, 1.12), (-0.85, 1.44), (-0.45, 1.52), (-0.45, 1.12)],
        [(-0.36, 1.12), (-0.36, 1.53), (0.16, 1.48), (0.46, 1.13)],
    ):
        t.add(side, (0.03, 0.04, 0.05), 0.03, smooth=False)
    for x in (-1.45, 1.45):
        arch = [(x + 0.56 * np.cos(a), 0.45 + 0.47 * np.sin(a)) for a in np.linspace(0, np.pi, 9)]
        t.add([(float(u), float(v)) for u, v in arch], paint, 0.12, smooth=False)
        wheel = [(x + 0.34 * np.cos(a), 0.34 + 0.34 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 25)[:-1]]
        t.add([(float(u), float(v)) for u, v in wheel], (0.03, 0.03, 0.03), 0.06, smooth=False)
        hub = [(x + 0.17 * np.cos(a), 0.34 + 0.17 * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 17)[:-1]]
        t.add([(float(u), float(v)) for u, v in hub], (0.5, 0.5, 0.5), 0.1, smooth=False)
    t.add([(-0.85, 0.36), (0.85, 0.36), (0.85, 0.43), (-0.85, 0.43)], (0.25, 0.25, 0.25), 0.04, smooth=False)
    for x in (-2.25, 2.25):
        t.add([(x - 0.14, 0.45), (x + 0.14, 0.45), (x + 0.14, 0.54), (x - 0.14, 0.54)], (0.5,) * 3, 0.04, smooth=False)
    t.add([(-2.2, 0.78), (2.2, 0.82), (2.2, 0.835), (-2.2, 0.80)], (0.4,) * 3, 0.02, smooth=False)
    under = t.cut([(-2.0, 0.02), (2.0, 0.02), (2.0, 0.38), (-2.0, 0.38)], False)
    t.canvas[..., 3] = np.maximum(t.canvas[..., 3], 0.9 * under)
    rear = t.cut([(-2.34, 0.80), (-2.26, 0.80), (-2.26, 0.90), (-2.34, 0.90)], False)
    t.canvas[..., :3] += rear[..., None] * np.float32([2.2, 0.20, 0.05])
    return t.canvas


LETTERS: dict[str, list[list[Point]]] = {
    "H": [[(0, 0), (0, 1)], [(0.56, 0), (0.56, 1)], [(0, 0.5), (0.56, 0.5)]],
    "O": [[(0.3 + 0.3 * float(np.sin(a)), 0.5 + 0.5 * float(np.cos(a))) for a in np.linspace(0, 2 * np.pi, 25)]],
    "T": [[(0, 1), (0.6, 1)], [(0.3, 1), (0.3, 0)]],
    "E": [[(0.5, 1), (0, 1), (0, 0), (0.5, 0)], [(0, 0.52), (0.42, 0.52)]],
    "L": [[(0, 1), (0, 0), (0.5, 0)]],
}


def neon(strokes: Sequence[Sequence[Point]], shape: Size, density: float, colour: Vec, thick: float = 0.03) -> Array:
    """Return the light (h, w, 3) of glass tubes along strokes given in metres from the top left, y down."""
    tube, core = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for stroke in strokes:
        line = [np.round(np.array(stroke) * density * 16).astype(np.int32)]
        cv2.polylines(tube, line, False, 255, max(1, round(thick * density)), cv2.LINE_AA, 4)
        cv2.polylines(core, line, False, 255, max(1, round(thick * density * 0.4)), cv2.LINE_AA, 4)
    outer = cv2.GaussianBlur(tube.astype(np.float32) / 255, (0, 0), max(0.5, thick * density / 4))
    inner = cv2.GaussianBlur(core.astype(np.float32) / 255, (0, 0), max(0.5, thick * density / 5))
    halo = cv2.GaussianBlur(outer, (0, 0), thick * density * 1.6)
    light = (1.9 * outer + 0.55 * halo)[..., None] * np.float32(colour) + (1.6 * inner)[..., None] * (
        0.55 * np.float32(colour) + 0.45
    )
    return light.astype(np.float32)


def word(text: str, left: float, top: float, high: float) -> list[list[Point]]:
    """Return the strokes of a word in neon capitals, metres from the top left, y down."""
    strokes: list[list[Point]] = []
    for letter in text:
        strokes += [[(left + x * high, top + (1 - y) * high) for x, y in stroke] for stroke in LETTERS[letter]]
        left += 0.86 * high
    return strokes
