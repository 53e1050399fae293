"""The 131,072-token byte-level vocabulary that ships inside the mistral_common package."""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILE = "tekken_240911.json"
STOP_TEXT = "</s>"


@dataclass(frozen=True)
class TokenTable:
    """Bytes of every token id; None for special tokens, whose texts stand in `specials`."""

    tokens: tuple[bytes | None, ...]
    stop_id: int
    specials: dict[str, int]
    pattern: str

    @property
    def size(self) -> int:
        return len(self.tokens)


def path() -> Path:
    """Where the vocabulary file lies. Raises ModuleNotFoundError without mistral_common."""
    spec = importlib.util.find_spec("mistral_common")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the 131k vocabulary ships in mistral_common, not installed")
    return Path(spec.origin).parent / "data" / FILE


@functools.cache
def table() -> TokenTable:
    """The vocabulary, read without importing mistral_common."""
    content = json.loads(path().read_bytes())
    config = content["config"]
    n_special, size = config["default_num_special_tokens"], config["default_vocab_size"]
    # The first ids are special: three that every release shares, then fillers.
    names = ["<unk>", "<s>", STOP_TEXT]
    names += [f"<SPECIAL_{i}>" for i in range(len(names), n_special)]
    plain = [base64.b64decode(row["token_bytes"]) for row in content["vocab"][: size - n_special]]
    return TokenTable(
        tokens=(*([None] * n_special), *plain),
        stop_id=names.index(STOP_TEXT),
        specials={name: i for i, name in enumerate(names)},
        pattern=config["pattern"],
    )


@functools.cache
def encoder() -> Callable[[str], list[int]]:
    """The tokenizer's own encoding, without begin and end tokens."""
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    tokenizer = Tekkenizer.from_file(path())
    return lambda text: tokenizer.encode(text, bos=False, eos=False)
