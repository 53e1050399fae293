"""The networks that grow some branches: the model, and those that controls have brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from guided.decoding.abilities import abilities
from guided.decoding.branch import Branch
from guided.decoding.masks import Feed
from guided.decoding.network import Network
from guided.decoding.padded import PaddedStage
from guided.decoding.reading import Reading, fitted
from guided.decoding.stage import Stage
from guided.decoding.trunks import Ledger, Place, Trunk
from guided.decoding.usage import Usage

AnyStage = Stage | PaddedStage


def make_stage(network: Network, usage: Usage, ledger: Ledger) -> AnyStage:
    """The best stage that a network can stand on."""
    own: AnyStage | None = network.own_stage(usage, ledger)
    if own is not None:
        return own
    can = abilities(network)
    if can.trees:
        return Stage(network, usage, ledger, shares=can.prefixes)
    return PaddedStage(network, usage, ledger)


class Rig:
    """Stages of several networks whose rows are the same, in the same order.

    A branch has one place on each: the model's first, then those of `auxiliary` in its order.
    """

    def __init__(
        self, network: Network, auxiliary: Mapping[str, Network], usage: Usage, ledger: Ledger
    ) -> None:
        self.names = tuple(auxiliary)
        self._usage = usage
        self._is_limited = ledger.limit is not None
        self._auxiliary_usage = Usage()
        self.stages: list[AnyStage] = [make_stage(network, usage, ledger)]
        self.stages += [
            make_stage(other, self._auxiliary_usage, ledger) for other in auxiliary.values()
        ]
        first = self.stages[0]
        self.device = first.device if isinstance(first, Stage) else network.device
        self.width = network.width

    @property
    def drafts(self) -> str:
        """What may be drafted on all stages: "tree", "chain" or "none"."""
        if len(self.stages) == 1:
            return self.stages[0].drafts
        forms = {stage.drafts for stage in self.stages}
        return next(form for form in ("none", "chain", "tree") if form in forms)

    def open(self, branches: Sequence[Branch]) -> None:
        """Reads the branches' texts, each different one once, and gives them places and logits."""
        self._open(branches, scored=False)

    def open_scored(self, branches: Sequence[Branch]) -> list[dict[str, list[float]]]:
        """The same in the same passes; how likely the tokens of every text were.

        These are the raw log-probabilities from the second token on, of the model under "" and of
        the others by their names.
        """
        texts, read = self._open(branches, scored=True)
        index = {text: row for row, text in enumerate(texts)}
        return [
            {
                name: (each.log_p or [])[index[branch.text]]
                for name, each in zip(("", *self.names), read, strict=True)
            }
            for branch in branches
        ]

    def _open(
        self, branches: Sequence[Branch], scored: bool
    ) -> tuple[list[tuple[int, ...]], list[Reading]]:
        """Opens branches; their different texts, and what each stage found in them."""
        texts = list(dict.fromkeys(branch.text for branch in branches))
        read = [stage.read(texts, scored) for stage in self.stages]
        self._count()
        places = dict(zip(texts, zip(*(each.places for each in read), strict=True), strict=True))
        index = {text: row for row, text in enumerate(texts)}
        users: dict[tuple[int, ...], list[Branch]] = {}
        for branch in branches:
            branch.places = places[branch.text]
            branch.logits = [fitted(each.logits[index[branch.text]], self.width) for each in read]
            branch.was_read(len(branch.text))
            users.setdefault(branch.text, []).append(branch)
        for some in users.values():
            if len(some) > 1:
                self.share(some[0], len(some) - 1)
                for other in some[1:]:
                    other.places = tuple(place.copy() for place in some[0].places)
        return texts, read

    def share(self, branch: Branch, copies: int) -> None:
        """Puts a branch to rest, so that `copies` more may start from its places' copies."""
        for stage, place in zip(self.stages, branch.places, strict=True):
            stage.freeze(place)
            if isinstance(place.trunk, Trunk):
                place.trunk.share(copies)

    def split(self, branch: Branch, other: Branch, length: int) -> bool:
        """Lets `other` begin with the first `length` tokens, prompt included, of a branch.

        Nothing has to come to rest for that. Whether it worked: the branch is being grown.
        """
        if branch.finish_reason is not None:
            return False
        places = list[Place]()
        for stage, place in zip(self.stages, branch.places, strict=True):
            found = stage.split(place, length) if isinstance(stage, Stage) else None
            if found is None:
                return False
            places.append(found)
        other.places = tuple(places)
        return True

    def revive(self, branches: Sequence[Branch]) -> tuple[list[Branch], list[Branch]]:
        """Reads branches again whose keys and values were evicted; those for which there is room.

        Returns the branches that can go on, and those that cannot yet.
        """
        ready = [b for b in branches if not any(place.is_lost for place in b.places)]
        waiting: list[Branch] = []
        for branch in ready:
            self._pin(branch)
        for branch in branches:
            if not any(place.is_lost for place in branch.places):
                continue
            grows = bool(ready) or self.stages[0].busy > 0
            if grows and not all(stage.fits(len(branch.text)) for stage in self.stages):
                waiting.append(branch)
                continue
            before = branch.logits
            self.open([branch])
            # What was seen before stays: the same law to the last bit.
            branch.logits = before or branch.logits
            self._pin(branch)
            ready.append(branch)
        return ready, waiting

    def _pin(self, branch: Branch) -> None:
        for stage, place in zip(self.stages, branch.places, strict=True):
            stage.pin(place)

    def arrange(self, places: Sequence[tuple[Place, ...]]) -> list[int]:
        """Makes the rows exactly these; row r is that of `places[order[r]]`."""
        order: list[int] | None = None
        by_stage = [[each[index] for each in places] for index in range(len(self.stages))]
        for stage, each in zip(self.stages, by_stage, strict=True):
            found = stage.arrange([each[i] for i in order] if order is not None else each)
            if order is None:
                order = found
            elif found != list(range(len(found))):
                # The others hold the same rows, but in another order: put all in again.
                for place in each:
                    stage.freeze(place)
                stage.arrange([each[i] for i in order])
        return order if order is not None else []

    def forward(self, feeds: Sequence[Feed]) -> tuple[Tensor, dict[str, Tensor]]:
        """The logits `[n, q, V]` of the model, and those of the others by name."""
        if len(self.stages) == 1:
            return self.stages[0].forward(feeds), {}
        first, *others = [stage.forward(feeds) for stage in self.stages]
        self._count()
        return first, {
            name: fitted(logits.to(first.device), self.width)
            for name, logits in zip(self.names, others, strict=True)
        }

    def named(self, logits: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
        """The auxiliary logits of some branches, by name."""
        return {
            name: torch.stack([each[index] for each in logits]).to(self.device)
            for index, name in enumerate(self.names)
        }

    def commit(self, row: int, kept: Sequence[int]) -> None:
        """Keeps these tokens of a row's last pass."""
        for stage in self.stages:
            stage.commit(row, kept)

    def drop(self, row: int, keep: bool) -> None:
        """Removes a row; the last row takes its number. `keep` puts it to rest."""
        for stage in self.stages:
            stage.drop(row, keep)

    def lacks_room(self) -> bool:
        """Whether the next pass may take more keys and values than the limit."""
        return self._is_limited and any(stage.lacks_room() for stage in self.stages)

    def release(self) -> None:
        """Says that no row is being grown any more; they stay until others need the room."""
        for stage in self.stages:
            stage.busy = 0

    def evict(self, row: int) -> None:
        """Removes a row without keeping anything."""
        self.drop(row, keep=False)

    def freeze(self, places: Sequence[Place]) -> None:
        """Puts a branch to rest."""
        for stage, place in zip(self.stages, places, strict=True):
            stage.freeze(place)

    def _count(self) -> None:
        self._usage.auxiliary_passes += self._auxiliary_usage.passes
        self._auxiliary_usage.passes = 0
