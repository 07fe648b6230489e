"""appendix_d for those who cannot wait: folds are raced and trunks compute in bf16.

python -m harness study --study fast --loss warped --dataset cub

Three things differ from appendix_d. A trial that falls behind the best one so far is not trained on
its other folds. The trunk computes in bf16 where the device has it; on another device the command
says so and uses fp32. In evaluation the trunk's BatchNorm is folded into its convolutions, which
changes no more than rounding. The first two depart from the published protocol, so a table of this
study says all three, with the number of folds saved, and is not comparable with published numbers.

Cost: less than appendix_d; how much less depends on the loss. On glyphs appendix_d takes hours on
2 CPU cores. On photographs nobody has run this study with this harness yet. What the paper leaves
open is chosen as in appendix_d.
"""

import dataclasses

from studies.appendix_d import STUDY as APPENDIX_D

STUDY = dataclasses.replace(
    APPENDIX_D, name="fast", protocol="fast", race=True, precision="bf16", fold_batch_norm=True
)
