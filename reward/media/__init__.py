"""Decode a clip once, in windows: frames, times, sound, and the features that operators share."""

from cinereward.media.reader import Reader, open_clip
from cinereward.media.shots import Shot, find_shots

__all__ = ["Reader", "Shot", "find_shots", "open_clip"]
