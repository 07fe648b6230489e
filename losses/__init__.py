"""One loss, one file: the folder is the registry, and a file's name is the loss's name everywhere.

A loss file defines, at module level (files that start with an underscore are not losses):

PAPER      str   authors, year, title, where; then the equation implemented
YEAR       int   year of the paper
KIND       str   "pair", "proxy", "ranking", "classification" or "hybrid"
EMBEDDING  str   what `forward` receives: "unit" (the harness L2-normalises the network's output
                 first) or "unbounded" (the head's raw output)
RETRIEVAL  str   how the embeddings are compared at evaluation: "cosine" or "euclidean"
PER_CLASS  int   fewest images of a class that a batch must hold for the loss to learn (1: any
                 sampler will do; 2: positives are needed); batches always hold the same number of
                 every class they hold, class after class
OWN_PARAMETERS bool  whether the loss has parameters of its own; if so the study's `loss_lr` applies
SPACE      dict  constructor parameter -> Optuna distribution searched in the normal phase
FIXED      dict  constructor parameter that is not searched -> why
FOLLOWUP   dict  parameter -> distribution searched for the follow-up phase. The key is a parameter
                 of SPACE, or one followed by "_ratio": the follow-up value is then the ratio times
                 the normal phase's value. Parameters left out keep their value
SCALED     dict  parameter of SPACE -> the mean initial norm of unbounded embeddings for which its
                 range is stated; the harness multiplies the range by the network's own norm over it
SOURCES    dict  every key of SPACE and FOLLOWUP -> where its range comes from
COST       str   the work of one forward in the batch size B, dimension D and classes C
STATUS     str   "authors" (equal to the authors' released code), "library" (no authors' code; the
                 field's common library defines it) or "paper" (implemented from the paper's text)
Loss       class nn.Module: Loss(n_classes=, dim=, **params); every other parameter has the
                 authors' value as its default; forward(embeddings [B, D], labels [B]) -> scalar.
                 Optional method `groups()`: a list of dicts {"params", "lr_factor", "weight_decay"}
                 for the loss's own parameters, where they do not share one learning rate

The sets agree: SPACE and FIXED together name exactly the constructor's parameters besides
`n_classes` and `dim`. The follow-up phase builds a new `Loss` with the new values and loads the
old one's state_dict, so no parameter of FOLLOWUP may change the shapes of the state.
Nothing here imports the harness.
"""
