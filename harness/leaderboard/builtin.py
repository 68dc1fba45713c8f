"""The built-in renderers, registered like those of any plugin."""

from __future__ import annotations

from collections.abc import Iterator

from harness.contract import RendererRecord, hookimpl


@hookimpl
def wsss_renderers() -> Iterator[RendererRecord]:
    """One frame, five texts."""
    yield RendererRecord("md", "harness.leaderboard.render:markdown", suffix=".md", summary="Markdown, for readers")
    yield RendererRecord("csv", "harness.leaderboard.render:csv", suffix=".csv", summary="CSV, one line per row")
    yield RendererRecord(
        "json", "harness.leaderboard.render:json_text", suffix=".json", summary="JSON, the whole frame"
    )
    yield RendererRecord("tex", "harness.leaderboard.render:latex", suffix=".tex", summary="LaTeX, booktabs")
    yield RendererRecord(
        "html", "harness.leaderboard.page.page:html", suffix=".html", summary="HTML, one offline page for people"
    )
