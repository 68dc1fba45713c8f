"""Programs and commands use the same names: a function is its command's, a parameter its option's."""

import inspect

import pytest
from typer.main import get_command

import harness
from harness.cli.main import app

COMMANDS = get_command(app).commands
FUNCTIONS = {
    "run": harness.run,
    "leaderboard": harness.Runs.leaderboard,
    "compare": harness.Runs.compare,
    "show": harness.Runs.show,
    "export": harness.Runs.export,
}
ARGUMENTS = {"run": ["benchmark"], "leaderboard": [], "compare": ["a", "b"], "show": ["row"], "export": ["row"]}
"""Parameters that are no options, in the order in which they are typed."""

OF_PROGRAMS = {"run": {"progress"}}
"""Parameters without an option: what a command always shows."""

OF_COMMANDS = {
    "run": {"table"},
    "leaderboard": {"format", "out", "claims", "all-claims", "override", "runs", "plugin"},
    "compare": {"out", "images", "config", "runs", "plugin"},
    "export": {"runs", "plugin"},
    "show": {"open", "out", "config", "runs", "plugin"},
}
"""Options without a parameter: about files and pictures that a command writes, and what ``harness.load`` is given."""


def options(command):
    return {name.removeprefix("--") for item in COMMANDS[command].params for name in item.opts if name.startswith("--")}


def parameters(command):
    given = list(inspect.signature(FUNCTIONS[command]).parameters.values())
    return [parameter.name for parameter in given if parameter.name != "self"]


def option_of(name, command):
    """The option of a parameter: of the same name, or in the singular where it can be repeated."""
    hyphened = name.replace("_", "-")
    return next((form for form in (hyphened, hyphened.removesuffix("s")) if form in options(command)), None)


@pytest.mark.parametrize("command", FUNCTIONS)
def test_a_function_has_the_parameters_of_its_command(command):
    names = parameters(command)
    first = ARGUMENTS[command]
    assert names[: len(first)] == first
    typed = [item for item in COMMANDS[command].params if item.param_type_name == "argument"]
    assert command == "leaderboard" or len(typed) == len(first)
    found = {name: option_of(name, command) for name in names[len(first) :]}
    assert {name for name, option in found.items() if option is None} == OF_PROGRAMS.get(command, set())
    left = options(command) - set(found.values())
    assert left == OF_COMMANDS[command] | ({"help"} & left)


@pytest.mark.parametrize("command", FUNCTIONS)
def test_parameters_have_the_defaults_of_their_options(command):
    defaults = {name: item.default for item in COMMANDS[command].params for name in item.opts}
    for name, parameter in inspect.signature(FUNCTIONS[command]).parameters.items():
        option = option_of(name, command)
        if option is not None and parameter.default not in ((), None):
            assert str(parameter.default) == str(defaults[f"--{option}"]), name


def test_what_a_program_asks_of_one_row_is_what_export_and_predict_take():
    model = set(inspect.signature(harness.Runs.model).parameters) - {"self", "row"}
    assert model == {"device", "crf", "seed", "backbone"} <= options("predict")
    assert {"labels", "predictions", "model"} <= options("export")
    assert all(hasattr(harness.Runs, name) for name in ("labels", "predictions", "model"))


def test_what_a_program_loads_is_what_the_commands_take():
    assert list(inspect.signature(harness.load).parameters) == ["runs", "plugins"]
    for command in ("leaderboard", "compare", "show", "export"):
        assert {"runs", "plugin"} <= options(command)
