"""Decode loops written out for one row and no options, to compare with."""

import math

import torch


def laws(model, tokens):
    """Log-probabilities `[length, V]` of a table model's positions; the mask is never proposed."""
    logits = torch.stack([model.law(list(tokens), at) for at in range(len(tokens))]).clone()
    logits[:, model.config.mask_token_id] = -math.inf
    return logits.log_softmax(-1)


def llada(model, prompt, length, steps, block, score=None):
    """LLaDA's loop at temperature 0: tokens of the canvas and the step of each slot."""
    mask = model.config.mask_token_id
    x = list(prompt) + [mask] * length
    when = [-1] * length
    per_block = steps // (length // block)
    step = 0
    for begin in range(len(prompt), len(x), block):
        base, rest = divmod(block, per_block)
        for t in range(per_block):
            many = base + (t < rest)
            if not many:
                continue
            law = laws(model, x)
            open_ = [i for i in range(begin, begin + block) if x[i] == mask]
            best = {i: int(law[i].argmax()) for i in open_}
            worth = {i: float(score(law[i]) if score else law[i].max().exp()) for i in open_}
            for i in sorted(open_, key=lambda i: (-worth[i], i))[:many]:
                x[i] = best[i]
                when[i - len(prompt)] = step
            step += 1
    return tuple(x[len(prompt) :]), tuple(when)


def parallel(model, prompt, length, block, choose):
    """Commits what `choose(confidences, best first)` counts, at least one, until all is filled."""
    mask = model.config.mask_token_id
    x = list(prompt) + [mask] * length
    passes = 0
    for begin in range(len(prompt), len(x), block):
        end = min(begin + block, len(x))
        while mask in x[begin:end]:
            law = laws(model, x)
            passes += 1
            open_ = [i for i in range(begin, end) if x[i] == mask]
            order = sorted(open_, key=lambda i: (-float(law[i].max()), i))
            many = max(1, choose([float(law[i].max().exp()) for i in order]))
            for i in order[:many]:
                x[i] = int(law[i].argmax())
    return tuple(x[len(prompt) :]), passes
