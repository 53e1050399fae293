"""Drawing the tokens of a round: at all nodes at once, node by node, or level by level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from guided.controls.pipeline import Pipeline
from guided.decoding.branch import Branch
from guided.decoding.drafts import ROOT
from guided.decoding.draws import Drawn, Guess, NodeDraws, Spot, draw, draw_ahead
from guided.decoding.growing import Row
from guided.decoding.sampling import Sampler

#: Like `draws.draw`.
HowToDraw = Callable[[Sampler, Sequence[Branch], Tensor, Mapping[str, Tensor]], list[Drawn]]


class Picks(Protocol):
    """Draws a token for each of some rows, at the node where the row stands."""

    def draw(self, rows: Sequence[Row]) -> list[Drawn]:
        """One token a row; raises as `draws.draw` does."""
        ...


class Picker:
    """The quickest way to draw from the passes of one loop."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._nodes: NodeDraws | None = None
        #: Whose branches `_nodes` draws for, if `nodes` was asked last.
        self._pipeline: Pipeline | None = None

    def picks(
        self,
        rows: Sequence[Row],
        raw: Tensor,
        aux: Mapping[str, Tensor],
        how: HowToDraw,
        draws_ahead: bool,
    ) -> Picks:
        """How to draw for rows from the logits `[n, q, V]` of a pass, and those of other models.

        Args:
            how: what draws level by level; anything but `draws.draw` excludes all other ways.
            draws_ahead: whether drawing once for all nodes is better than drawing level by level,
                where the controls allow it.
        """
        if how is not draw:
            return Levels(how, self._sampler, raw, aux)
        if draws_ahead:
            known = _ahead(self._sampler, rows, raw)
            if known is not None:
                return _Known(known)
        nodes = self._nodes_for([row.branch for row in rows], raw)
        return Levels(draw, self._sampler, raw, aux) if nodes is None else Nodes(nodes)

    def nodes(self, branch: Branch, raw: Tensor) -> NodeDraws | None:
        """How one kernel draws at any node of a pass over one row, None where it cannot."""
        known = self._nodes
        if known is None or branch.pipeline is not self._pipeline or not known.goes_on(raw):
            known = self._nodes_for([branch], raw)
            self._pipeline = None if known is None else branch.pipeline
        return known

    def _nodes_for(self, branches: Sequence[Branch], raw: Tensor) -> NodeDraws | None:
        self._pipeline = None
        nodes = NodeDraws.of(self._sampler, branches, raw, self._nodes)
        if nodes is not None:
            self._nodes = nodes
        return nodes


class _Known:
    """What was drawn ahead, by the row's number and the position in the pass."""

    def __init__(self, known: Mapping[tuple[int, int], Drawn]) -> None:
        self._known = known

    def draw(self, rows: Sequence[Row]) -> list[Drawn]:
        return [self._known[row.number, row.position] for row in rows]


class Nodes:
    """One kernel call for each node.

    Attributes:
        draws: what draws at any node that is asked for.
    """

    __slots__ = ("draws",)

    def __init__(self, draws: NodeDraws) -> None:
        self.draws = draws

    def draw(self, rows: Sequence[Row]) -> list[Drawn]:
        draw = self.draws.draw
        return [Drawn(*draw(row.branch, row.number, row.position)) for row in rows]


class Levels:
    """All rows together, under any controls, by `draws.draw` or what takes its place."""

    def __init__(
        self, how: HowToDraw, sampler: Sampler, raw: Tensor, aux: Mapping[str, Tensor]
    ) -> None:
        self._how = how
        self._sampler = sampler
        self._raw = raw
        self._aux = aux

    def draw(self, rows: Sequence[Row]) -> list[Drawn]:
        branches = [row.branch for row in rows]
        aux = {name: _picked(logits, rows) for name, logits in self._aux.items()}
        return self._how(self._sampler, branches, _picked(self._raw, rows), aux)


def _ahead(
    sampler: Sampler, rows: Sequence[Row], raw: Tensor
) -> dict[tuple[int, int], Drawn] | None:
    """Tokens for all nodes by (row, position in the pass); None where that does not work."""
    spots: list[Spot] = []
    numbers: list[int] = []
    positions: list[int] = []
    for row in rows:
        branch, first = row.branch, row.branch.stream
        states = {ROOT: branch.states}
        depths = row.draft.depths()
        spots.append(branch)
        numbers += [row.number] * (1 + len(row.draft))
        positions += range(row.position, row.position + 1 + len(row.draft))
        for node, (token, parent) in enumerate(
            zip(row.draft.tokens, row.draft.parents, strict=True)
        ):
            states[node] = branch.pipeline.step(states[parent], token)
            position = first.position + depths[node] + 1
            stream = first._replace(position=position)
            spots.append(Guess(branch.pipeline, states[node], stream, range(position)))
    if len(spots) == len(rows):
        return None
    drawn = draw_ahead(sampler, spots, raw[numbers, positions])
    nodes = zip(numbers, positions, strict=True)
    return dict(zip(nodes, drawn, strict=True)) if drawn is not None else None


def _picked(logits: Tensor, rows: Sequence[Row]) -> Tensor:
    """The logits `[len(rows), V]` where the rows stand, out of those of a pass `[n, q, V]`."""
    numbers = [row.number for row in rows]
    if logits.shape[1] == 1 and numbers == list(range(logits.shape[0])):
        return logits[:, 0]
    if len(rows) == 1:
        return logits[numbers[0], rows[0].position][None]
    return logits[numbers, [row.position for row in rows]]
