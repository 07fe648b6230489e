"""Numbers about embeddings beside the test scores, and how each is printed."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from typing import Literal

Better = Literal["higher", "lower", "neither"]


class Diagnostic(typing.NamedTuple):
    """A number about embeddings beside the test scores: how it is printed, and its values.

    `share`: a share of 1, printed in %. harness/measure/diagnostics.py says what each one measures.
    """

    title: str
    low: float
    high: float
    better: Better
    share: bool = False


DIAGNOSTICS: Mapping[str, Diagnostic] = {
    "nmi": Diagnostic("NMI", 0, 1, "higher", share=True),
    "ami": Diagnostic("AMI", -1, 1, "higher", share=True),
    "f1": Diagnostic("F1", 0, 1, "higher", share=True),
    "overclustering": Diagnostic("overclustering purity", 0, 1, "higher", share=True),
    "verification_accuracy": Diagnostic("verification", 0, 1, "higher", share=True),
    "d_prime": Diagnostic("d'", 0, math.inf, "higher"),
    "uniformity": Diagnostic("uniformity", -8, 0, "lower"),
    "alignment": Diagnostic("alignment", 0, 4, "lower"),
    "spectral_decay": Diagnostic("spectral decay", 0, math.inf, "neither"),
    "density_ratio": Diagnostic("density ratio", 0, math.inf, "neither"),
    "class_size_spread": Diagnostic("spread of class sizes", 0, math.inf, "neither"),
    "avg_dtp": Diagnostic("AvgDTP", 0, math.inf, "neither"),
    "map_at_r_many": Diagnostic("MAP@R, many images", 0, 1, "higher", share=True),
    "map_at_r_medium": Diagnostic("MAP@R, medium", 0, 1, "higher", share=True),
    "map_at_r_few": Diagnostic("MAP@R, few images", 0, 1, "higher", share=True),
}

# Those of training classes, by the third that they are in by their number of training images: of
# images that the study's `seen_class_images` leave out of training.
SEEN = ("map_at_r_many", "map_at_r_medium", "map_at_r_few")
