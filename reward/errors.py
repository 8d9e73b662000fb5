"""One error class a boundary. Each message says what came, what was expected and what to do."""

from __future__ import annotations


class CinerewardError(Exception):
    """Anything this package raises on purpose."""


class ClipError(CinerewardError, ValueError):
    """A clip cannot be read, or its arguments contradict one another."""


class OperatorError(CinerewardError, RuntimeError):
    """An operator could not measure a clip; the clip's other measurements stand."""


class JudgeError(CinerewardError, RuntimeError):
    """The judge gave no usable verdict."""


class ConfigError(CinerewardError, ValueError):
    """A profile, taxonomy or table holds what it may not."""


class WeightsError(CinerewardError, RuntimeError):
    """Model weights are missing, or are not the ones the manifest names."""


class MissingExtraError(CinerewardError, ImportError):
    """A library outside the core is needed; the message names the extra that brings it."""

    def __init__(self, library: str, extra: str) -> None:
        """Name the library that is missing and the extra that installs it."""
        super().__init__(f'{library} is not installed; it comes with: pip install "cinereward[{extra}]"')
