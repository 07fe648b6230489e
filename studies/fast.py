"""The shape of appendix_d for those who cannot wait: folds are raced and trunks compute in bf16.

python -m harness study --study fast --loss warped --dataset cub

A trial that falls behind the best one so far is not trained on its other folds, and the trunk
computes in bf16 where the device has it; on another the command says so and uses fp32. In
evaluation its BatchNorm is folded into its convolutions, which changes no more than rounding. The
first two depart from the published protocol: tables of this study say all three, with the folds
saved, and are to be compared with nothing that was published. Nobody has run it on photographs with
this harness yet. On glyphs it takes a part of appendix_d's hours on 2 CPU cores; how large a part
depends on the loss.
"""

import dataclasses

from studies.appendix_d import STUDY as APPENDIX_D

STUDY = dataclasses.replace(
    APPENDIX_D, name="fast", protocol="fast", race=True, precision="bf16", fold_batch_norm=True
)
