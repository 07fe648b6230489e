"""How fast losses learn, at equal steps: R@1 over steps and seconds, steps to fixed levels of R@1.

python -m harness study --study convergence --dataset glyphs

Every loss trains the same number of batches of the same size, without early stopping, and is scored
on its fold's held-out classes as it goes. Proxy-NCA (Movshovitz-Attias et al. 2017, arXiv
1703.07464) says that it converges about three times as fast as its baselines, triplet, npair and
lifted_structure, and ends higher; PD-Loss (its Fig. 3) shows R@1 over epochs without a number. The
page ends with both parts of the first claim, each judged by a stated rule; --figure draws the
curves.

Cost: on glyphs 6 losses x 16 runs of 10 to 17 s of one core: 10 minutes on two cores to themselves.
--loss contrastive d_loss and others join the same table.

What is chosen here:
- the learning rates decide the speed as much as the loss does, so they are searched for each loss,
  with its own parameters: 3 random trials, by held-out MAP@R at the best epoch. A search for the
  fastest run would be another experiment;
- R@1 is that of the held-out classes of a fold, seen in training by no model, and the test classes
  are scored once, after the end;
- a step is a batch. Seconds are the wall time of a run over its steps, evaluations included: they
  are of use only where nothing else ran on the machine;
- `triplet` is the loss over all triplets of a batch that are not satisfied, not the semi-hard ones
  of the paper's baseline;
- on glyphs: a small network from random weights. Which losses are fast on pretrained networks and
  photographs, this does not say.
"""

from harness.schema import Study

STUDY = Study(
    name="convergence",
    losses=(
        "proxy_nca",
        "triplet",
        "npair",
        "lifted_structure",
        "multi_similarity",
        "pd_loss",
    ),
    datasets=("glyphs",),
    stages=("search", "repeat"),
    curve=("precision_at_1",),
    folds=2,
    classes_per_batch=8,
    images_per_class=4,
    iterations=100,
    optimiser="adam",
    lr=(1e-6, 1e-3),
    loss_lr=(1e-4, 1e-1),
    followup=False,
    followup_max_epochs=0,
    max_epochs=40,
    evaluate_every=1,
    patience=40,
    trials=3,
    startup_trials=3,
    parallel_trials=3,
    repeats=5,
    per_dataset={
        "glyphs": {
            "trunk": "narrow_convnet",
            "weights": "none",
            "resize": 32,
            "crop": 24,
            "train_crop": "random_crop",
            "flip": 0.0,
            "dim": 64,
            "iterations": 15,
            "lr": (1e-3, 1e-2),
            "loss_lr": (1e-2, 2e-1),
            "max_epochs": 40,
            "evaluate_every": 2,
            "patience": 40,
        },
        "emoji": {"trunk": "efficientnet_lite0", "iterations": 20, "max_epochs": 16},
        "sop": {"trunk": "bn_inception"},
    },
)
