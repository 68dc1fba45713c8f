"""Names of scores and of their stages: what is written is what is read."""

import pytest

from harness.contract.scores import ScoreName, counts_score, score_names
from tests.engine.toy import make_plan


@pytest.mark.parametrize("rounds", [1, 2, 12])
@pytest.mark.parametrize("segmenter", [True, False])
def test_each_name_leads_back_to_its_score(rounds, segmenter):
    names = score_names(rounds, segmenter=segmenter)
    assert len({str(name) for name in names}) == len({name.stage for name in names}) == rounds + segmenter
    assert [ScoreName.parse(str(name), rounds) for name in names] == names
    assert all(counts_score(name.stage) for name in names)


def test_the_names_are_those_of_stored_records():
    assert [str(name) for name in score_names(3, segmenter=True)] == ["pseudo_r1", "pseudo_r2", "pseudo", "val"]
    assert ScoreName.parse("pseudo", 3).stage == "r3/score labels"
    assert ScoreName.parse("val", 3).stage == "score predictions"
    assert (ScoreName.parse("val", 3).kind, ScoreName.parse("pseudo_r1", 3).split) == ("score_predictions", "train")


@pytest.mark.parametrize("name", ["pseudo_r2", "pseudo_r3", "pseudo_r0", "train", "pseudo_r"])
def test_a_score_that_the_rounds_do_not_have_is_refused(name):
    with pytest.raises(ValueError, match="no such score, a record of its rounds has pseudo_r1, pseudo, val"):
        ScoreName.parse(name, 2)


def test_the_stages_of_a_cell_that_count_scores_are_those_of_its_names(write_config):
    plan, _ = make_plan(write_config())
    for cell in plan.cells:
        names = score_names(len(cell.row.rounds), segmenter=cell.val is not None)
        assert {role for role, _ in cell.stages if counts_score(role)} == {name.stage for name in names}
