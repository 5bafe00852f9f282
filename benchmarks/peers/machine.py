"""What the machine is: no names, no paths."""

import os
import platform
from pathlib import Path

from protocol import threads

__all__ = ["machine"]


def machine() -> dict:
    """Processor, threads, memory in GB and operating system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "threads": threads(),
        "memory": round(memory / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
