"""Situations with masks, which only this package has."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.border.cases import X, Y, network
from benchmarks.border.libraries import Library, NotOfferedError, Ours


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.cell, self.out = nn.Embedding(7, 6), nn.GRU(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(self.words(x))[0][:, -1])


def changed_in_place(library: Library) -> bool:
    """A mask that is emptied in place perturbs nothing."""
    _needs_masks(library)
    model = network()
    sam = library.make(model)
    sam.masks = {p: torch.ones_like(p, dtype=torch.bool) for p in model.parameters()}
    sam.masks[model[0].weight].zero_()
    before = model[0].weight.detach().clone()
    cross_entropy(model(X), Y).backward()
    sam.ascent_step()
    return torch.equal(model[0].weight, before)


def of_a_recurrent_network(library: Library) -> bool:
    """Fisher scores are the squared gradients of the single samples, summed."""
    _needs_masks(library)
    import ssam

    torch.manual_seed(0)
    model, words, labels = Recurrent(), torch.arange(24).view(6, 4) % 7, torch.arange(6) % 3
    found = ssam.fisher_scores(model, cross_entropy, [(words, labels)])
    wanted = {p: torch.zeros_like(p) for p in model.parameters()}
    for x, y in zip(words, labels, strict=True):
        gradients = torch.autograd.grad(cross_entropy(model(x[None]), y[None]), list(wanted))
        for p, gradient in zip(wanted, gradients, strict=True):
            wanted[p] += gradient.square()
    return all(torch.allclose(found[p], wanted[p], rtol=1e-4, atol=1e-8) for p in wanted)


def n_of_m_at_the_end_of_a_row(library: Library) -> bool:
    """Of four weights in a row, counted from its start, two are perturbed."""
    _needs_masks(library)
    from ssam.masks import n_of_m_mask

    weight = nn.Parameter(torch.zeros(4, 6))
    scores = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    return n_of_m_mask({weight: scores}, 2, 4)[weight][:, :4].sum(1).tolist() == [2, 2, 2, 2]


def _needs_masks(library: Library) -> None:
    if not isinstance(library, Ours):
        raise NotOfferedError


CASES = {
    "a mask changed in place": changed_in_place,
    "Fisher scores of a recurrent network": of_a_recurrent_network,
    "2:4 masks where a row is no multiple of 4": n_of_m_at_the_end_of_a_row,
}
