"""The recipe of the process reward model, the model that it made, and its test problems."""

from __future__ import annotations

import itertools
import json
import random
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    LlamaForTokenClassification,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES / "training"))

from recipe.chains import (  # noqa: E402
    Chains,
    problem_as_json,
    problem_from_json,
    problems,
    read_chains,
    sample_chains,
    write_chains,
)
from recipe.checking import equation, first_wrong, same_step  # noqa: E402
from recipe.decoding import decode  # noqa: E402
from recipe.mathrows import problem_tokenizer  # noqa: E402
from recipe.mistakes import calculated, wrong_line, wrong_result  # noqa: E402
from recipe.model import BOS, EOS, Shape, build  # noqa: E402
from recipe.ranking import (  # noqa: E402
    Share,
    best_of,
    fault_rates,
    likelihoods,
    pair_accuracy,
    step_scores,
)
from recipe.rewardmodel import TreeForward, counts, losses, reward_model  # noqa: E402
from recipe.rewardtraining import train_rewards  # noqa: E402
from recipe.sampling import Sampler  # noqa: E402
from recipe.splits import is_held_out, words  # noqa: E402
from recipe.steprows import Growth, StepRows, forests, sampled_faults  # noqa: E402
from recipe.training import Plan  # noqa: E402
from recipe.trees import RIGHT, WRONG, Line, collate, tree  # noqa: E402
from recipe.wordproblems import Problem  # noqa: E402

SMALL = Shape(layers=2, width=32, heads=2, inner=48)
LAURA = Problem(
    "Laura has 12 apples. She buys 5 more and gives 4 away.", ("12+5=17", "17-4=13"), 13
)


@pytest.fixture(scope="module")
def tokenizer():
    return problem_tokenizer(400, 0, examples=200)


@pytest.fixture(scope="module")
def model(tokenizer):
    return build(SMALL, len(tokenizer), 0)


def solved(*texts: str, problem: Problem = LAURA) -> Chains:
    return Chains(problem, texts, (True,) * len(texts))


@pytest.mark.parametrize(
    ("line", "gold", "same"),
    [
        ("5+12=17", "12+5=17", True),
        ("6+6=12", "6*2=12", True),
        ("2*6=12", "6*2=12", True),
        ("4-17=13", "17-4=13", False),
        ("12+5=18", "12+5=17", False),
        ("Answer: 13", "Answer: 13", True),
        ("Answer: 12", "Answer: 13", False),
        ("12+5", "12+5=17", False),
        ("", "12+5=17", False),
    ],
)
def test_a_step_is_right_if_it_says_the_same_as_the_gold_step(line, gold, same):
    assert same_step(line, gold) is same


def test_the_first_wrong_line_is_found():
    gold = LAURA.lines()
    assert first_wrong(gold, gold) is None
    assert first_wrong(gold[:1], gold) is None
    assert first_wrong(["5+12=17", "17-4=12", "Answer: 12"], gold) == 1
    assert first_wrong([*gold, "Answer: 13"], gold) == 3
    assert first_wrong(["12+5=17", "Answer: 17"], gold) == 1


def test_made_up_mistakes_are_wrong_and_of_several_kinds():
    rng, kinds = random.Random(0), set()
    for one in problems(60, 0):
        gold = one.lines()
        for number, right in enumerate(gold):
            line = wrong_line(one, number, rng)
            if line is None:
                continue
            assert not same_step(line, right)
            made, wanted = equation(line), equation(right)
            if made is None or wanted is None:
                kinds.add("answer" if made is None else "more")
                continue
            true = calculated(made.left, made.operation, made.right) == made
            kinds.add("misread" if true else "slip")
    assert kinds == {"answer", "more", "misread", "slip"}


def test_a_wrong_result_keeps_the_calculation():
    lines = [wrong_result("12+5=17", random.Random(seed)) for seed in range(30)]
    assert all(line is None or line.startswith("12+5=") for line in lines)
    assert "12+5=17" not in lines
    assert len(set(lines)) > 5


def test_problems_are_different_and_a_seed_fixes_them():
    made = problems(50, 3)
    assert len({one.question for one in made}) == 50
    assert made == problems(50, 3)
    assert made != problems(50, 4)


def test_greedy_samples_equal_plain_decoding(tokenizer, model):
    asked = problems(7, 1)
    prompts = [tokenizer(one.prompt()).input_ids for one in asked]
    generator = torch.Generator().manual_seed(0)
    drawn = Sampler(model).sample(prompts, 2, generator, 12, temperature=1e-6, batch=3)
    plain = decode(model, tokenizer, [one.prompt() for one in asked], longest=12)
    for rows, text in zip(drawn, plain, strict=True):
        assert rows[0] == rows[1]
        assert tokenizer.decode([i for i in rows[0] if i != EOS]) == text


def test_samples_follow_the_models_law(tokenizer, model):
    prompt = tokenizer(LAURA.prompt()).input_ids
    with torch.inference_mode():
        law = model(torch.tensor([prompt])).logits[0, -1].softmax(-1)
    drawn = Sampler(model).sample([prompt], 4000, torch.Generator().manual_seed(0), longest=1)
    counted = torch.bincount(torch.tensor(drawn[0])[:, 0], minlength=len(law)) / 4000
    assert (counted - law).abs().max() < 5 * (law.max() / 4000).sqrt()


def test_a_seed_fixes_the_sampled_solutions(tokenizer, model, tmp_path):
    asked = problems(3, 2)
    made = sample_chains(model, tokenizer, asked, 2, seed=5)
    assert made == sample_chains(model, tokenizer, asked, 2, seed=5)
    assert made != sample_chains(model, tokenizer, asked, 2, seed=6)
    write_chains(tmp_path / "chains.jsonl", made)
    assert read_chains(tmp_path / "chains.jsonl") == made


def test_a_cut_off_line_is_not_judged():
    cut = Chains(LAURA, ("12+5=17\n17-4=1",), (False,))
    assert cut.lines(0) == ["12+5=17"]
    assert cut.first_wrong(0) is None
    assert not cut.right(0)


def test_sampled_faults_are_the_first_lines_that_leave_the_gold_solution():
    chains = solved(
        "12+5=17\n17-4=13\nAnswer: 13",
        "12+5=17\n17-4=12\nAnswer: 12",
        "12+5=17\n17-4=12\nAnswer: 13",
        "5+12=17\n17-4=12\nAnswer: 12",
    )
    assert sampled_faults(chains) == [(1, "17-4=12"), (0, "5+12=17")]


def test_every_path_of_a_tree_has_the_states_of_a_plain_row(tokenizer, model):
    chains = solved("12+5=18\n", "12+5=17\n17-5=12\n", "12+5=17\n17-4=13\nAnswer: 17")
    prm = reward_model(model, 2, 0)
    row = StepRows(tokenizer).problem(chains, random.Random(0))
    longer = StepRows(tokenizer).drill(random.Random(1))
    batch = collate([row, longer])
    everywhere = torch.ones_like(batch.ids, dtype=torch.bool)
    states = TreeForward(prm).states(batch, everywhere).view(*batch.ids.shape, -1)[0]
    for number in range(max(row.branches) + 1):
        own = [i for i, branch in enumerate(row.branches) if branch == number]
        path = [*range(row.limits[own[0]]), *own]
        assert [row.positions[i] for i in path] == list(range(len(path)))
        ids = torch.tensor([[row.ids[i] for i in path]])
        plain = prm.model(input_ids=ids).last_hidden_state[0]
        assert torch.allclose(states[path], plain, atol=1e-4)


def test_the_labels_of_a_tree_stand_where_they_should():
    gold = [Line([5, 6, 7], True, said=(0, 3)), Line([8, 9], True, said=(1, 1))]
    row = tree([BOS, 4], gold, [[Line([5, 3, 7], False, judged=1)], []])
    none = -100
    assert row.ids == [BOS, 4, 5, 6, 7, 8, 9, 5, 3, 7]
    assert row.positions == [0, 1, 2, 3, 4, 5, 6, 2, 3, 4]
    assert row.steps == [none] * 4 + [RIGHT, none, RIGHT, none, none, WRONG]
    assert row.tokens == [none, none, RIGHT, RIGHT, none, RIGHT, none, none, WRONG, none]
    assert row.nexts == [none, 5, 6, 7, none, none, none, none, none, none]


def test_about_as_many_wrong_as_right_steps_are_taught(tokenizer):
    rows = StepRows(tokenizer)
    chains = [solved("12+5=18\nAnswer: 18", problem=one) for one in problems(40, 5)]
    batch = collate([rows.problem(one, random.Random(0)) for one in chains])
    right, wrong = int((batch.steps == RIGHT).sum()), int((batch.steps == WRONG).sum())
    assert 0.6 < right / wrong < 1.7


def test_the_answer_ends_with_a_line_break_or_the_end_token(tokenizer):
    rows, ends = StepRows(tokenizer), set()
    for seed in range(12):
        row = rows.problem(solved(), random.Random(seed))
        trunk = [i for i, branch in zip(row.ids, row.branches, strict=True) if branch == 0]
        ends.add(trunk[-1])
    assert ends == {EOS, *tokenizer("\n", add_special_tokens=False).input_ids}


def test_the_reward_model_starts_as_the_language_model(tokenizer, model):
    prm, ids = reward_model(model, 2, 0), torch.randint(4, len(tokenizer), (2, 9))
    assert type(prm) is LlamaForTokenClassification
    assert (prm.config.num_labels, prm.config.id2label[RIGHT]) == (2, "right")
    hidden = prm.model(input_ids=ids).last_hidden_state
    assert torch.allclose(hidden, model.model(input_ids=ids).last_hidden_state, atol=1e-5)


def test_losses_of_parts_add_up_to_the_loss_of_the_whole(tokenizer, model):
    made = [StepRows(tokenizer).drill(random.Random(seed)) for seed in range(4)]
    forward = TreeForward(reward_model(model, 1, 0))
    whole, parts = collate(made), [collate(made[:1]), collate(made[1:])]
    divisors = counts(parts)
    assert divisors == counts([whole])
    total = sum(losses(forward, part, divisors).total for part in parts)
    assert torch.allclose(total, losses(forward, whole, divisors).total, atol=1e-5)


def test_a_short_training_run_lowers_the_loss_and_can_be_repeated(tokenizer, model):
    chains = [solved("12+5=18\nAnswer: 18", problem=one) for one in problems(4, 6)]

    def run() -> list[float]:
        prm, found = reward_model(model, 1, 0), []
        stream = forests(StepRows(tokenizer), chains, Growth(micro=2, pool=4))
        plan = Plan(steps=12, rows=4, micro=2, warmup=2, muon_rate=0.02, adam_rate=0.01)
        train_rewards(prm, stream, plan, lambda _, loss: found.append(loss.total.item()))
        return found

    first = run()
    assert first[-1] < first[0]
    assert first == run()


def test_batches_have_rows_of_similar_length(tokenizer):
    chains = [solved(problem=one) for one in problems(32, 7)]
    stream = forests(StepRows(tokenizer), chains, Growth(micro=4, pool=32))
    batches = list(itertools.islice(stream, 10))
    filled = sum(int((batch.ids > 0).sum()) for batch in batches)
    assert filled > 0.8 * sum(batch.ids.numel() for batch in batches)


def test_there_is_one_score_for_every_line(tokenizer, model):
    prm = reward_model(model, 1, 0).eval()
    chains = [solved("12+5=17\n17-4=13\nAnswer: 13", "12+5=17"), solved("", problem=LAURA)]
    found = step_scores(prm, tokenizer, chains, batch=2)
    assert [[len(row) for row in rows] for rows in found] == [[3, 1], [1]]
    ids = tokenizer(LAURA.prompt() + "12+5=17\n", return_tensors="pt").input_ids
    expected = prm(input_ids=ids).logits[0, -1].softmax(-1)[RIGHT].item()
    assert found[0][1][0] == pytest.approx(expected, abs=1e-5)
    assert found[0][0][0] == pytest.approx(expected, abs=1e-5)


def test_likelihoods_are_sums_over_the_solution(tokenizer, model):
    (found,) = likelihoods(model, tokenizer, [solved("Answer: 1")])
    prompt = tokenizer(LAURA.prompt()).input_ids
    said = [*tokenizer("Answer: 1", add_special_tokens=False).input_ids, EOS]
    logs = model(torch.tensor([prompt + said])).logits[0].log_softmax(-1)
    expected = sum(logs[len(prompt) - 1 + i, token].item() for i, token in enumerate(said))
    assert found[0] == pytest.approx(expected, abs=1e-3)


RIGHT_TEXT, WRONG_TEXT = "12+5=17\n17-4=13\nAnswer: 13", "12+5=18\n18-4=14\nAnswer: 14"


def test_pairs_are_compared_within_a_problem_only():
    chains = [solved(RIGHT_TEXT, WRONG_TEXT, WRONG_TEXT), solved(RIGHT_TEXT), solved(WRONG_TEXT)]
    share = pair_accuracy(chains, [[0.5, 0.4, 0.5], [0.1], [0.9]])
    assert share.value() == pytest.approx(0.75)
    assert share.as_json()["n"] == 2
    assert best_of(chains, [[0.5, 0.4, 0.6], [0.1], [0.9]]) == [False, True, False]


def test_faults_are_counted_up_to_the_first_wrong_line():
    chains = [solved(RIGHT_TEXT, WRONG_TEXT)]
    rates = fault_rates(chains, [[[0.9, 0.2, 0.9], [0.1, 0.0, 0.0]]])
    assert (rates["first_wrong_caught"]["hits"], rates["first_wrong_caught"]["n"]) == (1, 1)
    assert (rates["false_alarms"]["hits"], rates["false_alarms"]["n"]) == (1, 3)


def test_a_share_has_an_interval_around_it():
    figures = Share(tuple((float(i % 2), 1.0) for i in range(100))).as_json()
    assert 38 < figures["low"] < 44 < figures["percent"] == 50 < 56 < figures["high"] < 62


def test_the_word_problems_are_the_ones_that_the_script_makes():
    lines = (EXAMPLES / "data" / "word_problems.jsonl").read_text(encoding="utf-8").splitlines()
    from make_problems import COUNT, SEED

    assert [problem_from_json(json.loads(line)) for line in lines] == problems(COUNT, SEED, "held")
    assert len(lines) >= 400
    assert json.loads(lines[0]) == problem_as_json(problem_from_json(json.loads(lines[0])))


def test_no_word_problem_is_about_a_person_whom_training_knows():
    known = set(words("first_names", "train"))
    for line in (EXAMPLES / "data" / "word_problems.jsonl").read_text().splitlines():
        row = json.loads(line)
        capital = {word.strip(".,?") for word in row["question"].split() if word[0].isupper()}
        assert not capital & known
        assert any(is_held_out(word) for word in capital)
        assert row["steps"][-1].endswith(f"={row['answer']}")


@pytest.fixture(scope="module")
def shipped():
    folder = EXAMPLES / "models" / "tiny-prm"
    model = AutoModelForTokenClassification.from_pretrained(folder, dtype=torch.float32)
    return folder, model.eval(), AutoTokenizer.from_pretrained(folder)


def test_the_shipped_reward_model_is_a_small_plain_folder(shipped):
    folder, model, tokenizer = shipped
    assert (folder / "model.safetensors").stat().st_size < 6_500_000
    assert type(model) is LlamaForTokenClassification
    assert model.config.label2id == {"wrong": WRONG, "right": RIGHT}
    other = AutoTokenizer.from_pretrained(EXAMPLES / "models" / "tiny-math")
    assert tokenizer.get_vocab() == other.get_vocab()


def test_the_shipped_reward_model_tells_a_wrong_step_from_a_right_one(shipped):
    _, model, tokenizer = shipped
    question = (
        "Laura has 12 apples. Laura buys 5 more. Laura gives 4 to Peter. Then Laura doubles the "
        "number of apples. Laura finds 3 more. How many apples does Laura have now?"
    )
    one = Problem(question, ("12+5=17", "17-4=13", "13*2=26", "26+3=29"), 29)
    wrong = "12+5=17\n17+4=21\n21*2=42\n42+3=45\nAnswer: 45"
    good, bad = step_scores(model, tokenizer, [solved(one.solution(), wrong, problem=one)])[0]
    assert min(good) > 0.5
    assert bad[0] > 0.5 > bad[1]


@pytest.mark.parametrize("ended", [False, True])
def test_guided_knows_how_to_call_the_shipped_reward_model(shipped, ended):
    from guided.rewards import PRM
    from guided.rewards.protocol import Continuation

    _, model, tokenizer = shipped
    reward = PRM(model, tokenizer=tokenizer)
    found = reward.score([LAURA.prompt()], [Continuation(RIGHT_TEXT, is_complete=ended)])[0]
    expected = step_scores(model, tokenizer, [solved(RIGHT_TEXT)])[0][0]
    # A finished answer is read at `<eos>`, which the model has learned to be the same.
    assert found == pytest.approx(expected, abs=0.2 if ended else 1e-4)
    assert found[:2] == pytest.approx(expected[:2], abs=1e-4)


def test_the_measured_pair_accuracy_passes_the_gate(shipped):
    folder, _, _ = shipped
    figures = json.loads((folder / "eval.json").read_text(encoding="utf-8"))
    assert figures["pair_accuracy"]["min"]["percent"] >= 85
    assert figures["pair_accuracy"]["prod"]["percent"] >= 85
