"""Training by hand is the harness's training: batches, gradients, epochs, embeddings, tables.

What is equal up to rounding is compared in float64, where it stays equal through a whole training.
In float32 only the first step is compared: see the fixture `float64`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_pre_hook

from harness.commands.bench import (
    agreement,
    by_hand,
    embedding,
    orchestration,
    photographs,
    pml_study,
    pml_training,
)
from harness.engines import conductor
from harness.engines.execute import Places
from harness.engines.jobs import Job
from harness.protocol import splits
from harness.schema import UNTRAINED, Dataset, Problem
from harness.tables import table
from harness.training import network, train
from losses import warped
from studies.smoke import STUDY as SMOKE
from tests.made import Inline

CPU = torch.device("cpu")
TINY = replace(
    SMOKE,
    iterations=3,
    classes_per_batch=4,
    images_per_class=2,
    dim=8,
    complete_dim=16,
    patience=1,
    max_epochs=2,
    evaluate_every=1,
    folds=2,
    per_dataset={},
)
PARAMS = {
    "lr": 1e-4,
    "loss_lr": 1e-2,
    "followup_lr_ratio": 0.3,
    "temperature": 2.0,
    "alpha": 20.0,
    "k1": 0.8,
    "k2": 1.2,
    "margin": 1.2,
    "followup_temperature": 1.0,
    "followup_alpha_ratio": 0.8,
    "followup_k1": 0.9,
    "followup_k2": 1.1,
}


@pytest.fixture(scope="module")
def grey() -> Dataset:
    """24 classes of 5 grey images of 32 pixels, told apart by a pattern under strong noise."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(24), 5)
    patterns = rng.integers(90, 166, (24, 8, 8)).repeat(4, 1).repeat(4, 2)
    noisy = patterns[labels] + rng.normal(0, 60, (120, 32, 32))
    images = np.clip(noisy, 0, 255).astype(np.uint8)[..., None]
    return Dataset("grey", images, labels, labels >= 12, [str(c) for c in range(24)], "made up")


@pytest.fixture
def inputs(grey, tmp_path) -> pml_training.Inputs:
    """What a study written by hand needs, on the grey images as PNG files."""
    return pml_training.Inputs(
        study=TINY,
        dataset="grey",
        loss="warped",
        files=photographs.files_of(grey, tmp_path / "files"),
        trainval=splits.trainval_part(grey, "official"),
        test=splits.test_part(grey, "official"),
        device=CPU,
        folder=tmp_path,
        loaders=0,
    )


@dataclass
class Steps:
    """What a training computed, step by step, whoever wrote its loop."""

    images: list[Tensor] = field(default_factory=list)  # as the trunk receives them
    labels: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)  # of every parameter, in their order


@contextlib.contextmanager
def recorded_steps() -> Iterator[Steps]:
    """Record the steps of the convnet's training with the warped loss."""
    steps = Steps()

    def before_forward(module, arguments):
        if isinstance(module, nn.Conv2d) and module.in_channels == 1 and module.training:
            steps.images.append(arguments[0].detach().clone())
        if isinstance(module, warped.Loss):
            steps.labels.append(arguments[1].clone())

    def before_step(optimiser, _arguments, _keywords):
        for group in optimiser.param_groups:
            steps.gradients.extend(parameter.grad.clone() for parameter in group["params"])

    hooks = (
        register_module_forward_pre_hook(before_forward),
        register_optimizer_step_pre_hook(before_step),
    )
    try:
        yield steps
    finally:
        for hook in hooks:
            hook.remove()


def trained_by_both(run, inputs):
    """The harness's training and the one by hand, each with its steps."""
    with recorded_steps() as our_steps:
        ours = train.start(run, inputs.trainval, CPU)
        for _ in train.epochs(ours):
            pass
    with recorded_steps() as their_steps:
        theirs = pml_training.train_one(run, inputs)
    return ours, our_steps, theirs, their_steps


@pytest.mark.slow
def test_the_whole_training_by_hand_is_the_harness_s_in_float64(inputs, float64, monkeypatch):
    monkeypatch.setattr(by_hand, "has_faiss", lambda: False)  # faiss knows float32 only
    study = replace(TINY, max_epochs=8, followup_max_epochs=4)
    inputs = replace(inputs, study=study)
    trained, followup_epochs = [], []
    for fold in (0, 1):
        run = inputs.run("search", seed=11 + fold, trial=0, params=PARAMS, fold=fold)
        ours, our_steps, theirs, their_steps = trained_by_both(run, inputs)
        torch.testing.assert_close(their_steps.labels, our_steps.labels, rtol=0, atol=0)
        torch.testing.assert_close(their_steps.images, our_steps.images, rtol=0, atol=1e-9)
        torch.testing.assert_close(their_steps.gradients, our_steps.gradients, rtol=0, atol=1e-8)
        assert theirs.epochs == ours.epochs_behind
        assert theirs.score == pytest.approx(ours.state.scores["map_at_r"], abs=1e-9)
        tester = by_hand.tester(unit=False, device=CPU, batch=16, loaders=0)
        embeddings, _ = tester.get_all_embeddings(
            inputs.images(inputs.test), *theirs.parts.values()
        )
        expected = network.embed(ours.network, inputs.test, study, CPU)
        assert expected.dtype == torch.float64
        torch.testing.assert_close(embeddings, expected, rtol=0, atol=1e-8)
        trained.append(len(their_steps.labels) // study.iterations)
        followup_epochs.append(theirs.epochs[1])
    assert min(trained) < 8, "no phase ended at a plateau"
    assert min(followup_epochs) == 0 < max(followup_epochs)  # one is taken back, one is kept


def test_the_first_step_by_hand_is_the_harness_s_in_float32(inputs):
    one_step = replace(inputs, study=replace(TINY, iterations=1, followup=False))
    run = one_step.run("complete", seed=5, trial=0, params=PARAMS, repeat=0, epochs=(1, 0))
    _, ours, _, theirs = trained_by_both(run, one_step)
    assert len(ours.labels) == len(theirs.labels) == 1
    assert torch.equal(theirs.labels[0], ours.labels[0])
    torch.testing.assert_close(theirs.images[0], ours.images[0], rtol=0, atol=1e-5)
    assert len(ours.gradients) == 4 * 3 + 2 + 1  # convolutions, BatchNorms, head, proxies
    for gradient, expected in zip(theirs.gradients, ours.gradients, strict=True):
        assert gradient.dtype == torch.float32
        error = float((gradient - expected).norm() / expected.norm())
        assert error < 1e-4


def test_the_tester_embeds_files_as_the_harness_embeds_the_cache(grey, tmp_path, float64):
    files = photographs.files_of(grey, tmp_path / "files")
    torch.manual_seed(0)
    model = network.build(TINY, 8, 1)
    ours = network.embed(model, splits.test_part(grey, "official"), TINY, CPU)
    torch.manual_seed(0)
    parts = by_hand.models(TINY, 8, 1)
    theirs = embedding.embeddings_by_tester(TINY, parts, files, CPU, "L")
    torch.testing.assert_close(theirs[grey.is_test], ours, rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_study_by_hand_gives_the_harness_s_table_in_float64(
    inputs, grey, tmp_path, float64, monkeypatch
):
    monkeypatch.setattr(by_hand, "has_faiss", lambda: False)
    monkeypatch.setattr("harness.data.datasets.load", lambda *_: grey)
    places = Places(tmp_path / "results", tmp_path / "data")
    space = orchestration.a_job(TINY, tmp_path / "unused").space
    folder = tmp_path / "results" / TINY.name / "grey"
    folder.mkdir(parents=True)
    jobs = [
        Job(TINY, "grey", loss, searched, folder / f"{loss}.jsonl")
        for loss, searched in (("warped", space), (UNTRAINED, {}))
    ]
    conductor.conduct(jobs, Inline(places), lambda *_: None)
    rows = table.table(TINY, "grey", {job.loss: job.records for job in jobs}).rows
    params = {r.trial: dict(r.params) for r in jobs[0].records if r.stage == "search"}
    theirs = pml_study.study(inputs, [params[0], params[1]])
    assert set(theirs) == {row.loss for row in rows} == {"warped", UNTRAINED}
    for row in rows:
        assert len(theirs[row.loss]) == len(row.cells) == 9
        for (category, metric), cell in row.cells.items():
            scores = theirs[row.loss][f"{category} {metric}"]
            assert scores == pytest.approx(list(cell.scores.values()), abs=1e-9)


# --- whether two tables agree, as far as their repeats can tell


def one_cell(*scores: float) -> agreement.Table:
    return {"a": {"complete map_at_r": list(scores)}}


def test_scores_that_differ_less_than_their_repeats_do_not_differ():
    verdict, line = agreement.notes(one_cell(0.40, 0.44), one_cell(0.41, 0.45))
    assert "scores do not differ in any of 1 cells" in verdict
    assert "n = 2 a side" in verdict
    assert "at most 1.0e-02 apart" in verdict
    assert "no spread" not in verdict
    assert line.startswith("a complete, ours minus the baseline: map_at_r -0.0100 ± ")
    assert line.endswith("(t intervals overlap)")


def test_scores_that_differ_more_than_their_repeats_are_named():
    ours = {"a": {"complete map_at_r": [0.40, 0.41, 0.42], "complete r_precision": [0.5, 0.6, 0.4]}}
    theirs = {
        "a": {"complete map_at_r": [0.50, 0.51, 0.52], "complete r_precision": [0.6, 0.5, 0.4]}
    }
    verdict, line = agreement.notes(ours, theirs)
    assert "SCORES DIFFER in 1 of 2 cells (a complete map_at_r)" in verdict
    assert "map_at_r -0.1000 ± " in line
    assert "(t intervals DO NOT OVERLAP), r_precision" in line


def test_cells_without_any_spread_are_not_tested_and_the_verdict_says_so():
    verdict, line = agreement.notes(one_cell(0.4, 0.4), one_cell(0.5, 0.5))
    assert "1 cells have no spread on either side and are not tested" in verdict
    assert "map_at_r -0.1000 (t intervals DO NOT OVERLAP)" in line


def test_no_cell_is_compared_that_one_table_lacks_or_that_has_a_single_repeat():
    more = {"a": {**one_cell(0.1, 0.2)["a"], "complete r_precision": [0.1, 0.2]}}
    with pytest.raises(Problem, match="a complete r_precision is in one of the two tables only"):
        agreement.differences(more, one_cell(0.1, 0.2))
    with pytest.raises(Problem, match="has 2 and 1 repeats; 2 of each are needed"):
        agreement.differences(one_cell(0.1, 0.2), one_cell(0.1))


scores = st.lists(st.floats(0, 1), min_size=2, max_size=5)


@given(st.lists(st.tuples(scores, scores), min_size=1, max_size=6))
def test_exchanging_the_tables_exchanges_the_signs_and_nothing_else(cells):
    ours = {"a": {f"complete {n}": one for n, (one, _) in enumerate(cells)}}
    theirs = {"a": {f"complete {n}": other for n, (_, other) in enumerate(cells)}}
    forward, backward = (
        agreement.differences(ours, theirs),
        agreement.differences(theirs, ours),
    )
    assert agreement.separable(forward) == agreement.separable(backward)
    for cell, difference in forward.items():
        assert backward[cell].mean == -difference.mean
