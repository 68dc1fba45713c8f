"""Compares the start of the commands that must feel instant with ``import torch``, each in a process of its own.

Run ``python -m speed.startup``. It prints one line per command, and ends with 1 when a command takes more than a
quarter of the time that ``import torch`` takes.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

WSSS = "from harness.cli.main import main; main()"
COMMANDS = {"wsss --help": [WSSS, "--help"], "wsss plugins list": [WSSS, "plugins", "list"]}
LIMIT = 0.25
"""Largest accepted share of the time of ``import torch``."""


def seconds(arguments: list[str], *, rounds: int = 5) -> float:
    """Median wall time of a Python process."""
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", *arguments], check=True, capture_output=True)
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> int:
    reference = seconds(["import torch"])
    print(f"import torch        {reference:6.2f} s")
    ratios = []
    for name, arguments in COMMANDS.items():
        taken = seconds(arguments)
        ratios.append(taken / reference)
        print(f"{name:19} {taken:6.2f} s  {ratios[-1]:.2f} of it")
    return int(max(ratios) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
