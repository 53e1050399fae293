"""A small byte-level BPE in which a value has the same tokens in the text and after a quote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<pad>", "<bos>", "<eos>", "<mask>")
TYPES = r" \((?:string|integer|number|boolean|list of (?:strings|integers)|one of)(?!\p{L})"
SEPARATE = r"""["\]},][^\p{L}\p{N}\s]* ["\[{]+|": |\p{L}+|\p{N}|\s|[^\p{L}\p{N}\s]+"""


def glue_words(texts: Iterable[str], values: Iterable[str], count: int) -> list[str]:
    """The `count` most frequent lower-case words that never occur in a value.

    These may keep the space in front of them, which saves a third of the tokens of a text; all
    other words stand apart from their space, so that they are copied token by token.
    """
    taken = {word for value in values for word in re.findall(r"[^\W\d_]+", value.lower())}
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(re.findall(r"(?<= )[a-z]+(?![a-z])", text))
    return [word for word, _ in seen.most_common() if word not in taken][:count]


def train_tokenizer(
    texts: Iterable[str], size: int, glued: list[str] | None = None
) -> PreTrainedTokenizerFast:
    """A tokenizer with `size` ids that puts `<bos>` first and knows every byte."""
    start = f" (?:{'|'.join(glued)})(?!\\p{{L}})|" if glued else ""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(f"{TYPES}|{start}{SEPARATE}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        mask_token="<mask>",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
        padding_side="left",
    )
