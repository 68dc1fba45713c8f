"""Whatever files hold, a command ends soon, with 0, 2 or 3, in at most one sentence a cause, and leaves no halves.

``WSSS_FUZZ_CASES`` multiplies the cases of the whole run (``pytest -m slow tests/fuzz``), ``WSSS_FUZZ_FIRST`` is the
number of the first case of every family, so that another day tries others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVE = [sys.executable, "-m", "tests.fuzz.serve"]
PROCESSES = 2
SLICE = {"image": 12, "mask": 12, "list": 10, "data set YAML": 8, "archive of Cityscapes": 10, "record": 8}
"""Cases of the default suite: families of few worlds."""
Result = dict[str, Any]


def served(cases: Iterable[str], folder: Path, *, processes: int = PROCESSES) -> list[Result]:
    """Run cases of the form ``FAMILY:NUMBER`` in ``processes`` servers; whole families stay together."""
    by_family: dict[str, list[str]] = {}
    for case in cases:
        by_family.setdefault(case.rpartition(":")[0], []).append(case)
    shares: list[list[str]] = [[] for _ in range(processes)]
    for family in sorted(by_family.values(), key=len, reverse=True):
        min(shares, key=len).extend(family)
    servers = [_start(share, folder / str(number)) for number, share in enumerate(shares)]
    return [result for server, share in zip(servers, shares, strict=True) for result in _results(server, share)]


def _start(share: list[str], folder: Path) -> tuple[subprocess.Popen[str], Path]:
    folder.mkdir(parents=True)
    (folder / "cases").write_text("".join(f"{case}\n" for case in share))
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}
    command = [*SERVE, str(folder)]
    with (folder / "cases").open() as cases, (folder / "results").open("w") as results:
        return subprocess.Popen(command, stdin=cases, stdout=results, env=environment, cwd=ROOT, text=True), folder


def _results(server: tuple[subprocess.Popen[str], Path], share: list[str]) -> list[Result]:
    process, folder = server
    assert process.wait() == 0
    found = [json.loads(line) for line in (folder / "results").read_text().splitlines()]
    assert len(found) == len(share)
    return found


def counts(results: Iterable[Result]) -> str:
    """Cases and endings of commands by family, as a table."""
    rows: dict[str, Counter[str]] = {}
    for result in results:
        row = rows.setdefault(result["family"], Counter())
        row["cases"] += 1
        row.update(f"exit {code}" if code in (0, 2, 3) else "other" for code in result["codes"])
        row["faults"] += len(result["wrong"])
    columns = ("cases", "exit 0", "exit 2", "exit 3", "other", "faults")
    rows["all"] = sum(rows.values(), Counter())
    lines = [f"{'family':24}{''.join(f'{column:>8}' for column in columns)}"]
    lines += [f"{name:24}{''.join(f'{row[column]:8}' for column in columns)}" for name, row in rows.items()]
    return "\n".join(lines)


def told(results: Iterable[Result]) -> list[str]:
    """What is wrong, a line for each fault, with how to repeat it."""
    return [
        f"{result['family']}:{result['number']} ({result['changed']}) "
        f"{wrong['command']}: {wrong['fault']}: {wrong['said']}"
        for result in results
        for wrong in result["wrong"]
    ]


@pytest.mark.timeout(300)
def test_a_slice_of_the_mutations_ends_in_one_sentence_a_cause(tmp_path):
    cases = [f"{family}:{number}" for family, most in SLICE.items() for number in range(most)]
    results = served(cases, tmp_path)
    assert len({code for result in results for code in result["codes"]}) > 1, "nothing was refused, or everything was"
    assert told(results) == []


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_over_1500_mutated_inputs_end_in_one_sentence_a_cause(tmp_path, capsys):
    families = json.loads(subprocess.check_output([*SERVE, "--list"], text=True, cwd=ROOT))
    times, first = float(os.environ.get("WSSS_FUZZ_CASES", "1")), int(os.environ.get("WSSS_FUZZ_FIRST", "0"))
    cases = [f"{name}:{first + number}" for name, most in families.items() for number in range(round(most * times))]
    results = served(cases, tmp_path)
    with capsys.disabled():
        sys.stdout.write(f"\n{counts(results)}\n")
    assert told(results) == []
    assert len(results) >= 1500 * min(times, 1)
