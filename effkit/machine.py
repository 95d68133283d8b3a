"""The machine under a measurement: its accelerator, threads, caches and memory, as far as torch and the system tell.

torch is asked only where the caller has loaded it; nothing here imports it.
"""

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

Call: TypeAlias = Callable[[], object]

UNKNOWN_CACHE = 128 * 2**20  # bytes assumed where nothing tells; a cold cache takes 256 MiB then, as triton's do_bench

_LINE = 64  # bytes of a cache line, or a part of one
_SYSTEM = Path("/")
# Where a container is told its limit of memory and what it uses without the files that are only cached: control groups 2, 1.
_LIMITS = (("memory.max", "memory.stat", "anon"), ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss"))


def nothing() -> None:
    """Do nothing."""


def _accelerator() -> Any:
    """Return torch's accelerator (a torch.device), or None where torch is not loaded or has none; never imports torch."""
    torch = sys.modules.get("torch")
    return torch.accelerator.current_accelerator() if torch and torch.accelerator.is_available() else None


def chosen_device(device: object = None) -> str:
    """Return the name of the device that was asked for: a torch.device or its name; None for the accelerator or the CPU.

    torch must be loaded. Raises ValueError, naming the devices that it has here, for another.
    """
    accelerator = _accelerator()
    count = sys.modules["torch"].accelerator.device_count() if accelerator else 0
    devices = ["cpu", *(f"{accelerator.type}:{index}" for index in range(count))]
    name = (accelerator.type if accelerator else "cpu") if device is None else str(device)
    if name not in devices and name not in {known.partition(":")[0] for known in devices}:
        raise ValueError(f"device must be one that torch has here ({', '.join(devices)}), not {name!r}")
    return name


def described(device: str) -> str:
    """Return a device with its maker's name for it where CUDA tells: "cuda:0 (Tesla T4)"."""
    return f"{device} ({sys.modules['torch'].cuda.get_device_name(device)})" if device.startswith("cuda") else device


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
    size = 2 * (last_level_cache(device) or UNKNOWN_CACHE)
    name = f"cold ({size / 2**20:.0f} MiB overwritten before each sample)"
    accelerator = _accelerator()
    if accelerator is not None and device.partition(":")[0] == accelerator.type:
        torch: Any = sys.modules["torch"]
        return torch.empty(size, dtype=torch.uint8, device=device).zero_, name
    buffer, marks = bytearray(size), bytes(range(1, 251)) * -(-size // _LINE // 250)
    # One byte a line and not a memset, whose stores may go round the cache.
    return partial(buffer.__setitem__, slice(0, size, _LINE), marks[: size // _LINE]), name


def last_level_cache(device: str, cores: int = 1) -> int | None:
    """Return the bytes of a device's last-level cache, or None where nothing tells: CUDA does, and Linux of a CPU.

    A CPU of many cores has several, one for each group of them: `cores` cores fill at most as many, the largest.
    """
    if device.startswith("cuda"):
        return getattr(sys.modules["torch"].cuda.get_device_properties(device), "L2_cache_size", None)
    accelerator = _accelerator()
    if accelerator is not None and device.partition(":")[0] == accelerator.type:
        return None
    found: dict[tuple[int, str], int] = {}
    for path in (_SYSTEM / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index*/size"):
        level, sharers = _text(path.with_name("level")), _text(path.with_name("shared_cpu_list"))
        found[int(level or 0), sharers] = int(_text(path).removesuffix("K")) * 1024
    last = max((level for level, _ in found), default=0)
    return sum(sorted((size for (level, _), size in found.items() if level == last), reverse=True)[:cores]) or None


def available_memory(device: str) -> int | None:
    """Return the bytes of memory that may still be used on a device, or None where nothing tells; torch must be loaded.

    Of a CPU: what Linux can give without swapping, and what is left of a container's limit; elsewhere all memory there is.
    """
    backend: Any = getattr(sys.modules["torch"], device.partition(":")[0], None)
    if hasattr(backend, "mem_get_info"):
        return int(backend.mem_get_info(device)[0])
    free = re.search(r"^MemAvailable: +(\d+) kB", _text(_SYSTEM / "proc/meminfo"), re.MULTILINE)
    found = [int(free[1]) * 1024] if free else []
    groups = _SYSTEM / "sys/fs/cgroup"
    for limit, statistics, name in _LIMITS:
        used = re.search(rf"^{name} (\d+)$", _text(groups / statistics), re.MULTILINE)
        if used and (most := _text(groups / limit)).isdigit():  # "max" where there is none
            found.append(max(int(most) - int(used[1]), 0))
    if not found and hasattr(os, "sysconf"):  # macOS
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def _text(path: Path) -> str:
    """Return what a file of the system says, or nothing where there is no such file or it may not be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
