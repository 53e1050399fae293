"""Ways to decode a workload greedily: Hugging Face's, guided's, and those of other libraries.

Every way gets the same prompts, schema and budget, and stops at the same stop token. Those that
decode one prompt at a time do one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers import PreTrainedModel

import guided
from guided.grammars.json_schema import json_schema

from ..processors import xgrammar_arguments
from .workloads import Workload

#: Writes the texts that answer some prompts.
Way = Callable[[Sequence[str]], list[str]]
Maker = Callable[[Workload], Way]
#: Length of the drafts of Hugging Face's prompt lookup.
LOOKUP = 10


def guided_texts(
    workload: Workload, prompts: Sequence[str], draft: Any, **options: Any
) -> list[guided.Result[Any]]:
    """Results of `guided.run`; greedy, unless the options say otherwise."""
    return guided.run(
        workload.model,
        list(prompts),
        schema=workload.schema,
        max_new_tokens=workload.budget,
        heal=False,
        batch_size=len(prompts),
        draft=draft,
        **{"temperature": 0, **options},
    )


def guided_way(draft: Any) -> Maker:
    """guided with some drafts, "auto" or None."""
    return lambda workload: (
        lambda prompts: [result.text for result in guided_texts(workload, prompts, draft)]
    )


def guided_assistant(workload: Workload) -> Way:
    """guided with the assistant as draft model, beside the drafts of "auto"."""
    small = guided.Model(_assistant(workload), workload.model.tokenizer)
    return guided_way(small)(workload)


def _assistant(workload: Workload) -> PreTrainedModel:
    if workload.assistant is None:
        raise FileNotFoundError("no smaller model of the same vocabulary")
    return workload.assistant


def hf_texts(workload: Workload, prompts: Sequence[str], arguments: dict[str, Any]) -> list[str]:
    """What Hugging Face `generate` writes, greedily."""
    tokenizer = workload.model.tokenizer
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True, padding_side="left")
    inputs = inputs.to(workload.model.device)
    rows = workload.model.hf_model.generate(
        inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        do_sample=False,
        max_new_tokens=workload.budget,
        pad_token_id=tokenizer.pad_token_id,
        **arguments,
    )
    new = rows[:, inputs["input_ids"].shape[1] :]
    return list(tokenizer.batch_decode(new, skip_special_tokens=True))


def _one_by_one(
    workload: Workload, prompts: Sequence[str], arguments: Callable[[], dict[str, Any]]
) -> list[str]:
    return [hf_texts(workload, [prompt], arguments())[0] for prompt in prompts]


def free_generate(workload: Workload) -> Way:
    """Unconstrained `generate`; a fair comparison where the text comes out right by itself."""
    return lambda prompts: hf_texts(workload, prompts, {})


def guided_processor(workload: Workload) -> Callable[[], dict[str, Any]]:
    """Arguments of `generate` with guided's processor, which is a pure function of the prefix."""
    if workload.schema is None:
        return dict
    grammar = json_schema(workload.schema)

    def arguments() -> dict[str, Any]:
        processor = guided.GuidedLogitsProcessor(
            grammar, workload.model, max_new_tokens=workload.budget
        )
        return {"logits_processor": [processor]}

    return arguments


def generate_guided(workload: Workload) -> Way:
    """`generate` with guided's processor."""
    arguments = guided_processor(workload)
    return lambda prompts: hf_texts(workload, prompts, arguments())


def generate_xgrammar(workload: Workload) -> Way:
    """`generate` with xgrammar's processor."""
    arguments = xgrammar_arguments(workload.model.tokenizer)
    return lambda prompts: hf_texts(workload, prompts, arguments(str(workload.schema)))


def prompt_lookup(workload: Workload) -> Way:
    """`generate` with prompt lookup and a pure processor, which takes one prompt at a time."""
    constrained = guided_processor(workload)
    return lambda prompts: _one_by_one(
        workload, prompts, lambda: {**constrained(), "prompt_lookup_num_tokens": LOOKUP}
    )


def assisted(workload: Workload) -> Way:
    """`generate` with an assistant model and a pure processor, one prompt at a time."""
    given = {"assistant_model": _assistant(workload)}
    constrained = guided_processor(workload)
    return lambda prompts: _one_by_one(workload, prompts, lambda: {**constrained(), **given})


def outlines_way(workload: Workload) -> Way:
    """outlines on transformers, in batches."""
    import outlines

    model = outlines.from_transformers(workload.model.hf_model, workload.model.tokenizer)
    generator = outlines.Generator(model, outlines.types.JsonSchema(str(workload.schema)))
    options = {"do_sample": False, "max_new_tokens": workload.budget}

    def write(prompts: Sequence[str]) -> list[str]:
        if len(prompts) == 1:
            return [generator(prompts[0], **options)]
        return list(generator.batch(list(prompts), **options))

    return write


def guidance_way(workload: Workload) -> Way:
    """guidance on transformers, one prompt at a time."""
    import guidance
    from guidance.models import Transformers

    model = Transformers(
        workload.model.hf_model, workload.model.tokenizer, echo=False, enable_monitoring=False
    )
    answer = guidance.json(
        "answer",
        schema=str(workload.schema),
        temperature=0,
        max_tokens=workload.budget,
        separators=(", ", ": "),
    )
    engine = model._interpreter.engine

    def write(prompt: str) -> str:
        # Its cache of the prompt before is dropped: no other way has one, and guidance 0.3.1
        # cannot cut back the caches of transformers 5.
        engine._past_key_values, engine._cached_logits = None, None
        engine._cached_token_ids = []
        return str((model + prompt + answer)["answer"])

    return lambda prompts: [write(prompt) for prompt in prompts]


#: Other ways than guided's own, by name. Some decode one prompt at a time.
PEERS: dict[str, Maker] = {
    "generate": free_generate,
    "generate + guided": generate_guided,
    "generate + xgrammar": generate_xgrammar,
    "prompt lookup + guided": prompt_lookup,
    "assisted + guided": assisted,
    "outlines": outlines_way,
    "guidance": guidance_way,
}
ONE_BY_ONE = frozenset({"prompt lookup + guided", "assisted + guided", "guidance"})


def make_ways(workload: Workload, makers: dict[str, Maker], notes: list[str]) -> dict[str, Way]:
    """Every way that can be had and has worked once; the others are said in `notes`."""
    found = {}
    for name, make in makers.items():
        try:
            way = make(workload)
            way(workload.take(1))
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            notes.append(f"{name} on {workload.name}: not run, {reason}")
            continue
        found[name] = way
    return found
