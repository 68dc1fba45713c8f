"""A synthetic data set whose undeclared masks may be noise: the parameter ``clean`` lists what a method declared."""

from pydantic import BaseModel, ConfigDict

from harness.contract import DatasetRecord, Need, Supervision, hookimpl


class Params(BaseModel):
    model_config = ConfigDict(extra="forbid")

    poisoned: bool
    clean: list[tuple[float, bool]] = []  # (fraction, auxiliary) of every declared need of masks
    size: int = 64
    train: int = 8
    val: int = 4


def make(params):
    from harness.data.params import SyntheticParams
    from harness.data.synthetic import SyntheticDataset
    from harness.testing.poison import PoisonedDataset

    shape = params.model_dump(include={"size", "train", "val"})
    dataset = SyntheticDataset(SyntheticParams(**shape, classes=3, auxiliary_classes=2, points=1, scribbles=True))
    needs = [Need(Supervision.MASKS, fraction, auxiliary) for fraction, auxiliary in params.clean]
    return PoisonedDataset(dataset, needs) if params.poisoned else dataset


@hookimpl
def wsss_datasets():
    yield DatasetRecord("poison_test", factory=make, params=Params)
