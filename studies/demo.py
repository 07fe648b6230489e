"""All of appendix_d, but small: every stage of a study on glyphs in minutes on a laptop.

python -m harness study --study demo --loss contrastive multi_similarity --dataset glyphs

Cost: results/reference/demo_glyphs.md has its time, memory and table. There are 3 trials and 5
repeats. An epoch is 12 batches of 32 images instead of the 3,600 images of the training part. A run
is evaluated after every second epoch, and a phase ends at the first evaluation that brings nothing.
So every run ends at a plateau; one that did not would count as CAPPED in the table. The follow-up
phase lowers the learning rate little, because at a tenth of it scores creep up for very long.

The two losses are pair losses, because these get to a plateau in some 300 batches from random
weights, where proxies have to be learned first. The scores are real: the characters are unseen and
nothing is chosen on them. But the study ranks no losses: 3 trials search little, also where the
ranges of contrastive are narrowed to margins that separate anything. What the paper leaves open is
chosen as in appendix_d, except for the values below. Two choices are not the published protocol's:
the trunk, and Adam in place of RMSprop, because it gets further in the same number of steps.
"""

from harness.schema import Study

STUDY = Study(
    name="demo",
    losses=("contrastive", "multi_similarity"),
    datasets=("glyphs",),
    trunk="strided_convnet",
    weights="none",
    resize=32,
    crop=32,
    train_crop="none",
    flip=0.0,
    classes_per_batch=8,
    images_per_class=4,
    iterations=12,
    optimiser="adam",
    loss_ranges={"contrastive": {"pos_margin": (0.0, 0.4), "neg_margin": (0.5, 1.2)}},
    lr=(4e-3, 1e-2),
    loss_lr=(2e-2, 6e-2),
    followup_lr_ratio=(0.3, 0.6),
    max_epochs=48,
    followup_max_epochs=24,
    evaluate_every=2,
    patience=0,
    trials=3,
    startup_trials=2,
    parallel_trials=2,
    repeats=5,
    complete_epochs_multiple=4,
)
