"""A recorded run, trained again: its model, or what it scores at other learning rates.

Records keep no models. A run gives the same model again on the same machine and versions, so that
what is seen of it is of the model behind the number; `Model.same` says whether its scores are the
recorded ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.data import datasets
from harness.engines import frozen_features
from harness.engines.execute import Places
from harness.engines.final_scores import masks_of, test_scores
from harness.measure.galleries import Masks
from harness.protocol import splits
from harness.schema import Dataset, Features, Part, Problem, Record, Run, Study, run_of
from harness.training import embeddings, precision, train

MODELS = ("repeat", "complete")  # stages whose runs end with one model that is scored on test


@dataclass(frozen=True)
class Model:
    """A recorded run's model, with the test images and the scores that it has on them now."""

    run: Run
    training: train.Training
    dataset: Dataset
    test: Part
    embedded: Tensor  # [n, D] of the test images, as the loss compares them
    scores: Mapping[str, float]
    same: bool  # whether the scores are the recorded ones, bit by bit

    @property
    def masks(self) -> Masks:
        """Queries, gallery and groups among the test images."""
        return masks_of(self.dataset, self.test)

    def scores_on(self, test: Part) -> dict[str, float]:
        """The scores on the same test images in another form, in the same order.

        Problem where the model takes features of a frozen trunk and no images.
        """
        return test_scores(self.run, self.embeddings_of(test), test, self.dataset)[0]

    def embeddings_of(self, part: Part) -> Tensor:
        """Embeddings [n, D] of other images, as the loss compares them.

        Problem where the model takes features of a frozen trunk and no images.
        """
        if self.training.network.takes_features:
            raise Problem(
                f"{self.run.loss} of study {self.run.study.name!r} was trained on features of a "
                "frozen trunk, so that it takes no images; name a study that trains the trunk"
            )
        return _embedded(self.training, part)


def model_of(study: Study, record: Record, places: Places) -> Model:
    """Train the record's run again. Problem where it ended with no model, or its data changed."""
    if record.stage not in MODELS or record.failure is not None:
        ended = f"failed ({record.failure})" if record.failure else f"is of stage {record.stage}"
        raise Problem(
            f"record {record.name} {ended} and has no model of its own to look at; name a record "
            f"of stage {' or '.join(MODELS)}"
        )
    run = run_of(study, record)
    loaded = dataset_of(record, study, places)
    if isinstance(loaded.images, Features):
        raise Problem(f"{record.dataset} holds features and no images, so there is nothing to see")
    training, test, embedded, scores = _trained(run, loaded, places)
    return Model(
        run=run,
        training=training,
        dataset=loaded,
        test=replace(test, images=loaded.images),
        embedded=embedded,
        scores=scores,
        same=scores == dict(record.scores),
    )


def scores_at(factor: float, study: Study, record: Record, places: Places) -> dict[str, float]:
    """Test scores of the record's run, trained again with its learning rates times a factor.

    The network's rate and the loss's own, in both phases. With 1 they are the recorded scores on
    the same machine and versions. Diverged where a value stops being finite. Test classes are
    scored, so nothing may be chosen by what comes out.
    """
    run = _at(factor, run_of(study, record))
    return _trained(run, dataset_of(record, study, places), places)[-1]


def held_out_scores_at(
    factor: float, longer: int, study: Study, record: Record, places: Places
) -> dict[str, float]:
    """Held-out scores of a search's run, trained again with its learning rates times a factor.

    Each phase has up to `longer` times the epochs of the study. With 1 and 1 they are the recorded
    scores on the same machine and versions. No test class is read. Diverged as in `scores_at`.
    """
    run = _at(factor, run_of(study, record))
    with_limits = replace(
        run.study,
        max_epochs=longer * run.study.max_epochs,
        followup_max_epochs=longer * run.study.followup_max_epochs,
    )
    loaded = dataset_of(record, study, places)
    training, _ = _training(replace(run, study=with_limits), loaded, places)
    return dict(training.state.scores)


def _at(factor: float, run: Run) -> Run:
    """The run with the learning rates of network and loss times a factor."""
    rates = {name: run.params.get(name, getattr(run.study, name)) for name in ("lr", "loss_lr")}
    scaled = {name: factor * rate for name, rate in rates.items() if not isinstance(rate, tuple)}
    return replace(run, params={**run.params, **scaled})


def dataset_of(record: Record, study: Study, places: Places) -> Dataset:
    """The record's dataset as it lies here. Problem where its images are no longer the recorded."""
    loaded = datasets.load(record.dataset, places.data, study.resize)
    if loaded.fingerprint != record.provenance["dataset"]:
        raise Problem(
            f"{record.dataset} is not the dataset of {record.name}: fingerprint "
            f"{loaded.fingerprint}, recorded {record.provenance['dataset']}; restore its images"
        )
    return loaded


def _trained(
    run: Run, loaded: Dataset, places: Places
) -> tuple[train.Training, Part, Tensor, dict[str, float]]:
    """The run trained to its end; the test images, their embeddings and scores."""
    training, dataset = _training(run, loaded, places)
    test = splits.test_part(dataset, run.study.halves)
    embedded = _embedded(training, test)
    return training, test, embedded, test_scores(run, embedded, test, dataset)[0]


def _training(run: Run, loaded: Dataset, places: Places) -> tuple[train.Training, Dataset]:
    """The run trained to its end on trainval classes alone; its dataset as it trains on it."""
    device = torch.device(places.device)
    precision.allow_tf32(run.study, device)
    dataset = frozen_features.of_dataset(loaded, run.study, places.data, device)
    training = train.start(run, splits.trainval_part(dataset, run.study.halves), device)
    for _ in train.epochs(training):
        pass
    return training, dataset


def _embedded(training: train.Training, test: Part) -> Tensor:
    return embeddings.for_retrieval(
        training.network, test, training.run, training.device, classes="test"
    )
