"""A frame with everything that a page can show."""

import io

from PIL import Image

from harness.leaderboard import build_board, load_runs
from harness.leaderboard.page.panels import Gallery, Panel, RowMap
from tests.leaderboard.board_records import Records, fill


def make_board(folder):
    board = build_board(load_runs(fill(Records(folder / "runs")).runs))
    return board.model_copy(update={"gallery": gallery(["full", "cam_new", "box_fill"])})


def gallery(names):
    panels = [
        Panel(split=split, name=f"{split}0", image=png(90), truth=png(200), maps=maps(names), against=against)
        for split, against in (("train", "truth"), ("val", "full"))
    ]
    return Gallery(panels=panels, palette=[("cat", "#800000")], marks={"val": [("same", "#ffffff")]}, note="By hash.")


def maps(names):
    return [
        RowMap(method=name, backbone="resnet18", label=png(1), change=png(2), share={"wrong": 0.5}) for name in names
    ]


def png(value):
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (value, 40, 120)).save(file, "PNG")
    return file.getvalue()
