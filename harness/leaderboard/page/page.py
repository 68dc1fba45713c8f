"""The frame as one HTML file that needs no network: sortable, filterable, printable, light and dark.

* What the page shows is computed here and in the modules beside this one; the templates only lay it out.
* Every text is escaped by the template engine, and a content security policy allows the page's own script alone: no
  name of a method can become code and no request can leave the page.
* The same frame gives the same bytes: no date, no version, no path.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.leaderboard import columns
from harness.leaderboard.frame import Board
from harness.leaderboard.page.claims import ClaimView, FailureView, ReportedView, claims_of, failures_of, reported_of
from harness.leaderboard.page.images import Images, images_of
from harness.leaderboard.page.pairs import PairTable, pairs_of
from harness.leaderboard.page.plots import Plot, Series, plots_of, series_of
from harness.leaderboard.page.rows import Column, RowView, table_of
from harness.leaderboard.page.settings import identity_of, settings_of
from harness.leaderboard.page.templating import TEMPLATES, environment
from harness.records.seeds import names_of


@dataclass(frozen=True)
class Page:
    """What ``page.html.j2`` lays out; parts that are empty are left out of the page."""

    title: str
    benchmark: str
    mixed: bool
    facts: list[tuple[str, str]]
    filters: list[tuple[str, list[str]]]
    columns: list[Column]
    rows: list[RowView]
    ceiling: float | None
    several_backbones: bool
    plots: list[Plot]
    series: list[Series]
    classes: list[str]
    pairs: list[PairTable]
    claims: list[ClaimView]
    all_claims: bool
    reported: list[ReportedView]
    failures: list[FailureView]
    images: Images | None
    identity: list[tuple[str, str]]
    settings: list[tuple[str, list[tuple[str, str]]]]
    notes: list[str]
    warnings: list[str]

    @property
    def answered_claims(self) -> list[ClaimView]:
        """The claims that the rows say something about; the others are folded."""
        return [claim for claim in self.claims if claim.answered]

    @property
    def other_claims(self) -> list[ClaimView]:
        """The claims that the rows cannot answer."""
        return [claim for claim in self.claims if not claim.answered]

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Anchor and name of the sections that the page has."""
        sections: list[tuple[str, str, Any]] = [
            ("table", "Results", True),
            ("cost", "Cost and quality", self.plots),
            ("classes", "Classes", self.classes),
            ("pairs", "Pairs", self.pairs),
            ("claims", "Claims", self.claims),
            ("reported", "Reported and measured", self.reported),
            ("failures", "Failures", self.failures),
            ("images", "Images", self.images),
            ("settings", "Settings", True),
            ("notes", "How to read the numbers", True),
        ]
        return [(anchor, name) for anchor, name, content in sections if content]


def to_html(board: Board) -> str:
    """The whole page."""
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(f"\n{script}".encode()).digest()).decode()
    template = environment().get_template("page.html.j2")
    return template.render(page=page_of(board), css=style, script=script, script_hash=f"sha256-{digest}")


def page_of(board: Board) -> Page:
    """Everything that the page says about ``board``."""
    table = table_of(board)
    series = series_of(board.rows)
    several = len({row.backbone for row in board.rows}) > 1
    return Page(
        title=columns.title(board),
        benchmark=board.benchmark,
        mixed=board.mixed,
        facts=_facts(board),
        filters=[
            ("supervision", sorted({row.supervision for row in board.rows})),
            ("backbone", sorted({row.backbone for row in board.rows})),
            ("data set", sorted({row.dataset for row in board.rows})),
        ],
        columns=table.columns,
        rows=table.rows,
        ceiling=table.ceiling,
        several_backbones=several,
        plots=plots_of(board.rows, series, name_backbones=several),
        series=list(series.values()),
        classes=board.dataset.classes if board.dataset and any(row.class_iou for row in board.rows) else [],
        pairs=pairs_of(board.comparisons),
        claims=claims_of(board),
        all_claims=board.all_claims,
        reported=reported_of(board.rows),
        failures=failures_of(board.rows),
        images=images_of(board),
        identity=identity_of(board),
        settings=settings_of(board),
        notes=board.notes,
        warnings=board.warnings,
    )


def _facts(board: Board) -> list[tuple[str, str]]:
    """Name and value of what stands at the top of the page."""
    rows = board.rows
    facts = []
    if board.dataset is not None:
        facts.append(("data set", board.dataset.name))
        facts.append(("classes", str(len(board.dataset.classes))))
        for split, count in sorted(board.dataset.images.items()):
            masks = ", no masks" if split in board.dataset.unmasked else ""
            facts.append((f"{split} images", f"{count:,}{masks}"))
    facts.append(("rows", str(len(rows))))
    same = columns.same_seeds(rows)
    facts.append(("seeds", names_of(rows[0].seeds) if same and rows else "named in each row"))
    failed = sum(row.error is not None or row.status != "ok" for row in rows)
    if failed:
        facts.append(("incomplete rows", str(failed)))
    facts.append(("fingerprint", (board.fingerprint or "several")[:8]))
    return facts


def html(params: object) -> Callable[[Board], str]:
    """The renderer's factory (``RendererRecord``); it takes no parameters."""
    return to_html
