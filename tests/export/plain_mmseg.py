"""A program without this project: loads exported folders by mmseg and predicts; ``plain_mmseg.py IMAGES FOLDER...``.

Run it with ``python -P``, so that its own folder is not on the path. Writes ``predicted.npz`` into each folder.
"""

import importlib.util
import sys
import warnings
from importlib.abc import MetaPathFinder
from pathlib import Path

import numpy as np


class NoHarness(MetaPathFinder):
    """Refuses whatever belongs to this project, however it is installed."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "harness" or (name.startswith("wsss_") and not name.startswith("wsss_model_")):
            raise ImportError(f"{name} is part of the project that this program does without")


sys.meta_path.insert(0, NoHarness())
warnings.simplefilter("ignore")

from mmseg.apis import inference_model, init_model  # noqa: E402

images = sorted(Path(sys.argv[1]).glob("*.png"))
for folder in map(Path, sys.argv[2:]):
    model = init_model(str(folder / "config.py"), str(folder / "model.pth"), device="cpu")
    found = {path.stem: inference_model(model, str(path)).pred_sem_seg.data[0].numpy() for path in images}
    np.savez(folder / "predicted.npz", **found)
    (folder / "classes.txt").write_text(" ".join(model.dataset_meta["classes"]))
assert not [name for name in sys.modules if name.split(".")[0] == "harness"]
assert importlib.util.find_spec("torch") is not None
