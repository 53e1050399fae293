"""Particles over denoising: the law that they target, by enumeration of a tiny mask model."""

import math
import zlib
from itertools import product

import pytest
import torch

import guided
from guided.diffusion import LLaDA, MaskedDiffusionDecoder
from guided.errors import InputError, ModelError, RewardError
from guided.grammars.vocabulary import Vocabulary
from guided.search import DenoisingSMC
from guided.testing import MaskModel, fake_model

WORDS = [b"p", b"a", b"b", b"c", None]
SLOTS = 2
LEFT_TO_RIGHT = LLaDA(temperature=1.0, remasking="left_to_right")


def mask_model(seed: int = 3) -> guided.DiffusionModel:
    """Five tokens, the last one the mask."""
    model = MaskModel(len(WORDS), seed, spread=2.0)
    return guided.DiffusionModel(model, vocabulary=Vocabulary.from_tokens(WORDS, []))


def reward(prompt: str, text: str) -> float:
    """A number in [0, 1) that has nothing to do with what the model likes."""
    return zlib.crc32(text.encode()) / 2**32


def exact_law(model: guided.DiffusionModel, prompt: str) -> dict[str, float]:
    """The chance of every text when slots are drawn from left to right, one a pass."""
    mask = model.adapter.mask_id
    table, head = model.adapter.model, model.encode(prompt)
    law = {}
    for tokens in product(range(mask), repeat=SLOTS):
        chance = 1.0
        for at, token in enumerate(tokens):
            seen = [*head, *tokens[:at], *[mask] * (SLOTS - at)]
            logits = table.law(seen, len(head) + at)[:mask]
            chance *= float(logits.softmax(-1)[token])
        law[model.decode(tokens)] = chance
    assert math.isclose(sum(law.values()), 1)
    return law


def run(model: guided.DiffusionModel, seed: int, **settings: float):
    method = DenoisingSMC(**{"n": 3, "every": 1, "strength": 2.0, **settings})
    options = {"decoding": LEFT_TO_RIGHT, "max_new_tokens": SLOTS, "seed": seed}
    return method.run(model, "a", reward, **options)


@pytest.mark.parametrize("settings", [{}, {"kappa": 1.0, "n": 4}, {"resampling": "multinomial"}])
def test_weighted_particles_target_the_law_times_the_reward(settings: dict) -> None:
    # Properly weighted: for every text, Z-hat times its weight has mean p(x) exp(strength r(x)),
    # whatever n. A z-test for each of 16 texts; 4.5 standard errors fail by chance in 1 of 9,000.
    model, runs = mask_model(), 100
    totals = {text: [0.0, 0.0] for text in exact_law(model, "a")}
    for seed in range(runs):
        found = run(model, seed, **settings)
        here = dict.fromkeys(totals, 0.0)
        for each in found.candidates:
            here[each.result.text] += math.exp(found.log_z) * each.weight
        for text, value in here.items():
            totals[text][0] += value
            totals[text][1] += value * value
    for text, chance in exact_law(model, "a").items():
        mean = totals[text][0] / runs
        variance = totals[text][1] / runs - mean * mean
        wanted = chance * math.exp(2.0 * reward("a", text))
        assert abs(mean - wanted) < 4.5 * math.sqrt(variance / runs) + 1e-3, text


def test_the_estimate_of_the_normalising_constant_is_unbiased() -> None:
    model, runs = mask_model(5), 150
    law = exact_law(model, "a")
    wanted = sum(chance * math.exp(2.0 * reward("a", text)) for text, chance in law.items())
    found = torch.tensor([math.exp(run(model, seed).log_z) for seed in range(runs)])
    error = float(found.std()) / math.sqrt(runs)
    assert abs(float(found.mean()) - wanted) < 4 * error


def test_without_strength_particles_are_independent_runs() -> None:
    model = mask_model()
    found = run(model, seed=7, strength=0.0, n=5, kappa=1.0)
    decoder = MaskedDiffusionDecoder(model.adapter, LEFT_TO_RIGHT)
    plain = decoder.generate([model.encode("a")] * 5, SLOTS, seed=7)
    assert [each.result.tokens for each in found.candidates] == [row.tokens for row in plain]
    assert [each.weight for each in found.candidates] == pytest.approx([0.2] * 5)
    assert found.log_z == pytest.approx(0.0)


def test_one_particle_is_a_plain_run() -> None:
    model = mask_model()
    plain = guided.run(model, "a", decoding=LEFT_TO_RIGHT, max_new_tokens=SLOTS, seed=11)
    found = run(model, seed=11, n=1)
    assert found.best.tokens == plain.tokens
    assert found.log_z == pytest.approx(2.0 * reward("a", found.text))


def test_copies_of_a_particle_go_their_own_ways() -> None:
    # Four slots, resampled at every step by a reward that likes one first token only.
    model = mask_model()
    found = DenoisingSMC(n=12, every=1, strength=50.0, kappa=1.0).run(
        model, "a", lambda prompt, text: float(text[:1] == "b"), decoding=LEFT_TO_RIGHT,
        max_new_tokens=4, seed=1,
    )  # fmt: skip
    texts = {each.result.text for each in found.candidates}
    assert all(text.startswith("b") for text in texts)
    assert len(texts) > 4


def test_particles_keep_to_a_grammar() -> None:
    found = DenoisingSMC(n=6, every=1).run(
        mask_model(), "a", reward, regex="(a|b)*c", temperature=1.0, max_new_tokens=3
    )
    assert all(each.result.text[-1] == "c" for each in found.candidates)
    assert found.score == max(each.score for each in found.candidates)
    assert found.spent["reward_passes"] > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"every": 0}, "every must be at least 1"),
        ({"strength": math.inf}, "strength must be finite"),
        ({"kappa": 2.0}, "kappa must be a share"),
        ({"resampling": "sorted"}, "is unknown"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DenoisingSMC(**settings)


def test_calls_that_cannot_work_are_refused() -> None:
    model = mask_model()
    with pytest.raises(InputError, match="give a temperature"):
        DenoisingSMC().run(model, "a", reward, max_new_tokens=2)
    with pytest.raises(InputError, match="needs a reward"):
        DenoisingSMC().run(model, "a", None, temperature=1.0)
    with pytest.raises(ModelError, match=r"guided\.search\.SMC"):
        DenoisingSMC().run(fake_model("x"), "a", reward)
    with pytest.raises(RewardError):
        DenoisingSMC().run(model, "a", lambda p, t: math.nan, temperature=1.0, max_new_tokens=2)
