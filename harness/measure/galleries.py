"""Which images are queries, which are their gallery, and what each query's gallery leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor


@dataclass(frozen=True)
class Galleries:
    """The queries and the gallery, and how many images of a query's class its gallery holds.

    queries [q], gallery [n]: indices of images, ascending. labels, sets [images]: an image's class
    and its set. A query's gallery leaves out the images of the query's set. relevant [q]: positives
    in a query's gallery. left_out [q]: images that a query's gallery leaves out.
    """

    queries: Tensor
    gallery: Tensor
    labels: Tensor
    sets: Tensor
    relevant: Tensor
    left_out: Tensor

    @property
    def has_positive(self) -> Tensor:
        """Which queries [q] have a positive in their gallery."""
        return self.relevant > 0

    @property
    def symmetric(self) -> bool:
        """Whether the queries and the gallery are the same images."""
        return torch.equal(self.queries, self.gallery)

    def gallery_of(self, embeddings: Tensor) -> Tensor:
        """The gallery's rows [n, D] of the embeddings [images, D], not copied where they adjoin."""
        n = len(self.gallery)
        if n == len(embeddings):
            return embeddings
        first = int(self.gallery[0]) if n else 0
        adjoin = n > 0 and int(self.gallery[-1]) - first == n - 1  # they ascend
        return embeddings[first : first + n] if adjoin else embeddings[self.gallery]


class Masks(TypedDict):
    """What `galleries_of` takes of images beside their labels, each [n] or None."""

    is_query: Tensor | None
    is_gallery: Tensor | None
    groups: Tensor | None


def galleries_of(
    labels: Tensor,
    *,
    is_query: Tensor | None = None,
    is_gallery: Tensor | None = None,
    groups: Tensor | None = None,
    device: torch.device,
) -> Galleries:
    """Queries and galleries of images with labels [n], as tensors on the device.

    is_query, is_gallery [n]: images that are queries, images in the gallery; an image may be both.
    Without `is_query` every image is a query. Without `is_gallery` the gallery is the rest, or all
    images where `is_query` is left out too. groups [n]: an image's camera or session, negative for
    none. A query's gallery leaves out the query itself, and the images of its class and group. They
    are neither right nor wrong neighbours (Zheng et al. 2015, the protocol of Market-1501).
    """
    labels, everyone = labels.to(device), torch.arange(len(labels), device=device)
    if is_gallery is None and is_query is not None:
        is_gallery = ~is_query
    queries, gallery = (
        everyone if mask is None else torch.nonzero(mask.to(device)).flatten()
        for mask in (is_query, is_gallery)
    )
    sets = everyone
    if groups is not None:
        names, group = torch.unique(groups.to(device), return_inverse=True)
        shared = len(everyone) + labels * len(names) + group
        sets = torch.where(names[group] < 0, everyone, shared)
        sets = torch.unique(sets, return_inverse=True)[1]
    in_class = torch.bincount(labels[gallery], minlength=int(labels.max()) + 1)
    in_set = torch.bincount(sets[gallery], minlength=int(sets.max()) + 1)
    left_out = in_set[sets[queries]]
    relevant = in_class[labels[queries]] - left_out
    return Galleries(
        queries=queries,
        gallery=gallery,
        labels=labels,
        sets=sets,
        relevant=relevant,
        left_out=left_out,
    )
