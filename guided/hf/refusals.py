"""What `generate` may be asked for that guided's decoding cannot give, refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from guided.errors import InputError, ModelError

_DRAFTS = "drafting is guided's own; its draft= says where guesses come from"
_PROCESSOR = "use guided.GuidedLogitsProcessor with plain generate"
_OUTPUT = "it is not kept"
#: Entries of the generation config: values that ask for nothing, and what to do instead.
_CONFIG: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "num_beams": ((1,), f"beams are not decoded here; {_PROCESSOR}"),
    "num_beam_groups": ((1,), f"beams are not decoded here; {_PROCESSOR}"),
    "constraints": ((), "give a schema or grammar instead"),
    "force_words_ids": ((), "give a schema or grammar instead"),
    "penalty_alpha": ((0, 0.0), f"contrastive search is not decoded here; {_PROCESSOR}"),
    "dola_layers": ((), f"it mixes layers of the model; {_PROCESSOR}"),
    "prompt_lookup_num_tokens": ((0,), _DRAFTS),
    "assistant_early_exit": ((0,), _DRAFTS),
    "use_mtp": ((False,), _DRAFTS),
    "speculation_type": ((), _DRAFTS),
    "token_healing": ((False,), "use guided.generate, which heals prompts"),
    "cache_implementation": (("dynamic",), "guided keeps keys and values in caches of its own"),
    "use_cache": ((True,), "decoding without keys and values is only slower; leave it out"),
    "prefill_chunk_size": ((), "prompts are read in one pass"),
    "compile_config": ((), "the model is called as it is"),
    "watermarking_config": ((), "it changes the law with a state of its own"),
    "output_scores": ((False,), f"{_OUTPUT}; log_q of the output has what was drawn"),
    "output_logits": ((False,), f"{_OUTPUT}; log_p of the output has what was drawn"),
    "output_attentions": ((False,), _OUTPUT),
    "output_hidden_states": ((False,), _OUTPUT),
}
#: Inputs of the model that every call has.
_KNOWN = frozenset(
    {"attention_mask", "position_ids", "logits_to_keep", "use_cache", "cache", "past_key_values"}
)


def check_config(config: Any) -> None:
    """Refuses entries of a generation config that would be ignored otherwise.

    Raises:
        InputError: names the first of them, and says what to do instead.
    """
    for name, (neutral, advice) in _CONFIG.items():
        value = getattr(config, name, None)
        if value is not None and value not in neutral:
            raise InputError(f"{name}={value!r} cannot be honoured by guided's decoding: {advice}")


def check_model_arguments(given: Mapping[str, Any]) -> None:
    """Refuses inputs of the model other than token ids with a mask.

    Raises:
        InputError: names the argument.
    """
    for name, value in given.items():
        if name not in _KNOWN and value is not None:
            raise InputError(
                f"{name} cannot be honoured by guided's decoding, which decodes token ids; "
                f"{_PROCESSOR}"
            )
    for name in ("cache", "past_key_values"):
        cache = given.get(name)
        if cache is not None and (_length(cache) or getattr(cache, "_is_user_defined", False)):
            raise InputError(
                f"{name} of the caller cannot be honoured by guided's decoding, which keeps keys "
                "and values in caches of its own; leave it out and give the whole text"
            )


def _length(cache: Any) -> int:
    return int(cache.get_seq_length()) if hasattr(cache, "get_seq_length") else 1


def check_eval(model: Any) -> None:
    """Refuses a model in training mode: dropout would make every pass another model.

    Raises:
        ModelError: it is in training mode.
    """
    if getattr(model, "training", False):
        raise ModelError("the model is in training mode; call model.eval() before generate")


def check_positions(given: Any, paddings: Tensor, width: int) -> None:
    """Refuses position ids other than the usual ones.

    Raises:
        InputError: they do not count each row's tokens from 0.
    """
    if given is None:
        return
    positions = given.cpu().expand(len(paddings), -1)
    for row, padding in zip(positions, paddings.tolist(), strict=True):
        if row.shape[0] != width or row[padding:].tolist() != list(range(width - padding)):
            raise InputError(
                "position_ids other than 0, 1, 2, … cannot be honoured by guided's decoding; "
                "leave them out"
            )
