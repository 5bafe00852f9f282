"""Files that unpack to more than the machine can hold are refused before they do."""

import os
import re
from pathlib import Path

from tfp_flows.errors import InputError

__all__ = ["check_memory", "free_memory"]


def free_memory() -> float:
    """Bytes that a process may still take; infinity where the system does not tell."""
    try:
        found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="ascii"), re.MULTILINE)
        return 1024 * int(found[1]) if found else float("inf")
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def check_memory(name: str, size: int) -> None:
    """Raises `InputError` if what unpacks to so many bytes does not fit into memory."""
    free = free_memory()
    if size > free:
        raise InputError(
            f"{name} unpacks to {size / 2**30:.3g} GiB or more, and {free / 2**30:.3g} GiB of memory are free; write a "
            "part of it into a file of its own."
        )
