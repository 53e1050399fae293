"""Every way into the package on CUDA: with the embedded models the texts are those of the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel

import guided
from guided import diffusion, search
from guided.rewards import PRM

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

DEVICE = "cuda"
MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"
NOTES = [
    "My name is Mira Sol, I'm 34 and I like chess and sailing.",
    "Anna Lee is 27 and spends her weekends climbing and painting.",
    "Walter Brandt, 71, is a retired teacher whose great passion is gardening.",
]
CANVAS_NOTE = "For Nina. The guitar was sold. Quantity 12."
QUESTION = (
    "Question: Ann has 12 nuts. Ann buys 5 more. Then Ann doubles the number of nuts. "
    "How many nuts does Ann have now?\n"
)


class Person(BaseModel):
    name: str
    age: int
    hobbies: list[str]


class Order(BaseModel):
    item: str
    quantity: int


@functools.cache
def embedded(name: str, device: str) -> guided.Model:
    model = guided.load(str(MODELS / name), dtype=torch.float32)
    model.hf_model.to(device)
    return model


def texts(results: Any) -> list[str]:
    return [result.text for result in results]


def extracted(device: str, **how: Any) -> list[str]:
    model = embedded("tiny-lm", device)
    return texts(guided.run(model, NOTES, schema=Person, describe="fields", **how))


def streamed(device: str) -> list[str]:
    model = embedded("tiny-lm", device)
    events = guided.stream(model, NOTES[0], schema=Person, describe="fields")
    return [event.text for event in events]


def filled(device: str, decoding: Any) -> list[str]:
    model = embedded("tiny-diffusion", device)
    prompts = [CANVAS_NOTE, "Quantity 3. The lamp was sold. For Peter."]
    return texts(guided.run(model, prompts, schema=Order, describe="fields", decoding=decoding))


def infilled(device: str, name: str) -> list[str]:
    text = '{"item": "<hole>", "quantity": <hole>}'
    prompt = f"{CANVAS_NOTE}\nFields: item (string), quantity (integer)\nJSON: "
    model = embedded(name, device)
    return [guided.infill(model, text, schema=Order, prompt=prompt, max_new_tokens=[2, 2]).text]


def anchored(device: str, kind: Callable[..., Any]) -> list[str]:
    risky, safe = embedded("tiny-risky", device), embedded("tiny-safe", device)
    prompts = ["Gazetteer: Kelbach\n"] * 2
    results = guided.run(
        risky, prompts, controls=[kind(safe, k=0.2)], temperature=1, max_new_tokens=24, seed=1
    )
    assert all(0 <= result.certificate.spent <= result.certificate.allowed for result in results)
    return texts(results)


def aligned(device: str, how: str) -> list[str]:
    model = embedded("tiny-lm", device)
    return texts(
        guided.run(model, "x", regex="[ab]{1,3}", align=how, n=4, seed=3, max_new_tokens=8)
    )


def searched(device: str, method: Any) -> list[str]:
    model = embedded("tiny-math", device)
    judge = embedded_reward(device)
    found = method.run(model, QUESTION, judge, max_new_tokens=60, seed=1)
    return [found.text]


@functools.cache
def embedded_reward(device: str) -> PRM:
    reward = PRM(str(MODELS / "tiny-prm"), dtype=torch.float32)
    reward.hf_model.to(device)
    return reward


def processed(device: str, **how: Any) -> list[str]:
    model = embedded("tiny-lm", device)
    prompt = f"{NOTES[0]}\nFields: name (string), age (integer), hobbies (list of strings)\nJSON: "
    inputs = model.tokenizer(prompt, return_tensors="pt").to(device)
    rows = model.hf_model.generate(
        inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=64,
        do_sample=False, **{name: make(model.tokenizer) for name, make in how.items()},
    )  # fmt: skip
    return model.tokenizer.batch_decode(rows, skip_special_tokens=True)


WAYS: dict[str, Callable[[str], list[str]]] = {
    "drafted": extracted,
    "plain": functools.partial(extracted, draft=None),
    "sampled": functools.partial(extracted, temperature=0.7, seed=5),
    "streamed": streamed,
    "canvas, static": functools.partial(filled, decoding=diffusion.LLaDA()),
    "canvas, drafted": functools.partial(filled, decoding=diffusion.FreeDave(d=4)),
    "canvas, cached": functools.partial(filled, decoding=diffusion.FastDLLM(cache="dual")),
    "canvas, sampled": functools.partial(filled, decoding=diffusion.Dream(steps=8)),
    "holes, causal": functools.partial(infilled, name="tiny-lm"),
    "holes, canvas": functools.partial(infilled, name="tiny-diffusion"),
    "anchored": functools.partial(anchored, kind=guided.Anchored),
    "anchored bytes": functools.partial(anchored, kind=guided.AnchoredBytes),
    "cars": functools.partial(aligned, how="cars"),
    "asap": functools.partial(aligned, how="asap"),
    "awrs": functools.partial(aligned, how="awrs"),
    "A*": functools.partial(searched, method=search.AStar(2)),
    "particles": functools.partial(searched, method=search.ParticleFilter(4)),
    "best of n": functools.partial(searched, method=search.BestOfN(4)),
    "processor": functools.partial(
        processed, logits_processor=lambda t: [guided.GuidedLogitsProcessor(Person, t)]
    ),
    "custom_generate": functools.partial(
        processed, custom_generate=lambda t: guided.GuidedGeneration(Person, t)
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_texts_are_those_of_the_cpu(name: str) -> None:
    found = WAYS[name](DEVICE)
    assert all(found)
    assert found == WAYS[name]("cpu")
