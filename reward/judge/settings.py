"""What a profile says of its judge: which model, what it is shown, how it answers, and what it weighs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Showing(_Frozen):
    """What is shown of a clip.

    frames: of a stretch, at most. pixels: of a frame, at most (its area). stretch: seconds that are shown at once; a
    longer clip is judged in several. kept: frames a second that are kept while the clip is decoded, to choose from.
    most: frames kept of a clip at most, which bounds memory on long films. evidence: whether measurements are told to
    the judge. sound: whether sound is given to a judge that hears.
    """

    frames: int = Field(default=32, ge=1, le=512)
    pixels: int = Field(default=480 * 832, ge=32 * 32, le=4096 * 4096)
    stretch: float = Field(default=60.0, gt=0)
    kept: float = Field(default=4.0, gt=0, le=60)
    most: int = Field(default=768, ge=1)
    evidence: bool = True
    sound: bool = True


class JudgeSettings(_Frozen):
    """The judge of a profile.

    kind: "local" (transformers, in this process) or "served" (any server that speaks OpenAI's protocol). model: a
    folder, a name in the Hugging Face cache, or the name that the server has for it. revision: of the name. adapter:
    folder of a peft adapter. quantise: "4bit" or "8bit", where bitsandbytes is there. dtype: "auto" is bfloat16 on a
    GPU and float32 on a CPU. chunk: questions in one pass. endpoints: base URLs of servers, asked in turn. key_env:
    the environment variable that holds their key; never the key itself. concurrency: requests under way at one
    endpoint. timeout: seconds a request may take. mode: "direct", "cot" or "adaptive". most_tokens: of a written
    answer. entropy, disagreement: beyond these shares the adaptive mode writes. audit: share of questions that it
    writes on anyway, drawn by `seed`. batch: clips judged at once. cache: a file that keeps verdicts, or None. weight:
    of the judge's score against the evidence's, where both speak; weights: of single sub-dimensions. questions:
    weights of questions by name. context: whether the model also reads the prompt, and closes what its story does not
    call for (judge/context.py). ensemble: further judges, as changes to this one; their median counts, and their
    spread goes into std.
    """

    kind: Literal["local", "served"] = "local"
    model: str = Field(min_length=1)
    revision: str | None = None
    adapter: str | None = None
    quantise: Literal["4bit", "8bit"] | None = None
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    chunk: int = Field(default=32, ge=1, le=1024)
    endpoints: tuple[str, ...] = ()
    key_env: str = "CINEREWARD_JUDGE_KEY"
    concurrency: int = Field(default=16, ge=1, le=1024)
    timeout: float = Field(default=120.0, gt=0)
    mode: Literal["direct", "cot", "adaptive"] = "direct"
    showing: Showing = Showing()
    most_tokens: int = Field(default=512, ge=16, le=8192)
    entropy: float = Field(default=0.75, ge=0, le=1)
    disagreement: float = Field(default=0.35, ge=0, le=1)
    audit: float = Field(default=0.01, ge=0, le=1)
    seed: int = 0
    batch: int = Field(default=4, ge=1, le=256)
    cache: str | None = None
    weight: float = Field(default=0.5, ge=0, le=1)
    weights: dict[str, float] = {}
    questions: dict[str, float] = {}
    context: bool = True
    ensemble: tuple[dict[str, str | int | float | None], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> JudgeSettings:
        if (self.kind == "served") != bool(self.endpoints):
            raise ValueError(
                f"kind is {self.kind} with {len(self.endpoints)} endpoints; a served judge needs one or more"
            )
        for name, weight in [*self.weights.items(), *self.questions.items()]:
            if not weight >= 0:
                raise ValueError(f"the weight of {name} is {weight}; expected 0 or more")
        if odd := {name: weight for name, weight in self.weights.items() if weight > 1}:
            raise ValueError(f"weights of the judge against the evidence are {odd}; expected 0 to 1")
        return self

    def members(self) -> tuple[JudgeSettings, ...]:
        """This judge and the further ones of its ensemble, each without an ensemble of its own."""
        alone = self.model_dump(exclude={"ensemble"})
        return tuple(JudgeSettings.model_validate({**alone, **changes}) for changes in ({}, *self.ensemble))
