"""Makes one pickled call on the machine where it is started: ``python -m harness.engine.executors.remote CALL ANSWER``.

This is the door for executors that hand stages to a batch system, which starts commands and knows no Python. ``CALL``
holds two pickles, ``sys.path`` and the pair of a function and its arguments. ``ANSWER`` appears when the call has
ended, whole, and holds the pickled pair of whether it succeeded and what it returned or raised. The call runs in a
process of its own, so ``ANSWER`` appears also when that crashes; when the machine itself is lost, it never does.
"""

from __future__ import annotations

import pickle
import signal
import sys
from pathlib import Path
from types import FrameType


def main(call: Path, answer: Path) -> None:
    """Make the call and leave its answer; SIGTERM, by which batch systems end a command, ends the call too."""
    with call.open("rb") as file:
        sys.path[:] = pickle.load(file)
        function_and_args = file.read()
    from harness.common.atomic import write_atomically
    from harness.engine.executors.local import end_calls, run_isolated

    def stop(number: int, frame: FrameType | None) -> None:
        end_calls("")

    signal.signal(signal.SIGTERM, stop)
    try:
        outcome: tuple[bool, object] = (True, run_isolated(function_and_args, None))
    except Exception as error:
        outcome = (False, error)
    write_atomically(answer, pickle.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
