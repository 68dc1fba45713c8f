"""What of a file can reach a result, and its hash on every Python."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engine.code import syntax

ROOT = Path(__file__).parents[3]
SAMPLE = Path(__file__).parent / "syntax_sample.txt"
SAMPLE_SHA256 = "89a39b5c16ee190b4d56eaa42a00912f4b053720e266fdca12fea63f9cf4dadb"
FILES = sorted([*ROOT.glob("harness/**/*.py"), *ROOT.glob("plugins/**/*.py")])
HASH_ALL = """
import ast, importlib.util, pathlib, sys
spec = importlib.util.spec_from_file_location("syntax", sys.argv[1])
syntax = importlib.util.module_from_spec(spec)
spec.loader.exec_module(syntax)
for name in sys.argv[2:]:
    print(syntax.scan(ast.parse(pathlib.Path(name).read_bytes()))[0])
"""
RECORD = "from harness.contract import Card, GeneratorRecord, Reported, hookimpl\n"


def sha(source, **how):
    return syntax.scan(ast.parse(source), **how)[0]


def test_a_comment_a_docstring_or_a_reformat_changes_no_hash_of_any_file():
    for path in FILES:
        source = path.read_text(encoding="utf-8")
        rewritten = ast.unparse(ast.parse(source))  # no comments, other quotes, lines and parentheses
        assert sha(f'"""Other text."""\n# comment\n{rewritten}\n\n"""More."""\n') == sha(source), path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("def f(x):\n    return x + 1", "def f(x):\n    '''Doc.'''\n\n    return (x\n        + 1)  # why"),
        ("class A(B):\n    pass", 'class A(B):\n    """Doc."""'),
        ("x = 1", "x = 1\nif TYPE_CHECKING:\n    import torch"),
        ("x = f'a{y}b'", "x = f'a' f'{y}' 'b'"),
        ("x = f'{y}'", "x = f'{y:}'"),
        ("x = u'a'", "x = 'a'"),
        (RECORD + "CARD = Card('a', reported=(Reported(1.0, 'm', 'd', 's'),))", RECORD + "CARD = Card('b')"),
        (RECORD + "x = 1\n@hookimpl\ndef wsss_generators():\n    yield GeneratorRecord('a', 'b:c')", RECORD + "x = 1"),
    ],
)
def test_what_cannot_reach_a_result_is_not_in_the_hash(one, other):
    assert sha(one) == sha(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = a + b", "x = a - b"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = None", "x = ..."),
        ("x = [a, b]", "x = [b, a]"),
        ("x = f(a, b)", "x = f(a)(b)"),
        ("def f(*, a=None, b): ...", "def f(*, a, b=None): ..."),
        ("x = {**a}", "x = {None: a}"),
        ("if a:\n    b()\nelse:\n    c()", "if a:\n    b()\nc()"),
        ("return_ = f'{a!r}'", "return_ = f'{a}'"),
        ("Card(1)", "Card(2)"),  # not the contract's
    ],
)
def test_what_can_reach_a_result_is_in_the_hash(one, other):
    assert sha(one) != sha(other)


def test_hooks_and_records_count_where_a_factory_is_no_importable_name():
    one, other = (RECORD + f"CARD = GeneratorRecord('a', lambda p: {number})" for number in (1, 2))
    assert sha(one) == sha(other)
    assert sha(one, registration=True) != sha(other, registration=True)


def test_the_sample_uses_every_syntax_node_and_hashes_alike_on_every_python():
    tree = ast.parse(SAMPLE.read_text(encoding="utf-8"))
    used = {type(node).__name__ for node in ast.walk(tree)}
    concrete = {
        name
        for name, node in vars(ast).items()
        if isinstance(node, type)
        and issubclass(node, ast.AST)
        and not node.__subclasses__()
        and node.__module__ == "ast"
    }
    later = {"TypeAlias", "TypeVar", "ParamSpec", "TypeVarTuple", "TemplateStr", "Interpolation"}
    unparsed = {
        "Expression",
        "Interactive",
        "FunctionType",
        "Expr",
        "TypeIgnore",
        "Suite",
        "Param",
        "AugLoad",
        "AugStore",
    }
    older = {"Num", "Str", "Bytes", "NameConstant", "Ellipsis", "Index", "ExtSlice"}
    assert concrete - used <= later | unparsed | older
    assert syntax.scan(tree)[0] == SAMPLE_SHA256


def test_other_pythons_of_this_machine_hash_the_whole_tree_alike():
    names = [str(path) for path in FILES]
    expected = [sha(path.read_bytes()) for path in FILES]
    here = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in {here, "python3.11", "python3.12", "python3.13", "python3.14"}:
        command = shutil.which(python)
        if command is None or subprocess.run([command, "-V"], capture_output=True, check=False).returncode:
            continue  # a machine has the Pythons that it has; the sample above stands for the others
        done = subprocess.run(
            [command, "-c", HASH_ALL, syntax.__file__, *names], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == expected, python
