"""What several operators need of a window and a network must tell: worked out once, whoever asks first.

def boxes(windows):  # (windows that nobody asked about yet) -> one value each
found = shared("yolo11m boxes", windows, boxes)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from cinereward.types import Window

Value = TypeVar("Value")

_locks: dict[Hashable, threading.Lock] = {}
_guard = threading.Lock()


def shared(
    key: Hashable, windows: Sequence[Window], make: Callable[[Sequence[Window]], Sequence[Value]]
) -> list[Value]:
    """One value for each window, kept with the window for whoever asks next.

    Args:
        key: says what it is, and by which weights. make: from the windows that have no such value yet to one value
            each; none of them may depend on the other windows. What it raises reaches the caller, and nothing is kept.
    """
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        kept = [getattr(window.features, "shared", None) for window in windows]
        stores: list[dict[Any, Any]] = [{} if store is None else store for store in kept]
        missing = [at for at, store in enumerate(stores) if key not in store]
        if missing:
            made = make([windows[at] for at in missing])
            for at, value in zip(missing, made, strict=True):
                stores[at][key] = value
        return [store[key] for store in stores]
