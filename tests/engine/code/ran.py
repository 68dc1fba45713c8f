"""Runs pickled stages, each in a fresh process, and tells which files of the harness and of plugins each one ran.

A stage's process is a fork of one that has imported the libraries and nothing of the harness, so that each is quick and
begins as a worker does. ``python ran.py JOBS RESULT``: JOBS holds a list of pickled jobs, RESULT gets a list of
``{"status", "imported", "called"}``; paths of modules that were imported while the stage ran, and of files of which a
function was called.
"""

import json
import os
import pickle
import sys
import threading
import traceback
from pathlib import Path


def import_libraries():
    import contextlib
    import io
    import warnings

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for name in (
            "torch",
            "numba",
            "cv2",
            "scipy.ndimage",
            "PIL.Image",
            "pydantic",
            "mmcv",
            "mmengine.runner",
            "mmseg",
        ):
            __import__(name)


def ran(job):
    """Run one stage in this process."""
    from harness.engine.stage import worker as stages

    job = pickle.loads(job)
    stages._worker_state(job)  # plugins and data set: what a worker does before any stage
    before = set(sys.modules)
    called = set()

    def note(frame, event, arg):
        if event == "call":
            called.add(frame.f_code.co_filename)

    loaded = stages.loaded

    def watched(stage):
        work = loaded(stage)

        def run(stage):
            threading.setprofile(note)
            sys.setprofile(note)
            try:
                work(stage)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)

        return run

    stages.loaded = watched
    result = stages.execute(job)
    new = [sys.modules[name] for name in set(sys.modules) - before]
    imported = {str(file) for module in new if (file := getattr(module, "__file__", None))}
    return {"status": result.status, "error": result.error, "imported": sorted(imported), "called": sorted(called)}


def forked(job):
    """What ``ran`` says, from a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            text = json.dumps(ran(job))
        except BaseException:
            text = json.dumps({"status": traceback.format_exc(), "error": None, "imported": [], "called": []})
        with os.fdopen(writing, "w") as file:
            file.write(text)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        found = json.loads(file.read())
    os.waitpid(child, 0)
    return found


if __name__ == "__main__":
    import_libraries()
    assert not [name for name in sys.modules if name.partition(".")[0] == "harness"]
    jobs = pickle.loads(Path(sys.argv[1]).read_bytes())
    Path(sys.argv[2]).write_text(json.dumps([forked(job) for job in jobs]))
