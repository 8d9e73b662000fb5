"""The result: a dense reward for every clip, with a status and a reason wherever there is no number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cinereward.types import Critique, Evidence, Status, Verdict

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Float32 = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class RewardBatch:
    """The dense reward of B clips over D dimensions.

    values: float32 (B, D) in [0, 1], 1 is best, NaN where not scored. status: int8 (B, D) `Status`. std: float32
    (B, D), the scorer's own uncertainty on the same scale, NaN where not scored. scalar: float32 (B,), NaN where a
    weighted dimension FAILED or nothing was scored. dimensions: D names. reasons: (B, D) texts. errors: per clip None
    or the error. evidence: per clip, operator name -> Evidence. verdicts: per clip, question -> the judge's Verdict,
    empty without a judge. right: the prompt-following vector (B, 8), or None.
    The arrays are the batch's own and read-only; copy one to change it.
    """

    values: Float32
    status: NDArray[np.int8]
    std: Float32
    scalar: Float32
    dimensions: tuple[str, ...]
    reasons: tuple[tuple[str, ...], ...]
    errors: tuple[Exception | None, ...]
    critiques: tuple[tuple[Critique, ...], ...]
    evidence: tuple[Mapping[str, Evidence], ...]
    version: str
    level: str = "sub_dimension"
    right: RewardBatch | None = None
    verdicts: tuple[Mapping[str, Verdict], ...] = ()
    folder: Callable[[RewardBatch, str], RewardBatch] | None = field(default=None, repr=False)
    accounts: tuple[Callable[[], dict[str, Any]], ...] = field(default=(), repr=False)

    LEVELS: ClassVar[tuple[str, ...]] = ("sub_dimension", "dimension", "aspect", "stage")

    def __post_init__(self) -> None:
        clips, shape = len(self.errors), (len(self.errors), len(self.dimensions))
        expected = {
            "values": (np.float32, shape),
            "status": (np.int8, shape),
            "std": (np.float32, shape),
            "scalar": (np.float32, shape[:1]),
        }
        for name, (dtype, size) in expected.items():
            array = getattr(self, name)
            if not isinstance(array, np.ndarray):
                raise ValueError(f"{name} is a {type(array).__name__}; expected an array {np.dtype(dtype)} {size}")
            if array.shape != size or array.dtype != dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} {size}")
            if array.flags.writeable or not array.flags.owndata:  # the caller's own stays as it is
                array = array.copy()
                array.setflags(write=False)
                object.__setattr__(self, name, array)
        for name in ("reasons", "critiques", "evidence"):
            if len(getattr(self, name)) != clips:
                raise ValueError(f"{len(getattr(self, name))} {name} for {clips} clips; expected one for each")
        if any(len(texts) != shape[1] for texts in self.reasons):
            raise ValueError(f"a clip's reasons must be {shape[1]}, one for each dimension")
        if unknown := sorted({*self.status.flat} - {*map(int, Status)}):
            known = ", ".join(f"{code.value} {code.name}" for code in Status)
            raise ValueError(f"status holds {', '.join(map(str, unknown))}; expected {known}; give the codes of Status")
        if bool(np.any(np.isnan(self.values) == self.mask)):
            raise ValueError("a value must be NaN exactly where its status is not SCORED")
        scored = self.values[self.mask]
        if bool(np.any((scored < 0) | (scored > 1))):
            raise ValueError(f"values run from {scored.min()} to {scored.max()}; expected [0, 1], 1 is best")
        if bool(np.any((self.std < 0) | (self.mask & ~np.isfinite(self.std)))):
            odd = self.std[(self.std < 0) | (self.mask & ~np.isfinite(self.std))][0]
            raise ValueError(
                f"std holds {odd}; expected 0 or more where a value is SCORED; give 0 if there is no doubt"
            )

    def __len__(self) -> int:
        return len(self.errors)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Bool (B, D): where a value was scored."""
        return np.asarray(self.status == Status.SCORED)

    def reason(self, clip: int, name: str) -> str:
        """Why the value of this dimension is what it is, or is missing."""
        if name not in self.dimensions:
            raise KeyError(f"{name!r} is no {self.level} of this batch; see .dimensions")
        return self.reasons[clip][self.dimensions.index(name)]

    def ledger(self, clip: int) -> dict[str, Any]:
        """What stands behind each score of this clip, as JSON that replays to the same bits; see ledger.py."""
        if not self.accounts:
            raise ValueError("this batch came without its accounts; ask the one that a RewardModel returned, unfolded")
        return self.accounts[clip]()

    def fold(self, level: str) -> RewardBatch:
        """The same batch folded to "dimension" (18), "aspect" (7) or "stage" (3); weights are the profile's."""
        if level not in self.LEVELS:
            raise ValueError(f"level is {level!r}; expected one of {', '.join(self.LEVELS)}")
        if self.folder is None:
            raise ValueError("this batch came without the weights of a profile; fold the batch a RewardModel returned")
        return self.folder(self, level)

    def torch(self, device: str | torch.device = "cpu") -> dict[str, torch.Tensor]:
        """`values`, `mask`, `std` and `scalar` as tensors on a device."""
        import torch

        arrays = {"values": self.values, "mask": self.mask, "std": self.std, "scalar": self.scalar}
        return {name: torch.from_numpy(array.copy()).to(device) for name, array in arrays.items()}
