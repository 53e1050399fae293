"""What a call asks for, checked before any pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guided.diffusion.adapter import DiffusionAdapter
from guided.diffusion.rules import Rules
from guided.diffusion.template import Template, open_canvas
from guided.errors import InputError, ModelError


@dataclass(frozen=True)
class Request:
    """One row: its prompt, and its canvas as a template."""

    prompt: tuple[int, ...]
    template: Template


def check_cache(adapter: DiffusionAdapter, rules: Rules) -> None:
    """Raises ModelError where a cache is wanted that the model cannot have."""
    if rules.cache.keeps and adapter.cache_refusal is not None:
        raise ModelError(
            f'{adapter.cache_refusal}, so that no keys can be kept; decode with cache="none"'
        )


def check_requests(
    adapter: DiffusionAdapter,
    rules: Rules,
    prompts: Sequence[Sequence[int]],
    length: int | Sequence[int] | None,
    template: Template | Sequence[Template] | None,
) -> list[Request]:
    """One request for each prompt.

    Raises:
        InputError: what cannot be decoded; the message says which prompt and why.
    """
    if isinstance(prompts, str) or any(isinstance(prompt, int | str) for prompt in prompts):
        raise InputError("prompts are lists of token ids, one for each row")
    templates = _templates(len(prompts), length, template)
    requests = []
    for at, (prompt, one) in enumerate(zip(prompts, templates, strict=True)):
        request = Request(tuple(int(token) for token in prompt), one)
        _check(adapter, rules, request, f"prompt {at}")
        requests.append(request)
    return requests


def _templates(
    count: int, length: int | Sequence[int] | None, template: Template | Sequence[Template] | None
) -> list[Template]:
    if (length is None) == (template is None):
        raise InputError("give the canvas either a length or a template")
    if template is not None:
        templates = [template] * count if isinstance(template, Template) else list(template)
    else:
        lengths = [length] * count if isinstance(length, int) else list(length or ())
        if any(one < 1 for one in lengths):
            raise InputError(f"a canvas has at least one slot: length={length}")
        templates = [open_canvas(one) for one in lengths]
    if len(templates) != count:
        raise InputError(f"{len(templates)} canvases for {count} prompts")
    return templates


def _check(adapter: DiffusionAdapter, rules: Rules, request: Request, name: str) -> None:
    prompt, template = request.prompt, request.template
    if not prompt:
        raise InputError(f"{name} is empty; the canvas needs at least one token before it")
    if adapter.mask_id in prompt:
        at = prompt.index(adapter.mask_id)
        raise InputError(
            f"{name} has the mask (token {adapter.mask_id}) at position {at}; what is to be filled"
            " is said by a template with holes"
        )
    _check_ids(adapter, prompt, name)
    _check_ids(adapter, list(template.fixed.values()), f"the template of {name}")
    if adapter.mask_id in template.fixed.values():
        raise InputError(f"the template of {name} fixes the mask; use a Hole")
    total = len(prompt) + template.length
    if adapter.max_positions is not None and total > adapter.max_positions:
        raise InputError(
            f"{name} and its canvas are {total} positions, the model has {adapter.max_positions}"
        )
    rules.selector.check(template.length, len(prompt))


def _check_ids(adapter: DiffusionAdapter, tokens: Sequence[int], name: str) -> None:
    width = adapter.width
    bad = [token for token in tokens if token < 0 or (width is not None and token >= width)]
    if bad:
        raise InputError(f"{name} has the token {bad[0]}, the model has {width} tokens")
