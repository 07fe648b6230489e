"""The reality check of DeMoor and Prevost 2024, arXiv 2408.15656, Appendix D. The default study.

python -m harness study --loss warped --dataset cars

Cost: a loss on a dataset takes 250 trainings: 50 trials x 4 folds, 10 repeats x 4 folds and 10
Complete runs. On cub, cars (ResNet50) and sop (BN-Inception) expect GPU-days for each loss. Nobody
has run it there with this harness yet; results/README.md says which published numbers to compare
with. On glyphs (a small convnet, nothing to download) it takes hours on 2 CPU cores. `demo` is the
small version.

What the paper specifies: losses, trunks, max + average pooling, LayerNorm, RMSprop for all, halves
by class, 4 folds, 50 trials of Bayesian search on mean held-out MAP@R, two phases with follow-up
parameters of their own, 10 repeats, 128-d and 512-d, the epoch rule of Complete.
What it leaves open, and what is chosen here:
- folds: contiguous, so that each class is held out once;
- images: RandomResizedCrop 224 with torchvision's scale, flip, Resize 256 and CenterCrop 224, as in
  the authors' main experiments;
- batches: 8 classes x 4 images, as for the embedding losses of Musgrave et al. 2020, over epochs
  that see every image about once;
- optimiser: weight decay 1e-4 and momentum 0.9 (Musgrave et al.), BatchNorm not frozen;
- learning rates: searched over the same ranges for every loss (trunk and head 1e-6 to 1e-3, a
  loss's own parameters 1e-6 to 1, in the follow-up phase 0.01 to 1 times both);
- stopping: evaluation every epoch; 9 epochs without a strictly better score are a plateau, which is
  judged at evaluations alone; a run that ends at the most epochs instead is told as CAPPED;
- phases: the follow-up phase goes on from the best epoch of the normal phase and plateaus by a best
  of its own; the better of the two models is kept, and only its epochs count for Complete;
- Complete: where the rounding of its epochs leaves the normal phase none, it has its own average;
- head: its weights start at a deviation of sqrt(2 / dim), as in the authors' code. With RMSprop the
  same learning rate is then a relatively larger step at 512 dimensions than at 128, by a factor of
  2. The published protocol says nothing of it, so neither does this study; a study of one's own may
  set complete_lr_scale = "sqrt_dim";
- ensembles: they concatenate unit-length embeddings.
"""

from harness.schema import Study

STUDY = Study(
    name="appendix_d",
    losses=(
        "contrastive",
        "multi_similarity",
        "cosface",
        "arcface",
        "soft_triple",
        "proxy_nca",
        "normalized_softmax",
        "proxy_anchor",
        "proxy_nca_pp",
        "hist",
        "warped",
    ),
    datasets=("cub", "cars", "sop"),
    trunk="resnet50",
    per_dataset={
        "sop": {"trunk": "bn_inception", "recall_at": (1, 10, 100, 1000)},
        "inshop": {"recall_at": (1, 10, 20, 30, 40)},
        "glyphs": {
            "trunk": "convnet",
            "weights": "none",
            "resize": 32,
            "crop": 32,
            "train_crop": "none",
            "flip": 0.0,
            "lr": (1e-5, 1e-3),
            "max_epochs": 40,
            "followup_max_epochs": 20,
            "patience": 4,
        },
    },
)
