"""Where the loss of one image is lowest while the proxies stand still: no training, no data.

python -m harness study --study landscapes --figure landscapes.png

Figures 1 to 5, 11 and 12, Lemma III.1 and Proposition III.2 of DeMoor and Prevost 2024, arXiv
2408.15656. harness/measure/landscape_claims.py says in which form the two claims are taken, for the
paper's equations are lost in the text that we have, and why they hold.

What is chosen here: two proxies at the distance 2, four at the corners of a square with that side;
the warp at alpha = 2 with the slopes 0.5 and 1.5, stronger than the authors' 0.93 and 1.15, so that
it can be seen. The lemma is checked on 2,000 random increasing functions and on 2,000 that decrease
somewhere, the proposition on 200 random pairs.

Cost: about a minute of one CPU core.
"""

from harness.schema import Demonstration

STUDY = Demonstration(
    name="landscapes",
    values={
        "distance": 2.0,
        "alpha": 2.0,
        "k1": 0.5,
        "k2": 1.5,
        "starts": 12,
        "functions": 2000,
        "pairs": 200,
        "seed": 0,
    },
)
