"""Promises of ``wsss ranking``."""

from tests.commands import wsss


def test_rows_that_lie_far_apart_keep_their_order_on_any_half_and_any_backbone(records):
    for backbone in ("resnet18", "resnet50"):
        for label, wrong in (("full", 0.05), ("boxes", 0.25), ("cam", 0.45), ("background", 0.7)):
            records.add(label, wrong=wrong, backbone=backbone)
    code, output = wsss("ranking", records.runs)
    assert code == 0
    assert "1.00 [1.00, 1.00]" in output
    assert "tau of 100 halves" in output
    assert "resnet18 against resnet50: tau 1.00; 0 of 6 pairs change places\n" in output


def test_rows_that_another_backbone_turns_round_are_named(records):
    for backbone, wrong in (("resnet18", (0.1, 0.2, 0.4)), ("resnet50", (0.2, 0.1, 0.4))):
        for label, part in zip(("one", "two", "three"), wrong, strict=True):
            for seed in (0, 1):
                records.add(label, wrong=part, backbone=backbone, seed=seed)
    code, output = wsss("ranking", records.runs, "--draws", 20)
    assert code == 0
    assert "resnet18 against resnet50: tau 0.33; 1 of 3 pairs change places: one and two\n" in output
    _, again = wsss("ranking", records.runs, "--draws", 20)
    assert again == output, "the halves are the same in every call"


def test_too_few_rows_and_an_unknown_score_are_one_sentence(records):
    for label in ("one", "two"):
        records.add(label)
    code, output = wsss("ranking", records.runs)
    assert (code, output.count("\n")) == (2, 1)
    assert "no backbone has three rows with a score 'val'" in output
    code, output = wsss("ranking", records.runs, "--score", "x")
    assert (code, output.count("\n")) == (2, 1)
