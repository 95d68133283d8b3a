"""The machine under a measurement: its accelerator, threads and caches, as far as torch and the system tell.

torch is asked only where the caller has loaded it; nothing here imports it.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

Call: TypeAlias = Callable[[], object]

_LINE = 64  # bytes of a cache line, or a part of one
_UNKNOWN_CACHE = 128 * 2**20  # bytes assumed where nothing tells; the buffer is then 256 MiB, as in triton's do_bench


def nothing() -> None:
    """Do nothing."""


def _accelerator() -> Any:
    """Return torch's accelerator (a torch.device), or None where torch is not loaded or has none; never imports torch."""
    torch = sys.modules.get("torch")
    return torch.accelerator.current_accelerator() if torch and torch.accelerator.is_available() else None


def device_of(result: object) -> str:
    """Return the device of a result; of one that has none (a list, a number), the accelerator that is waited for."""
    return str(getattr(result, "device", None) or _accelerator() or "cpu")


def wait_for(device: str) -> Call:
    """Return what waits for the accelerator: for the given one of several, otherwise for the current one."""
    accelerator = _accelerator()
    if accelerator is None:
        return nothing
    here = device if device.partition(":")[0] == accelerator.type else None
    return partial(sys.modules["torch"].accelerator.synchronize, here)


def threads() -> int | None:
    """Return how many threads torch computes with, or None where torch is not loaded."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def emptied(cache: str | Call, device: str) -> tuple[Call, str]:
    """Return what to do before each sample for a cache that is "hot", "cold" or emptied by a function, and that in words."""
    if callable(cache):
        return cache, "emptied by the caller's function"
    if cache == "hot":
        return nothing, "hot"
    size = 2 * (_last_level_cache(device) or _UNKNOWN_CACHE)
    name = f"cold ({size / 2**20:.0f} MiB overwritten before each sample)"
    accelerator = _accelerator()
    if accelerator is not None and device.partition(":")[0] == accelerator.type:
        torch: Any = sys.modules["torch"]
        return torch.empty(size, dtype=torch.uint8, device=device).zero_, name
    buffer, marks = bytearray(size), bytes(range(1, 251)) * -(-size // _LINE // 250)
    # One byte a line and not a memset, whose stores may go round the cache.
    return partial(buffer.__setitem__, slice(0, size, _LINE), marks[: size // _LINE]), name


def _last_level_cache(device: str) -> int | None:
    """Return the bytes of a device's last-level cache, or None where neither CUDA nor Linux tells."""
    if device.startswith("cuda"):
        return getattr(sys.modules["torch"].cuda.get_device_properties(device), "L2_cache_size", None)
    caches = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(path.read_text().strip().removesuffix("K")) * 1024 for path in caches), default=None)
