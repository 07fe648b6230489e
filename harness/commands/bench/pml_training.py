"""One training written without this harness: PML's trainer and tester, two phases, early stop."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Sampler

from harness.commands.bench import by_hand
from harness.protocol import batches, search, splits
from harness.schema import Ints, Part, Run, Stage, Study
from harness.seeds import seed_from
from harness.training import network
from harness.training.state import PHASES

LOADER_BATCH = 256  # of the tester: faster than its default of 32


class SameBatches(Sampler[int]):
    """The batches that the harness draws from the same generator, one epoch per pass."""

    def __init__(self, study: Study, labels: Ints, rng: np.random.Generator) -> None:
        self.study, self.labels, self.rng = study, labels, rng

    def __len__(self) -> int:
        study = self.study
        return (study.iterations or 0) * study.classes_per_batch * study.images_per_class

    def __iter__(self) -> Iterator[int]:
        drawn = batches.fixed_batches(
            self.labels,
            classes=self.study.classes_per_batch,
            per_class=self.study.images_per_class,
            iterations=self.study.iterations or 0,
            rng=self.rng,
        )
        for batch in drawn:
            self.rng.random(len(batch))  # where the harness draws the flips
        yield from np.concatenate(drawn).tolist()


@dataclass(frozen=True)
class Trained:
    """A trained model's parts, its best held-out MAP@R, and the epochs of the two phases."""

    parts: dict[str, nn.Module]
    score: float
    epochs: tuple[int, int]


@dataclass(frozen=True)
class Inputs:
    """What all trainings of a study share: data on disk, loss, device, folder of the models."""

    study: Study
    dataset: str
    loss: str
    files: by_hand.Files
    trainval: Part
    test: Part
    device: torch.device
    folder: Path
    loaders: int

    def images(self, part: Part) -> by_hand.ImageFiles:
        """A part's files as the DataLoaders' dataset, labelled within the part."""
        trunk = network.trunk_of(self.study)
        mean, std = ([v / 255 for v in trunk.mean], [v / 255 for v in trunk.std])
        pairs = zip(part.index.tolist(), part.labels.tolist(), strict=True)
        files = [(self.files[i][0], label) for i, label in pairs]
        transform = by_hand.train_transform(self.study, mean, std)
        return by_hand.ImageFiles(files, transform, "L" if trunk.grey else "RGB")

    def run(
        self,
        stage: Stage,
        *,
        seed: int,
        trial: int,
        params: Mapping[str, Any],
        fold: int | None = None,
        repeat: int | None = None,
        epochs: tuple[int, int] | None = None,
    ) -> Run:
        """The harness's description of one training."""
        return Run(
            study=self.study,
            dataset=self.dataset,
            loss=self.loss,
            stage=stage,
            seed=seed,
            params=params,
            trial=trial,
            repeat=repeat,
            fold=fold,
            epochs=epochs,
        )


def train_one(run: Run, inputs: Inputs) -> Trained:
    """Train as the run says: two phases, each until MAP@R on the held-out classes plateaus."""
    study, module = run.study, importlib.import_module(f"losses.{run.loss}")
    train, held_out = _parts(run, inputs)
    torch.manual_seed(seed_from(run.seed, "network"))
    parts = by_hand.models(study, run.dim, channels=1 if network.trunk_of(study).grey else 3)
    tester = by_hand.tester(
        unit=module.RETRIEVAL == "cosine",
        device=inputs.device,
        batch=LOADER_BATCH,
        loaders=inputs.loaders,
    )
    rng = np.random.default_rng(seed_from(run.seed, "batches"))
    best_paths = [inputs.folder / f"best-{phase}.pth" for phase in PHASES]
    best_scores, epochs = [-math.inf, -math.inf], [0, 0]
    limits = run.epochs or (study.max_epochs, study.followup_max_epochs)
    saved: dict[str, Any] | None = None
    for phase, params in enumerate(search.loss_params({}, run.params)):
        loss = module.Loss(n_classes=train.n_classes, dim=run.dim, **params)
        models = {**parts, "metric_loss": by_hand.ForTrainer(loss, module.EMBEDDING == "unit")}
        for model in models.values():
            model.to(inputs.device)
        optimizers = _optimizers(run, models, phase)
        if saved is not None:
            _restore(saved, models, optimizers)

        # the loop's variables are bound as defaults, to be those of this phase
        def epoch_ended(trainer: Any, phase: int = phase, live: Any = (models, optimizers)) -> bool:
            if held_out is None:
                epochs[phase] = trainer.epoch
                torch.save(_states(*live), best_paths[phase])
                return True
            is_due = trainer.epoch % study.evaluate_every == 0
            if is_due or trainer.epoch == limits[phase]:
                tester.test({"val": inputs.images(held_out)}, trainer.epoch, *parts.values())
                score = tester.all_accuracies["val"][f"{by_hand.METRICS['map_at_r']}_level0"]
                if score > best_scores[phase]:
                    best_scores[phase], epochs[phase] = score, trainer.epoch
                    torch.save(_states(*live), best_paths[phase])
            return bool(not is_due or trainer.epoch - epochs[phase] <= study.patience)

        if limits[phase]:
            by_hand.trainer(
                parts,
                models["metric_loss"],
                optimizers,
                inputs.images(train),
                batch=study.classes_per_batch * study.images_per_class,
                device=inputs.device,
                sampler=SameBatches(study, train.labels, rng),
                dataloader_num_workers=inputs.loaders,
                end_of_epoch_hook=epoch_ended,
            ).train(num_epochs=limits[phase])
            saved = torch.load(best_paths[phase], map_location=inputs.device)
            _restore(saved, models, optimizers)
    if held_out is not None and best_scores[1] <= best_scores[0]:  # the follow-up phase is worse
        epochs[1] = 0
        _load_parts(best_paths[0], parts, inputs.device)
    return Trained(parts, max(best_scores), (epochs[0], epochs[1]))


def _load_parts(path: Path, parts: dict[str, Any], device: torch.device) -> None:
    """Put the parts' states of a file back."""
    states = torch.load(path, map_location=device)
    for name, model in parts.items():
        model.load_state_dict(states[name])


def _parts(run: Run, inputs: Inputs) -> tuple[Part, Part | None]:
    if run.fold is None:
        return inputs.trainval, None
    study = run.study
    split = splits.fold(
        inputs.trainval.labels, study.fold_layout, folds=study.folds, number=run.fold
    )
    return inputs.trainval.take(split.train), inputs.trainval.take(split.held_out)


def _optimizers(run: Run, models: dict[str, nn.Module], phase: int) -> dict[str, Any]:
    lowered: float = run.params["followup_lr_ratio"] if phase else 1.0
    rates = {name: float(run.params["lr"]) for name in models}
    rates["metric_loss"] = float(run.params.get("loss_lr", run.params["lr"]))
    return {
        f"{name}_optimizer": torch.optim.RMSprop(
            model.parameters(),
            lr=lowered * rates[name],
            weight_decay=run.study.weight_decay,
            momentum=run.study.momentum,
        )
        for name, model in models.items()
        if any(True for _ in model.parameters())
    }


def _states(models: dict[str, nn.Module], optimizers: dict[str, Any]) -> dict[str, Any]:
    return {name: part.state_dict() for name, part in {**models, **optimizers}.items()}


def _restore(saved: dict[str, Any], models: dict[str, nn.Module], optimizers: Any) -> None:
    """Put the best epoch back; optimizers keep the rates of their phase."""
    for name, model in models.items():
        model.load_state_dict(saved[name])
    for name, optimizer in optimizers.items():
        rate = optimizer.param_groups[0]["lr"]
        optimizer.load_state_dict(saved[name])
        optimizer.param_groups[0]["lr"] = rate
