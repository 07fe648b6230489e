"""One training, and the record that it leaves."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.schema.fields import OPTIMISM, POOL, RECORD_FORMAT, Stage, Values
from harness.schema.problems import Problem
from harness.schema.study import Study


@dataclass(frozen=True)
class Run:
    """One training (or, for an ensemble, one scoring of four trained models), as data."""

    study: Study
    dataset: str
    loss: str
    stage: Stage
    seed: int
    params: Values
    trial: int
    repeat: int | None = None
    fold: int | None = None
    epochs: tuple[int, int] | None = None  # of the two phases, where they are given beforehand
    search_repeat: int = 0  # which repeat of the whole search the run belongs to

    def __post_init__(self) -> None:
        if (self.stage == POOL) != self.study.test_scored:
            raise Problem(
                f"study {self.study.name!r} asks for the stage {self.stage!r}; only the study "
                f"{OPTIMISM!r} has runs of the stage {POOL!r}, which are scored on test classes "
                "after every epoch, and it has no others"
            )

    @property
    def dim(self) -> int:
        """The number of dimensions of the run's embeddings."""
        return self.study.complete_dim if self.stage == "complete" else self.study.dim

    @property
    def key(self) -> str:
        """The run's name within its study, dataset and loss; says all that tells runs apart."""
        parts: list[str] = [self.stage]
        if self.search_repeat:
            parts.append(f"s{self.search_repeat}")
        parts.append(f"t{self.trial}")
        if self.repeat is not None:
            parts.append(f"r{self.repeat}")
        if self.fold is not None:
            parts.append(f"f{self.fold}")
        if self.epochs is not None:
            parts.append(f"e{self.epochs[0]}+{self.epochs[1]}")
        return "-".join(parts)


@dataclass(frozen=True)
class Record:
    """What one run left behind. One line on disk.

    `scores` are test scores (repeat, ensemble, complete) or held-out scores (search, the pool).
    `curve` has one entry per epoch: phase, epoch, mean training loss, held-out MAP@R where it was
    evaluated (of the pool, also its sum over the queries of each test class: test_sums); `epochs`
    are those behind the model that was kept, (normal, followup). `seconds` is the wall time on its
    slot, with what earlier attempts left in a checkpoint.
    """

    study: str
    dataset: str
    loss: str
    stage: Stage
    key: str
    seed: int
    params: Values
    trial: int
    repeat: int | None
    fold: int | None
    scores: Mapping[str, float]
    curve: Sequence[Mapping[str, Any]]
    epochs: tuple[int, int]
    failure: str | None
    seconds: float
    provenance: Mapping[str, Any]
    format: int = RECORD_FORMAT
    search_repeat: int = 0  # on disk only where it is not 0
    # Test scores by class, sums over its queries beside their number (measure/scores.py); of
    # final runs on at most BY_CLASS test classes, on disk only where they are there.
    by_class: Mapping[str, Sequence[float]] | None = None
    # Epochs trained in the two phases, and whether one ended at its limit before a plateau (of runs
    # with held-out classes; protocol/plateau.py); since rules 2, on disk only where they are set.
    epochs_run: tuple[int, int] | None = None
    capped: bool | None = None
    # Of the pool: queries of each test class, whose sums the curve holds; on disk only there.
    test_queries: Sequence[int] | None = None
    # The study's DIAGNOSTICS of a final run's test embeddings, as far as they are defined and
    # finite there; on disk only where the study has some.
    diagnostics: Mapping[str, float] | None = None
    # Over all other fields, as they stand on disk; records from before it have none.
    digest: str | None = dataclasses.field(default=None, compare=False)

    @property
    def name(self) -> str:
        """study/dataset/loss/key."""
        return f"{self.study}/{self.dataset}/{self.loss}/{self.key}"


def record_of(
    run: Run,
    *,
    scores: Mapping[str, float],
    curve: Sequence[Mapping[str, Any]],
    epochs: tuple[int, int],
    failure: str | None,
    seconds: float,
    provenance: Mapping[str, Any],
    by_class: Mapping[str, Sequence[float]] | None = None,
    epochs_run: tuple[int, int] | None = None,
    capped: bool | None = None,
    test_queries: Sequence[int] | None = None,
    diagnostics: Mapping[str, float] | None = None,
) -> Record:
    """What a run left behind, with the run's own names beside it."""
    return Record(
        study=run.study.name,
        dataset=run.dataset,
        loss=run.loss,
        stage=run.stage,
        key=run.key,
        seed=run.seed,
        params=run.params,
        trial=run.trial,
        repeat=run.repeat,
        fold=run.fold,
        scores=scores,
        curve=curve,
        epochs=epochs,
        failure=failure,
        seconds=seconds,
        provenance=provenance,
        search_repeat=run.search_repeat,
        by_class=by_class,
        epochs_run=epochs_run,
        capped=capped,
        test_queries=test_queries,
        diagnostics=diagnostics,
    )


def run_of(study: Study, record: Record) -> Run:
    """The run that left a record; a Problem if the record does not belong to the study."""
    given = re.search(r"-e(\d+)\+(\d+)$", record.key)
    run = Run(
        study=study,
        dataset=record.dataset,
        loss=record.loss,
        stage=record.stage,
        seed=record.seed,
        params=record.params,
        trial=record.trial,
        repeat=record.repeat,
        fold=record.fold,
        epochs=(int(given[1]), int(given[2])) if given else None,
        search_repeat=record.search_repeat,
    )
    if run.key != record.key or record.provenance.get("study") != study.digest():
        raise Problem(
            f"record {record.name} was not made by the study beside it (digest "
            f"{record.provenance.get('study')}, the study's {study.digest()}); it cannot be redone"
        )
    return run
