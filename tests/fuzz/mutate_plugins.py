"""Mutations of plugin files: what they do at import, what their hooks yield, how their components behave."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.fuzz.mutate_texts import STATEMENTS

ACTS = [
    "raise KeyboardInterrupt", "raise GeneratorExit", "raise SystemExit(0)", "raise SystemExit('text')",
    "raise MemoryError", "raise RecursionError", "raise StopIteration", "raise ValueError('\\x1b[2J\\x07gone')",
    "raise ValueError('a\\nb\\nc')", "raise ValueError('x' * 100000)", "raise Unprintable", "import sys; sys.exit(7)",
    "1 / 0", "import nowhere", "assert False", "print('hello', flush=True)",
    "import warnings; warnings.warn('beware')", "raise ExceptionGroup('g', [ValueError('x')])",
    "import logging; logging.getLogger('x').warning('beware')", "return 5", "yield 5", "yield None", "yield from ()",
    "yield 5, 6", "yield GeneratorRecord('mine', 5)", "yield GeneratorRecord('', Mine)",
    "yield GeneratorRecord('a/b', Mine)", "yield GeneratorRecord('\\x1b[2J', Mine)",
    "yield GeneratorRecord(None, Mine)", "yield GeneratorRecord('mine', 'nowhere:Mine')",
    "yield GeneratorRecord('mine', Mine, params=5)", "yield GeneratorRecord('mine', Mine, params=dict)",
    "yield GeneratorRecord('mine', Mine, needs=5)", "yield GeneratorRecord('mine', Mine, needs=('x',))",
    "yield GeneratorRecord('mine', Mine, contract=99)", "yield GeneratorRecord('cam', Mine)",
    "yield MethodRecord('mine', 5)", "yield GeneratorRecord('mine', Mine); yield GeneratorRecord('mine', Mine)",
    "yield GeneratorRecord('x' * 300, Mine)",
    "while True:\n        yield GeneratorRecord('mine', Mine)\n        break",
    "raise type('Odd', (BaseException,), {})('text')", "yield RefinerRecord('mine', Mine)",
    "yield DatasetRecord('mine', Mine)", "yield GeneratorRecord('mine', Mine, summary=5)",
    "yield GeneratorRecord('mine', lambda params: None)", "yield GeneratorRecord('mine', lambda: None)",
    "import os; os.getpid()",
]  # fmt: skip
FUNCTIONS = [
    "@hookimpl\ndef wsss_nothing():\n    yield 5", "@hookimpl\ndef wsss_methods(a, b):\n    yield 5",
    "wsss_methods = 5", "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('mine', 5)",
    "@hookimpl\nclass wsss_methods: ...", "hookimpl = None", "@hookimpl\ndef wsss_run_started(run, extra):\n    pass",
    "@hookimpl(tryfirst=True)\ndef wsss_metrics():\n    yield 5",
    "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('mine', lambda p: ())",
    "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('mine', lambda p: (Round(Use('nowhere')),))",
    "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('mine', lambda p: (Round(Use('mine', {'size': 'x'})),))",
    "@hookimpl\ndef wsss_methods():\n    yield MethodRecord('mine', lambda p: (Round(Use('mine')),))",
    "@hookimpl\nasync def wsss_methods():\n    yield 5",
    "class Unprintable(Exception):\n    def __str__(self):\n        raise self",
    "def __getattr__(name):\n    raise ValueError(name)", "import sys; sys.modules[__name__] = None", "__name__ = 5",
    "__name__ = 'nowhere'", "__name__ = 'os'", "__file__ = 5", "__file__ = '/dev/zero'", "__file__ = None",
    "class Odd:\n    def __getattr__(self, name):\n        raise KeyboardInterrupt\nodd = Odd()", "del hookimpl",
    "Generator = None",
]  # fmt: skip
BODIES = [
    "return None", "return 5", "yield None", "yield 5", "yield PseudoLabel('x', None)",
    "yield PseudoLabel(view.ids[0], 5)", "yield PseudoLabel(view.ids[0], np.zeros((1, 1), np.uint8))",
    "yield PseudoLabel(view.ids[0], np.zeros((64, 64), float))", "raise SystemExit(0)", "raise KeyboardInterrupt",
    "raise GeneratorExit", "raise Unprintable", "raise ValueError('\\x1b[2J')", "view.mask(view.ids[0])",
    "view.image('nowhere')", "ctx.settings['nowhere']", "ctx.seed(5)", "(ctx.out / 'x').mkdir()",
    "yield from (PseudoLabel(i, np.full(view.size(i), 77, np.uint8)) for i in view.ids)", "import os; os.chdir('/')",
    "yield from [PseudoLabel(view.ids[0], np.zeros(view.size(view.ids[0]), np.uint8))] * 2", "raise MemoryError",
    "1 / 0", "print('hello')\n        yield from ()", "raise ValueError('a\\nb')", "yield view",
]  # fmt: skip


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by) if not text.startswith("while") else text


def acts(path: Path, rng: Random) -> None:
    """Something odd at import, in the hook, or in the hook of another file's kind."""
    text = path.read_text()
    act = rng.choice(ACTS)
    if rng.random() < 0.25 and not act.startswith(("yield", "return", "while")):
        text = text.replace("# here", act, 1)
    else:
        text = text.replace('    yield GeneratorRecord("mine", Mine, params=Params)', f"    {act}")
    path.write_text(text)


def functions(path: Path, rng: Random) -> None:
    """Other hooks, and names that mean something."""
    chosen = rng.choice(FUNCTIONS)
    text = path.read_text()
    path.write_text(text.replace("# here", chosen) if rng.random() < 0.5 else f"{text}\n\n{chosen}\n")


def bodies(path: Path, rng: Random) -> None:
    """A generator that does something else."""
    path.write_text(path.read_text().replace("        pass  # body", f"        {rng.choice(BODIES)}"))


def statements(path: Path, rng: Random) -> None:
    """Lines of a Python file replaced."""
    found = path.read_text().splitlines()
    at = rng.randrange(len(found))
    harmless = [text for text in STATEMENTS if "while True" not in text and "_exit" not in text]
    found[at : at + rng.choice((0, 1))] = [rng.choice(harmless)]
    path.write_bytes("\n".join(found).encode("utf-8", "surrogatepass"))
