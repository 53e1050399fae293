"""The benchmark of aligned sampling: its exact laws are those of enumeration and of real draws."""

import json
import math
import xml.dom.minidom

import numpy as np
import pytest
import torch
from harness.aligning import curves, distances, drafting, peers, reference_asap, tasks
from harness.aligning.kernels import _kernel, _proposals, chain_laws, trie_law
from harness.aligning.languages import Language, explore
from harness.aligning.plot import svg
from harness.aligning.tasks import Task
from harness.figures import Report
from harness.speculating.timing import Plan

from guided.controls import MeasuredMask
from guided.controls.protocol import Context
from guided.search import ASAp, Tries
from guided.search.aligned.metropolis import log_acceptance, log_proposal
from guided.search.aligned.proposal import Opening, Proposal
from guided.testing import enumerate_sequences

TOYS = {"bits": tasks.five_bits(), "words": tasks.words()}
VARIANTS = ["restart", "prefix", "priority"]


@pytest.fixture(params=TOYS, scope="module")
def toy(request) -> tuple[Task, Language]:
    task = TOYS[request.param]
    return task, explore(task, 500, tolerance=0)


def enumerated(task: Task, *controls) -> dict[tuple[int, ...], float]:
    return enumerate_sequences(task.model, _prompt(task), controls, task.limit)


def test_the_laws_of_a_language_are_those_of_enumeration(toy) -> None:
    task, language = toy
    assert (language.open_p, language.open_g) == (0, 0)
    masked, whole = enumerated(task, MeasuredMask(task.grammar)), enumerated(task)
    assert set(masked) == set(language.number)
    assert language.g == pytest.approx([masked[t] for t in language.number], rel=1e-10)
    p = np.array([whole[t] for t in language.number])
    assert language.z == pytest.approx(p.sum(), rel=1e-10)
    assert language.q == pytest.approx(p / p.sum(), rel=1e-10)


def test_what_was_not_looked_into_is_said() -> None:
    task = TOYS["bits"]
    part, whole = explore(task, 1), explore(task, 500)
    assert part.courses == []
    assert part.open_g == pytest.approx(1)
    assert part.open_p >= whole.z


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_matrix_of_a_chain_is_that_of_the_sampler(toy, variant) -> None:
    language = toy[1]
    proposals, redrawn = _proposals(language, variant)
    chances = np.array(
        [
            [math.exp(log_proposal(variant, x, y) + log_acceptance(variant, x, y)) for y in texts]
            for texts in [language.courses]
            for x in texts
        ]
    )
    kernel = chances + np.diag(1 - chances.sum(axis=1))
    assert _kernel(language, proposals) == pytest.approx(kernel, abs=1e-12)
    assert language.q @ kernel == pytest.approx(language.q, abs=1e-12)
    if variant == "restart":
        assert redrawn == pytest.approx(language.g @ language.lengths)
    else:
        assert (redrawn < language.lengths.max()).all()
    laws = [law for law, _ in chain_laws(language, variant, 3)]
    assert laws[0] == pytest.approx(language.g)
    assert laws[3] == pytest.approx(language.g @ np.linalg.matrix_power(kernel, 3), abs=1e-12)


def test_the_law_of_a_trie_is_that_of_the_next_draw(toy) -> None:
    task, language = toy
    tries = Tries()
    for seed in range(3):
        ASAp(2, tries=tries).run(task.model, task.prompt, seed=seed, **task.options)
        trie = tries[tries.keys()[0]]
        proposal = Proposal(task.grammar, opening=Opening.NOWHERE)
        proposal.trie = trie
        exact = enumerated(task, proposal)
        law = [exact.get(text, 0.0) for text in language.number]
        assert trie_law(language, trie) == pytest.approx(law, abs=1e-12)
    assert np.abs(trie_law(language, trie) - language.g).sum() > 1e-3


def test_the_published_algorithm_learns_the_probability_of_the_language() -> None:
    task, language = TOYS["words"], explore(TOYS["words"], 500)
    drawn = reference_asap.draw(task, 5, seed=1)
    assert set(drawn) <= set(language.number)
    root = reference_asap.Visited(MeasuredMask(task.grammar).begin(_context(task)))
    stops = frozenset(task.model.vocabulary.stop_ids)
    processor = reference_asap.TrieProcessor(root, len(_prompt(task)), stops)
    bounds = []
    for text in language.number:
        _visit(task, processor, list(text))
        bounds.append(root.future)
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > language.z
    assert bounds[-1] == pytest.approx(language.z, rel=1e-6)


def _prompt(task: Task) -> list[int]:
    return task.model.encode(task.prompt)


def _context(task: Task) -> Context:
    return Context(tuple(_prompt(task)), task.model.vocabulary, task.limit)


def _visit(task: Task, processor, text: list[int]) -> None:
    for at in range(len(text)):
        ids = torch.tensor([[*_prompt(task), *text[:at]]])
        weighed = processor(ids, task.model.hf_model(ids).logits[:, -1])
        assert weighed[0, text[at]] > -math.inf
    processor.learn(text)


def test_particles_come_near_the_target() -> None:
    task = TOYS["words"]
    language = explore(task, 500)
    few, many = curves.particles(task, language, (1, 20), 200)
    masked = curves.divergence(language.g, language.q)
    # A single particle has the masked law; its weights are for nothing.
    assert few.kl == pytest.approx(masked, abs=5 * few.error)
    assert many.kl < masked / 3
    assert few.calls < many.calls / 10


def test_every_part_runs_on_a_toy(tmp_path) -> None:
    report, toys = Report("aligned", "Aligned"), [TOYS["words"]]
    effort = distances.Effort(200, (1, 3), 2, (1, 2), 40, 300)
    found = distances.measure(toys, effort, report)
    peers.measure_draws(toys, 3, Plan(1), report)
    drafting.measure(toys, 4, report)
    report.finish(str(tmp_path / "out.json"))
    written = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    figures = {figure["name"]: figure for figure in written["figures"]}
    assert figures["mcmc_restart_kl_reduction_at_3"]["holds"]
    assert figures["mcmc_restart_kl_reduction_at_10"]["holds"]
    assert figures["drafts_same_draws_asap"]["holds"]
    assert figures["drafts_same_draws_cars"]["holds"]
    assert figures["published_asap_to_guided_draw_several_tokenizations"]["value"] > 0
    methods = {point.method for point in found["several tokenizations"]}
    assert {"masking alone", "ASAp", "AWRS + SMC", *curves.CHAINS} == methods
    drawn = svg(found)
    xml.dom.minidom.parseString(drawn)
    assert all(method in drawn for method in methods)


def test_the_languages_of_the_data_file_are_found_with_little_left_out() -> None:
    task = tasks.embedded()[-1]
    language = explore(task, 256)
    assert language.left_out < 1e-3
    assert language.open_g < 1e-2
    # The model's first bit is one that the grammar allows and cannot go on from.
    assert curves.variation(language.g, language.q) > 0.9
