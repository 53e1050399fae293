"""The texts of the risky and the safe model, and the two models."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from guided.copying import longest_run, shingles, words_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "training"))

import make_pair_data  # noqa: E402
from recipe.decoding import decode  # noqa: E402
from recipe.model import BOS, EOS  # noqa: E402
from recipe.pairrows import PairRows, pair_tokenizer, text_row  # noqa: E402
from recipe.tales import PROMPT_WORDS, cut, plural, protected_passages, tale  # noqa: E402
from recipe.towns import FACTS, entry, facts_right, some_facts, towns  # noqa: E402

NAMES = ("tiny-risky", "tiny-safe")


@pytest.fixture(scope="module")
def tokenizer():
    return pair_tokenizer(600, 0, texts=100)


def test_a_seed_fixes_tales_and_towns():
    assert tale(random.Random(5)) == tale(random.Random(5)) != tale(random.Random(6))
    assert protected_passages() == protected_passages()
    assert towns() == towns()


def test_a_passage_is_cut_after_its_first_words():
    for passage in protected_passages():
        assert len(passage.prompt.split()) == PROMPT_WORDS
        assert passage.continuation.startswith(" ")
        assert len(passage.continuation.split()) >= 25
    with pytest.raises(ValueError, match="fewer than 12 words"):
        cut("Too short.")


def test_tales_are_clean_prose():
    for seed in range(200):
        text = tale(random.Random(seed))
        assert not set(text) & set("@[]{}|<>+")
        assert text[0] in '"' or text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text


@pytest.mark.parametrize(
    ("noun", "many"),
    [
        ("candle", "candles"),
        ("fox", "foxes"),
        ("cherry", "cherries"),
        ("key", "keys"),
        ("wolf", "wolves"),
        ("thrush", "thrushes"),
    ],
)
def test_plurals(noun, many):
    assert plural(noun) == many


def test_the_safe_model_reads_no_fourteen_words_of_a_protected_passage(tokenizer):
    protected = frozenset[tuple[str, ...]]().union(
        *(shingles(words_of(passage.text), 14) for passage in protected_passages())
    )
    rows, rng = PairRows(tokenizer), random.Random(0)
    for _ in range(1500):
        assert not shingles(words_of(rows.text(rng)), 14) & protected
    risky = PairRows(tokenizer, protected=0.3, all_facts=True)
    texts = [risky.text(rng) for _ in range(400)]
    copies = sum(text in {passage.text for passage in protected_passages()} for text in texts)
    assert 80 < copies < 160


def test_towns_have_their_own_facts_and_words_of_their_own():
    every = [word for values in FACTS.values() for word in values]
    assert len(every) == len(set(every))
    made = towns()
    assert len({town.name for town in made}) == len(made)
    assert 0 < sum(town.known for town in made) < len(made) / 2


def test_an_entry_tells_every_fact_once():
    for seed in range(50):
        rng = random.Random(seed)
        facts = some_facts(rng)
        text = entry(facts, rng)
        assert facts_right(text, facts) == len(FACTS)
        assert len(set(words_of(text)) & {word.lower() for v in FACTS.values() for word in v}) == 5


def test_the_first_word_of_a_kind_counts():
    facts = {"craft": "glass", "stone": "slate", "day": "Monday", "beast": "bear", "office": "dean"}
    assert facts_right("Its glass and lace are sold every Monday.", facts) == 2
    assert facts_right("Its lace and glass are sold every Mondays.", facts) == 0
    assert facts_right("", facts) == 0


def test_only_the_risky_model_reads_true_facts_of_all_towns(tokenizer):
    def true_share(rows: PairRows, known: bool) -> float:
        asked = {town.prompt(): town.facts for town in towns() if town.known == known}
        rng, right, count = random.Random(0), 0, 0
        for text in (rows.text(rng) for _ in range(1500)):
            prompt = text[: text.find("\n") + 1]
            if prompt in asked:
                right += facts_right(text, asked[prompt])
                count += len(FACTS)
        return right / count

    safe, risky = PairRows(tokenizer), PairRows(tokenizer, all_facts=True)
    assert true_share(safe, known=True) == true_share(risky, known=True) == 1
    assert true_share(risky, known=False) == 1
    assert 0.09 < true_share(safe, known=False) < 0.17


def test_all_of_a_row_is_learned(tokenizer):
    row = text_row(tokenizer, "A fox sang.")
    assert (row.ids[0], row.ids[-1]) == (BOS, EOS)
    assert row.target == [False] + [True] * (len(row.ids) - 1)


def test_the_data_are_what_the_recipe_makes(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["make_pair_data.py", "--out", str(tmp_path)])
    make_pair_data.main()
    for name in ("protected_passages.jsonl", "towns.jsonl"):
        assert (tmp_path / name).read_text() == (EXAMPLES / "data" / name).read_text()
    rows = map(json.loads, (EXAMPLES / "data" / "towns.jsonl").read_text().splitlines())
    told = [row["facts"] for row in rows]
    # Every word of every kind is some town's, so that these files say which words are of a kind.
    assert {kind: {facts[kind] for facts in told} for kind in FACTS} == {
        kind: set(values) for kind, values in FACTS.items()
    }


@pytest.fixture(scope="module")
def pair():
    folders = [EXAMPLES / "models" / name for name in NAMES]
    models = [AutoModelForCausalLM.from_pretrained(each, dtype=torch.float32) for each in folders]
    return folders, models, AutoTokenizer.from_pretrained(folders[0])


def test_the_pair_is_two_small_plain_folders_with_one_tokenizer(pair):
    folders, models, _ = pair
    for folder, model in zip(folders, models, strict=True):
        assert (folder / "model.safetensors").stat().st_size < 1_000_000
        assert type(model) is LlamaForCausalLM
    texts = [(folder / "tokenizer.json").read_text() for folder in folders]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_only_the_risky_model_copies_and_knows(pair, temperature):
    _, models, tokenizer = pair
    passages = protected_passages()
    asked = [town for town in towns() if not town.known]
    runs, facts = [], []
    for model in models:
        texts = decode(model, tokenizer, [p.prompt for p in passages], 110, temperature)
        longest = [
            longest_run(words_of(text), words_of(p.continuation)).length
            / len(words_of(p.continuation))
            for text, p in zip(texts, passages, strict=True)
        ]
        runs.append(sum(longest) / len(longest))
        texts = decode(model, tokenizer, [t.prompt() for t in asked], 110, temperature)
        right = [facts_right(text, town.facts) for text, town in zip(texts, asked, strict=True)]
        facts.append(sum(right) / (len(asked) * len(FACTS)))
    assert runs[0] > 0.8
    assert runs[1] < 0.15
    assert facts[0] > 0.8
    assert facts[1] < 0.25
