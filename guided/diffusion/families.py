"""Published families of masked-diffusion language models, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from guided.errors import ModelError

#: How a model takes a mask: `[n, length]` of ones and zeros, or `[n, 1, length, length]`, boolean
#: or added to the scores.
MaskForm = Literal["padding", "boolean", "additive"]


@dataclass(frozen=True)
class Family:
    """How the models of one family are called.

    Ids are those of the published checkpoints, used where neither model nor tokenizer names them.

    Attributes:
        name: the field's.
        model_types: `config.model_type` of its checkpoints, in lower case.
        classes: names of its model classes.
        mask_id: the mask's id (None: the tokenizer has to say).
        stop_ids: ids that end the text.
        block_length: block of block-causal attention: a position sees its own block and those
            before it, counted from the prompt's begin; None: every position sees every other.
        shift: whether the logits at a position predict the next position.
        mask_form: how it takes an attention mask.
        needs_mask: whether it is causal unless a mask says otherwise.
        auto_class: the transformers class that loads it.
        remote_code: whether its code comes with the checkpoint.
        max_positions: positions that it was trained on, where its configuration does not say.
    """

    name: str
    model_types: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    mask_id: int | None = None
    stop_ids: tuple[int, ...] = ()
    block_length: int | None = None
    shift: bool = False
    mask_form: MaskForm = "padding"
    needs_mask: bool = False
    auto_class: str = "AutoModel"
    remote_code: bool = True
    max_positions: int | None = None


FAMILIES = (
    # LLaDA-8B and LLaDA-1.5; its forward ignored masks in files older than October 2025.
    Family(
        "LLaDA",
        model_types=("llada",),
        classes=("LLaDAModelLM",),
        mask_id=126336,
        stop_ids=(126081, 126348),
        max_positions=4096,
    ),
    Family(
        "LLaDA-MoE",
        model_types=("llada_moe", "lladamoe"),
        classes=("LLaDAMoEModel", "LLaDAMoEModelLM"),
        mask_id=156895,
        stop_ids=(156892,),
    ),
    # Also DiffuCoder, which has Dream's model class.
    Family(
        "Dream",
        model_types=("dream",),
        classes=("DreamModel",),
        mask_id=151666,
        stop_ids=(151643, 151645),
        shift=True,
        mask_form="boolean",
        max_positions=2048,
    ),
    Family(
        "Dimple",
        model_types=("dimple",),
        classes=("DimpleModel",),
        mask_id=151666,
        stop_ids=(151643, 151645),
        shift=True,
        mask_form="boolean",
    ),
    # Also TraDo.
    Family(
        "SDAR",
        model_types=("sdar", "sdar_moe"),
        classes=("SDARForCausalLM", "SDARMoeForCausalLM"),
        mask_id=151669,
        stop_ids=(151643, 151645),
        block_length=4,
        mask_form="boolean",
        auto_class="AutoModelForCausalLM",
    ),
    Family(
        "LLaDA2",
        model_types=("llada2_moe",),
        classes=("LLaDA2MoeModelLM",),
        mask_id=156895,
        stop_ids=(156892,),
        block_length=32,
        mask_form="additive",
        auto_class="AutoModelForCausalLM",
    ),
)

#: Models of transformers with a masked-language head, ModernBERT for one.
NATIVE = Family("masked language model", remote_code=False, auto_class="AutoModelForMaskedLM")


def family_of(config: Any, class_name: str = "") -> Family | None:
    """The family that a configuration, or a model's class name, belongs to; None: no known one."""
    names = {class_name, *_class_names(config)} - {""}
    model_type = str(getattr(config, "model_type", "") or "").lower()
    for family in FAMILIES:
        if model_type in family.model_types or names & set(family.classes):
            return family
    return NATIVE if any(name.endswith("ForMaskedLM") for name in names) else None


def _class_names(config: Any) -> Iterator[str]:
    """Names of model classes that a configuration mentions."""
    yield from getattr(config, "architectures", None) or ()
    auto_map = getattr(config, "auto_map", None) or {}
    for value in auto_map.values():
        if isinstance(value, str):
            yield value.rpartition(".")[2]


def given_family(family: Family | str | None) -> Family | None:
    """The family that a caller names; None where none is named.

    Raises:
        ModelError: no family has this name.
    """
    if not isinstance(family, str):
        return family
    known = {each.name.lower(): each for each in (*FAMILIES, NATIVE)}
    if family.lower() not in known:
        names = sorted(each.name for each in known.values())
        raise ModelError(f"no family is named {family!r}; there are {names}")
    return known[family.lower()]
