"""Four losses for the command `robustness`: how they bear corrupted test images.

python -m harness study --study noise_robustness --dataset glyphs
python -m harness robustness noise_robustness/glyphs

Section IV-F and Table IV of DeMoor and Prevost 2024, arXiv 2408.15656: HIST, ProxyNCA++, the plain
and the warped softmax on CUB, each scored on clean test images and on nine corruptions of them. The
second command trains the Complete models of the first one's records again and corrupts the test
images; harness/data/corruptions.py has the strengths, which are those of the paper's library. It
takes the records of any other study as well.

What is chosen here: the network and the phases of an earlier demo, two trials, two folds and five
repeats, which search little: it shows the design and ranks no losses. Glyphs are grey, so that hue
and saturation change nothing, and of 32 pixels, on which the blur is stronger than on photographs.

Cost: on glyphs some 90 trainings of 5 to 10 s on one CPU core, 20 of them again for the second
command.
"""

from harness.schema import Study

STUDY = Study(
    name="noise_robustness",
    losses=("hist", "proxy_nca_pp", "euclidean_softmax", "warped"),
    datasets=("glyphs",),
    folds=2,
    trials=2,
    startup_trials=2,
    parallel_trials=2,
    repeats=5,
    classes_per_batch=8,
    images_per_class=4,
    per_dataset={
        "glyphs": {
            "trunk": "narrow_convnet",
            "weights": "none",
            "resize": 32,
            "crop": 32,
            "train_crop": "none",
            "flip": 0.0,
            "iterations": 18,
            "optimiser": "adam",
            "lr": (2e-3, 6e-3),
            "loss_lr": (2e-2, 6e-2),
            "followup_lr_ratio": (0.05, 0.5),
            "max_epochs": 48,
            "followup_max_epochs": 16,
            "evaluate_every": 4,
            "patience": 0,
            "complete_epochs_multiple": 4,
        },
    },
)
