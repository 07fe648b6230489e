"""One loss, one file: the folder is the registry, and a file's name is the loss's name everywhere.

A loss file defines the names below at module level. Files that start with an underscore are no
losses: they hold what several losses share.

PAPER      str   authors, year, title and where it appeared; then which equation is implemented
YEAR       int   the year of the paper
KIND       str   "pair", "proxy", "ranking", "classification" or "hybrid"
EMBEDDING  str   what `forward` receives: "unit" (the harness L2-normalises the network's output
                 first) or "unbounded" (the head's raw output)
RETRIEVAL  str   how embeddings are compared at evaluation: "cosine" or "euclidean"
MIN_IMAGES_PER_CLASS  int  the fewest images of a class that a batch must hold for the loss to
                 learn: 1 if any batch will do, 2 if the loss needs positives. A batch always holds
                 the same number of images of each of its classes, class after class
OWN_PARAMETERS  bool  whether the loss has trainable parameters; the study's `loss_lr` is for them
SPACE      dict  constructor parameter -> Optuna distribution searched in the normal phase
FIXED      dict  constructor parameter that is not searched -> the reason
FOLLOWUP   dict  parameter -> distribution searched for the follow-up phase. A key is a parameter
                 of SPACE, or such a parameter followed by "_ratio": then the follow-up value is
                 the ratio times the value of the normal phase. All other parameters keep their
                 value. The ranges are those of losses/_followup.py unless a paper gives others or
                 the domain forbids them; then a comment says why
REFERENCE_NORM  dict  parameter of SPACE -> the mean initial norm of unbounded embeddings for which
                 its range is stated. The harness multiplies the range by the norm that its
                 network starts from, divided by this one
SOURCES    dict  every key of SPACE and FOLLOWUP -> where its range comes from
COST       str   the work of one `forward`, in the batch size B, the dimension D and the number
                 of classes C
STATUS     str   "authors" (equal to the authors' released code), "library" (no authors' code; the
                 field's common library defines it), "paper" (implemented from the paper's text) or
                 "own" (one's own, unpublished)
Loss       class nn.Module: Loss(n_classes=, dim=, **params); every other parameter has the
                 authors' value as its default; forward(embeddings [B, D], labels [B]) -> scalar.
                 Optional method `groups()`: a list of dicts {"params", "lr_factor", "weight_decay"}
                 that together hold each of the loss's own trainable parameters once, where these do
                 not share one learning rate

SPACE and FIXED together name exactly the constructor's parameters besides `n_classes` and `dim`.
The module's docstring gives the formula and its source. If the order of a batch changes the value,
the docstring says so with the words "order" and "matters" in one sentence.
The follow-up phase builds a new `Loss` with the new values and loads the state_dict of the old
one, so no parameter of FOLLOWUP may change the shapes of the state. An interrupted run does the
same, so whatever changes from batch to batch is a parameter or a buffer (`register_buffer`).
Nothing here imports the harness.

The harness promises every `forward`: embeddings in float32 with autocast off, labels in
0..n_classes-1, at least two classes of MIN_IMAGES_PER_CLASS images or more. A run whose embeddings
or loss are not finite ends there, as diverged. So a loss need not check any of that; the published
ones do, for those who take the files elsewhere. `python -m harness losses new NAME` writes a file
to begin with, and `losses check NAME` says in sentences what breaks this contract.
"""
