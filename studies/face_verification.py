"""Seven losses for the command `pairs`: are two images of one class, as faces are verified?

python -m harness study --study face_verification --dataset glyphs
python -m harness pairs face_verification/glyphs

and the same with emoji, where heads are trained on the frozen features of EfficientNet-Lite0.

Section IV-H and Table V of DeMoor and Prevost 2024, arXiv 2408.15656: plain and warped softmax,
softmax of cosines, SphereFace, ArcFace, CosFace and MagFace train on identities, and are judged by
pairs of identities that no training saw. Theirs are a ResNet100 on MS1MV2 and LFW, CFP-FP,
AgeDB-30, CALFW and CPLFW; here the identities are characters. The second command trains the
Complete models of the first one's records again. Its --pairs takes the files of those benchmarks,
for a study on `--dataset folder:FACES` with aligned crops.

What is chosen here: the network and the phases of an earlier demo, two trials, two folds and four
repeats, which search little: it shows the design and ranks no losses. Numbers are those at the end
of training; the released log of the paper's code shows the peaks over evaluations, each benchmark
at its own.

Cost: on glyphs 133 trainings of 3 to 8 s on one CPU core, 28 of them again for the second command.
"""

from harness.schema import Study

STUDY = Study(
    name="face_verification",
    losses=(
        "normalized_softmax",
        "sphereface",
        "arcface",
        "cosface",
        "magface",
        "euclidean_softmax",
        "warped",
    ),
    datasets=("glyphs",),
    diagnostics=("verification_accuracy", "d_prime"),
    stages=("search", "repeat", "complete"),
    folds=2,
    trials=2,
    startup_trials=2,
    parallel_trials=2,
    repeats=4,
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
            "followup_lr_ratio": (0.1, 0.5),
            "max_epochs": 32,
            "followup_max_epochs": 12,
            "evaluate_every": 4,
            "patience": 0,
            "complete_epochs_multiple": 4,
        },
        "emoji": {
            "trunk": "efficientnet_lite0",
            "freeze_trunk": True,
            "pooling": "avg",
            "resize": 224,
            "train_crop": "centre_crop",
            "flip": 0.0,
            "classes_per_batch": 32,
            "lr": (1e-4, 2e-3),
            "loss_lr": (1e-3, 1e-1),
            "max_epochs": 16,
            "followup_max_epochs": 8,
            "evaluate_every": 4,
            "patience": 0,
            "complete_epochs_multiple": 4,
            "evaluate_batch": 32,
        },
    },
)
