"""Run records on disk: one JSON file for each cell with its confusions beside it.

A record holds nothing that differs between two computations of the same cell, except ``seconds`` and the peaks. It
is written when the cell's last score is there, confusions first, each file in one step.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.common.atomic import write_atomically, writing
from harness.common.files import file_sha256, read_bytes, read_json
from harness.contract.errors import DataError, StoreError, WsssError
from harness.contract.run_record import Access, CountsFile, Failure, PluginInfo, RunRecord, Score, StageInfo
from harness.contract.scores import PSEUDO
from harness.engine.environment import merged
from harness.engine.plan.inputs import for_record
from harness.engine.plan.keys import public_protocol
from harness.engine.stage.kinds.scores import CONFUSIONS, SUMMARY, counts_file
from harness.engine.stage.meter import total
from harness.engine.store.store import Store
from harness.records.files import read_record

if TYPE_CHECKING:
    from harness.engine.plan.layout import Cell, Plan
    from harness.engine.plan.rows import ResolvedRow
    from harness.registry import PluginManager


class Records:
    """The records of one plan.

    Args:
        plan: What is run.
        store: Where the artifacts lie.
        manager: Plugins, for their provenance.
    """

    def __init__(self, plan: Plan, store: Store, manager: PluginManager) -> None:
        self._plan, self._store, self._manager = plan, store, manager
        self.folder = store.runs / "records" / plan.folder

    def path(self, cell: Cell) -> Path:
        """The record's file."""
        return self.folder / f"{cell.stem}.json"

    def current(self, cell: Cell) -> bool:
        """Whether a finished record of exactly this cell is there, with sound confusions."""
        try:
            record = read_record(self.path(cell))
        except DataError:
            return False
        described, stages = self._describe(cell), [(stage.name, stage.key) for stage in record.stages]
        if record.status != "ok" or stages != list(cell.stages):
            return False
        if record.model_dump(mode="json", include={*described, "stated", "pretrained"}) != described:
            return False
        files = {score.confusion: score.sha256 for score in record.scores.values()}
        files |= {counts.file: counts.sha256 for score in record.scores.values() for counts in score.counts.values()}
        try:
            return all(file_sha256(self.folder / file) == sha256 for file, sha256 in files.items())
        except WsssError:  # one is gone
            return False

    def drop(self, cell: Cell) -> None:
        """Remove the record of a cell that is about to be computed, so that no table shows what it was before."""
        with writing(self.path(cell)):
            self.path(cell).unlink(missing_ok=True)

    def write_scores(self, cell: Cell) -> None:
        """Write the record of a cell whose score artifacts are all there.

        Raises:
            StoreError: The folder cannot be written.
        """
        scores, summaries = {}, {}
        for score, key in zip(cell.row.score_names, cell.targets, strict=True):
            name, folder = str(score), self._store.folder(key)
            summary, stem = read_json(folder / SUMMARY, error=StoreError), f"{cell.stem}.{name}"
            summaries[name] = summary
            if score.split in self._plan.dataset.unmasked:
                continue
            counts: dict[Any, CountsFile] = {}
            for kind in self._plan.benchmark.protocol.scoring.counts:
                file = f"{stem}.{kind}.npz"
                counts[kind] = CountsFile(file=file, sha256=self._copy(folder / counts_file(kind), file))
            scores[name] = Score(
                split=summary["split"],
                confusion=f"{stem}.npz",
                sha256=self._copy(folder / CONFUSIONS, f"{stem}.npz"),
                images=summary["images"],
                counts=counts,
            )
        last = summaries.get(PSEUDO, {})
        self._write(cell, "ok", scores=scores, oracle=last.get("oracle"), label_coverage=last.get("label_coverage"))

    def _copy(self, source: Path, name: str) -> str:
        """Copy a file of the store beside the record, and return its SHA-256."""
        data = read_bytes(source, error=StoreError)
        write_atomically(self.folder / name, data)
        return hashlib.sha256(data).hexdigest()

    def write_failure(self, cell: Cell, status: Literal["failed", "timeout"], error: Failure) -> None:
        """Write the record of a cell that has no numbers."""
        self._write(cell, status, error=error)

    def _write(self, cell: Cell, status: Literal["ok", "failed", "timeout"], **content: Any) -> None:
        artifacts = {key: self._store.find(key) for _, key in cell.stages}
        present = [artifact for artifact in artifacts.values() if artifact is not None]
        stages = [
            StageInfo(
                name=role,
                key=key,
                seconds=artifact.seconds if (artifact := artifacts[key]) else None,
                peak_mib=artifact.peak_mib if artifact else None,
                peak_gpu_mib=artifact.peak_gpu_mib if artifact else None,
                device=artifact.device if artifact else None,
            )
            for role, key in cell.stages
        ]
        record = RunRecord(
            **self._describe(cell),
            status=status,
            stages=stages,
            meter={kind: Access(**access) for kind, access in total(a.meter for a in present).items()},
            environment=merged({**a.environment, "device": a.device} for a in present),
            **content,
        )
        write_atomically(self.path(cell), record.model_dump_json(indent=1) + "\n")

    def _describe(self, cell: Cell) -> dict[str, Any]:
        """The fields of a record that are known before anything ran, as JSON values."""
        row, card = cell.row, cell.row.record.card if cell.row.record else None
        code = {file: sha for _, key in cell.stages for file, sha in self._plan.stages[key].key_inputs["code"].items()}
        fields = {
            "benchmark": self._plan.benchmark.name,
            "fingerprint": self._plan.fingerprint,
            "protocol": public_protocol(self._plan.benchmark.protocol),
            "dataset": self._plan.dataset.model_dump(mode="json"),
            "label": row.label,
            "method": row.method,
            **computed_as(row),
            "reference": bool(row.record and row.record.reference and not row.recombined),
            "reconstruction": row.reconstruction,
            "trains_backbone": self._plan.benchmark.protocol.freeze is not None
            and any(part.trains_backbone for part in row.parts),
            "paper": card.paper if card else None,
            "year": card.year if card else None,
            "reported": row.reported,
            "supervision": row.supervision,
            **({"stated": row.stated} if row.stated else {}),
            **({"pretrained": row.pretrained} if row.pretrained else {}),
            "backbone": cell.backbone.name,
            "init": (cell.backbone.trained_on or "unknown") if cell.backbone.weights else "random",
            "init_sha256": cell.backbone.weights_sha256,
            "seed": cell.seed,
            "plugins": self._plugins(cell),
            "code": dict(sorted(code.items())),
        }
        plain: dict[str, Any] = json.loads(json.dumps(fields))
        return plain

    def _plugins(self, cell: Cell) -> list[dict[str, Any]]:
        row = cell.row
        names = {part.plugin for part in row.parts}
        if row.record is not None:
            names.add(self._manager.provider("method", row.method).name)
        states = {state.name: state for state in self._manager.plugins()}
        return [
            PluginInfo(name=name, distribution=states[name].distribution, version=states[name].version).model_dump(
                mode="json"
            )
            for name in sorted(names)
        ]


def computed_as(row: ResolvedRow) -> dict[str, Any]:
    """Parameters and components of a row as its records hold them, as JSON values."""
    rounds = [
        {
            "generator": item.generator.use,
            "refiners": [refiner.use for refiner in item.refiners],
            "segmenter": item.segmenter.use if item.segmenter else None,
            "warm_start": item.warm_start,
            **({"labels": False} if item.generator.placeholder else {}),
        }
        for item in row.rounds
    ]
    plain: dict[str, Any] = json.loads(json.dumps({"params": for_record(row.params), "rounds": rounds}))
    return plain
