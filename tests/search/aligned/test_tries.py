"""Tries that are kept: found again by what they are about, saved exactly, within their memory."""

from __future__ import annotations

import gc
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from guided.controls import FromProcessor, Temperature
from guided.errors import InputError
from guided.search.aligned.asap import ASAp
from guided.search.aligned.cars import CARS
from guided.search.aligned.prefix_trie import NODE_BYTES, PrefixTrie
from guided.search.aligned.trie_file import load_tries
from guided.search.aligned.trie_key import TrieKey, fingerprint
from guided.search.aligned.tries import Tries
from guided.testing import table_model, tiny_model
from tests.search.aligned.exact_tries import BITS, COOL, SPELLED, futures, variation

OPTIONS = SPELLED.run_options
KEY = TrieKey("m", (1, 2), "", "g")


def learnt(count=12, toy=SPELLED, **more):
    tries = Tries()
    ASAp(count, tries=tries).run(toy.model, "ab", **(toy.run_options | more))
    return tries


def only(tries):
    (key,) = tries.keys()
    return tries[key]


def bounds(trie):
    return [
        (node.token, node.log_p, node.log_bound, node.log_drawn, dict(node.ends))
        for node in trie.nodes()
    ]


def tokens(result):
    return [candidate.result.tokens for candidate in result.candidates]


def test_a_trie_is_read_back_exactly_and_goes_on_where_it_was(tmp_path) -> None:
    tries = learnt()
    CARS(5, tries=tries).run(SPELLED.model, "ba", **OPTIONS)
    path = tmp_path / "tries.npz"
    tries.save(path)
    found = Tries.load(path)
    assert found.keys() == tries.keys()
    for key in tries.keys():  # noqa: SIM118
        assert bounds(found[key]) == bounds(tries[key])
        assert found[key].size == tries[key].size
        assert vars(found[key]) | {"root": 0} == vars(tries[key]) | {"root": 0}
    assert any(found[key].attempts > 0 for key in found.keys())  # noqa: SIM118
    assert min(node.log_bound for node in only(learnt()).nodes()) < -0.1
    ends = [
        ASAp(8, tries=each).run(SPELLED.model, "ab", seed=3, **OPTIONS) for each in (tries, found)
    ]
    assert tokens(ends[0]) == tokens(ends[1])
    assert ends[0].certificate == ends[1].certificate
    assert ends[0].certificate.distances[0] < 1


def test_equal_tries_give_equal_files_whatever_the_order_of_the_draws(tmp_path) -> None:
    words, found = list(SPELLED.law()), []
    for order in (words, words[::-1]):
        tries = Tries()
        proposal = SPELLED.proposal(tries.lease(KEY, tries))
        for word in order:
            SPELLED.learn(proposal, [word])
        tries.save(tmp_path / "tries.npz")
        with np.load(tmp_path / "tries.npz") as file:
            found.append({name: file[name].tolist() for name in file.files})
    assert found[0] == found[1]


def test_damaged_files_are_refused_wherever_the_damage_is(tmp_path) -> None:
    path = tmp_path / "tries.npz"
    learnt().save(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 41):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            found = load_tries(path)
        except InputError as error:
            assert "tries.npz" in str(error)  # noqa: PT017
        else:
            # What a zip file does not need says nothing about its contents.
            assert [bounds(trie) for trie in found.values()] == [bounds(only(learnt()))]
    for end in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match="no whole file of prefix tries"):
            Tries.load(path)
    with pytest.raises(OSError, match="nowhere"):
        Tries.load(tmp_path / "nowhere.npz")


def test_foreign_files_and_other_versions_are_refused(tmp_path) -> None:
    path = tmp_path / "tries.npz"
    np.savez(path, header=np.zeros(3))
    with pytest.raises(InputError, match="no whole file"):
        Tries.load(path)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(InputError, match="no whole file"):
        Tries.load(tmp_path / "array.npy")
    tries = learnt()
    for change, match in [({"version": 99}, "version 99"), ({"kind": "songs"}, "songs")]:
        tries.save(path)
        with np.load(path) as file:
            arrays = dict(file)
        header = json.loads(arrays["header"].tobytes()) | change
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=match):
            Tries.load(path)


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "tries.npz"
    learnt().save(path)
    before = path.read_bytes()

    def fails(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fails)
    with pytest.raises(OSError, match="disk full"):
        learnt(30).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_another_models_tries_are_refused_and_kept(tmp_path) -> None:
    tries = learnt()
    other = table_model(tokens=[b"a", b"b", b"ab", b"c"], seed=4, spread=3)
    before = bounds(only(tries))
    with pytest.raises(InputError, match="another model"):
        ASAp(tries=tries).run(other, "ab", **OPTIONS)
    assert bounds(only(tries)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.7},
        {"repetition_penalty": 1.2},
        {"top_k": 3},
        {"regex": "a(b|c){0,2}"},
        {"max_new_tokens": 5},
        {"controls": [Temperature(0.9)]},
    ],
    ids=str,
)
def test_what_is_drawn_from_another_law_has_a_trie_of_its_own(change) -> None:
    tries = learnt()
    before = bounds(only(tries))
    ASAp(3, tries=tries).run(SPELLED.model, "ab", **(OPTIONS | change))
    ASAp(3, tries=tries).run(SPELLED.model, "ba", **OPTIONS)
    assert len(tries) == 3
    assert bounds(tries[tries.keys()[0]]) == before


def test_a_control_without_a_name_of_its_own_is_refused_with_tries() -> None:
    control = FromProcessor(lambda ids, scores: scores)
    with pytest.raises(InputError, match="FromProcessor shows only where it lies in memory"):
        ASAp(tries=Tries()).run(SPELLED.model, "ab", controls=[control], **OPTIONS)
    ASAp().run(SPELLED.model, "ab", controls=[control], **OPTIONS)


def test_fingerprints_tell_weights_types_and_vocabularies_apart() -> None:
    model = tiny_model(seed=1)
    mark = fingerprint(model)
    assert fingerprint(model) == mark
    assert fingerprint(tiny_model(seed=1)) == mark
    assert fingerprint(tiny_model(seed=2)) != mark
    weight = next(model.hf_model.parameters())
    weight.data[0, 0] += 1
    assert fingerprint(model) != mark
    weight.data[0, 0] -= 1
    model.hf_model.half()
    assert fingerprint(model) != mark
    assert fingerprint(SPELLED.model) != fingerprint(BITS.model)


def test_a_law_that_has_changed_behind_the_fingerprint_is_refused() -> None:
    tries = learnt()
    children = only(tries).root.children.values()
    max(children, key=lambda child: child.log_p).log_p -= 0.5
    with pytest.raises(InputError, match="another law"):
        ASAp(tries=tries).run(SPELLED.model, "ab", **OPTIONS)


def test_equal_prompts_of_a_call_learn_apart() -> None:
    tries = Tries()
    alone = ASAp(6, tries=Tries()).run(SPELLED.model, "ab", **OPTIONS)
    first, second = ASAp(6, tries=tries).run(SPELLED.model, ["ab", "ab"], **OPTIONS)
    assert tokens(first) == tokens(alone)
    assert tokens(second) != tokens(first)
    assert second.certificate.distances[0] == 1
    assert len(tries) == 1
    later = ASAp(1, tries=tries).run(SPELLED.model, "ab", **OPTIONS)
    assert later.certificate.distances[0] == first.certificate.distance


def test_a_lease_ends_with_its_holder() -> None:
    class Holder:
        pass

    tries, holder = Tries(), Holder()
    trie = tries.lease(KEY, holder)
    assert tries.lease(KEY, Holder()) is not trie
    tries.release(KEY, Holder())
    assert tries.lease(KEY, Holder()) is not trie
    del holder
    gc.collect()
    assert tries.lease(KEY, tries) is trie
    tries.release(KEY, tries)
    assert tries.lease(KEY, tries) is trie


def test_tries_keep_within_their_memory_and_stay_right() -> None:
    law = SPELLED.law()
    aim = {w: p / sum(law.values()) for w, p in law.items()}
    for search in (ASAp(60, batch=6), CARS(60, batch=6)):
        tries = Tries()
        tries.memory = 14 * NODE_BYTES
        asked = replace(search, tries=tries)
        result = asked.run(SPELLED.model, "ab", **OPTIONS)
        trie = only(tries)
        assert trie.n_bytes <= tries.memory
        for node, truth in futures(law, trie):
            assert truth <= math.exp(node.log_bound) * (1 + 1e-12)
        assert set(tokens(result)) <= set(law)
        if isinstance(search, ASAp):
            now = SPELLED.proposed(SPELLED.proposal(trie))
            assert variation(now, aim) <= trie.distance + 1e-9
    # Whole tries go first, that used last stays.
    tries = Tries()
    tries.memory = 30 * NODE_BYTES
    for toy in (SPELLED, COOL, SPELLED):
        ASAp(40, tries=tries).run(toy.model, "ab", **toy.run_options)
        assert tries.n_bytes <= tries.memory
    assert [key.warping for key in tries.keys()][-1] == ""  # noqa: SIM118
    with pytest.raises(InputError, match="no room"):
        Tries(memory=100)


def test_a_private_trie_is_bounded_too() -> None:
    tries = Tries()
    tries.memory = 2 * NODE_BYTES
    trie = PrefixTrie()
    trie.expand(trie.root, -1.0, {1: -2.0})
    node = trie.root.children[1]
    trie.expand(node, -1.0, {1: -2.0, 2: -3.0})
    trie.refresh(node)
    tries.make_room(trie, keeps_bounds=True)
    assert trie.size == 2
