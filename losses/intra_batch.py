"""Intra-batch connections: a batch classified before and after its images exchange messages.

    L = CE( (W x + b) / temperature, y ) + CE( V BN(G(x / ||x||)) / temperature, y ),

both with label smoothing spread over all classes. G is a linear layer and `layers` transformer
blocks over the batch as a fully connected graph: every image attends to all images of the batch,
itself included; then residual, LayerNorm, an MLP four times as wide, residual, LayerNorm. G, BN
(without a shift) and both classifiers belong to the loss: at test time the network alone embeds
images, as in the paper. Batch order matters only through the random masks of the dropout.

From the paper: the two terms and the message passing. From the released code, which this follows:
the classifier sees the network's raw output and the graph its unit-length one; dropout is 0.1 on
attention, blocks and MLP; LayerNorms come after the residuals; V starts as N(0, 0.001^2) without
bias, attention matrices as Xavier with zero biases. The code computes edge weights but does not use
them, and never reads its dropout of 0.4 before a classifier, so neither is here. Its SOP
configuration leaves out the second term, without a reason and against the paper; here the term
always counts. Batches (6 classes of 9 images on CUB), RAdam and learning rates are not part of a
loss: the harness decides them.

Source: Seidenschwarz, Elezi and Leal-Taixe 2021 (ICML), arXiv 2102.07753; code
dvl-tum/intra_batch, net/gnn_base.py, net/attentions.py and trainer.py; defaults of its CUB
configuration.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import Tensor, nn

from losses import _followup
from losses._shared import check, check_batch, in_float32

PAPER = (
    "Seidenschwarz, Elezi and Leal-Taixe 2021, Learning Intra-Batch Connections for Deep Metric "
    "Learning, ICML 2021, arXiv 2102.07753"
)
YEAR = 2021
KIND = "classification"
EMBEDDING = "unbounded"
RETRIEVAL = "cosine"
MIN_IMAGES_PER_CLASS = 2
OWN_PARAMETERS = True
SPACE = {
    "temperature": FloatDistribution(0.01, 1.0),
    "heads": CategoricalDistribution((1, 2, 4, 8)),
    "layers": IntDistribution(1, 4),
}
FIXED = {
    "label_smoothing": "0.1 in the authors' code, not in their search",
    "dropout": "0.1 in the authors' configuration, not in their search",
}
FOLLOWUP = _followup.ratios(factors=("temperature",))
REFERENCE_NORM: dict[str, float] = {}
SOURCES = {
    "temperature": "the authors' random search, U(0, 1), its lower end cut at 0.01",
    "heads": "the authors' random search",
    "layers": "drawn in the authors' random search (though overwritten); they use 1, 2 and 1",
} | _followup.sources(FOLLOWUP)
COST = "O(B C D + layers (B^2 D + B D^2))"
STATUS = "authors"


class Block(nn.Module):
    """Attention over the batch and an MLP, each with residual and LayerNorm after it: [B, D]."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.inner, self.outer = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.attention_norm, self.mlp_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def attend(self, nodes: Tensor) -> Tensor:
        """Messages [B, D]: per head the values of all nodes, weighted by softmax(q k / sqrt(d))."""
        query, key, value = (
            linear(nodes).unflatten(1, (self.heads, -1)).transpose(0, 1)
            for linear in (self.query, self.key, self.value)
        )
        weights = (query @ key.mT / math.sqrt(query.shape[2])).softmax(2)
        heads = self.dropout(weights) @ value
        messages: Tensor = self.dropout(self.out(heads.transpose(0, 1).flatten(1)))
        return messages

    def forward(self, nodes: Tensor) -> Tensor:
        nodes = self.attention_norm(nodes + self.attend(nodes))
        hidden = self.dropout(F.relu(self.inner(nodes)))
        updated: Tensor = self.mlp_norm(nodes + self.dropout(self.outer(hidden)))
        return updated


class Loss(nn.Module):
    """Classification before and after message passing; defaults are the authors' CUB values."""

    def __init__(
        self,
        *,
        n_classes: int,
        dim: int,
        temperature: float = 0.2,
        heads: int = 2,
        layers: int = 1,
        label_smoothing: float = 0.1,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check("temperature", temperature, "> 0", ok=temperature > 0)
        check(
            "heads", heads, f">= 1 and a divisor of dim = {dim}", ok=heads >= 1 and not dim % heads
        )
        check("layers", layers, ">= 1", ok=layers >= 1)
        check("label_smoothing", label_smoothing, "0 <= value < 1", ok=0 <= label_smoothing < 1)
        check("dropout", dropout, "0 <= value < 1", ok=0 <= dropout < 1)
        self.n_classes, self.temperature = n_classes, temperature
        self.label_smoothing = label_smoothing
        self.classifier = nn.Linear(dim, n_classes)
        self.graph = nn.Sequential(
            nn.Linear(dim, dim), *(Block(dim, heads, dropout) for _ in range(layers))
        )
        self.neck = nn.BatchNorm1d(dim)
        self.neck.bias.requires_grad_(False)
        self.graph_classifier = nn.Linear(dim, n_classes, bias=False)
        nn.init.normal_(self.graph_classifier.weight, std=0.001)

    @in_float32
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        embeddings = check_batch(embeddings, labels, self.n_classes)
        alone = self.classifier(embeddings)
        connected = self.graph_classifier(self.neck(self.graph(F.normalize(embeddings))))
        first, second = (
            F.cross_entropy(logits / self.temperature, labels, label_smoothing=self.label_smoothing)
            for logits in (alone, connected)
        )
        return first + second
