"""Problems as they are read, put to a model, judged, and scored without a model."""

import pytest

from guided.errors import InputError
from guided.rewards import Continuation
from guided.solving import Equations, Problem, Prompting, read_problems
from guided.testing import fake_model, tiny_model


def test_lines_become_problems() -> None:
    text = (
        '{"question": "What is 2 + 3?", "answer": 5}\n\n'
        '{"question": "And\u2028now?", "answer": "so it is 7 #### 7", "steps": []}\r\n'
        '{"question": "Open?", "answer": null}\n'
    )
    assert read_problems(text, "here") == [
        Problem("What is 2 + 3?", "5"),
        Problem("And\u2028now?", "7"),
        Problem("Open?"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "here holds no problem"),
        ("\n \n", "here holds no problem"),
        ('{"question": "a"}\nnonsense', "here, line 2: no JSON"),
        ('["a"]', "here, line 1: no object with a text 'question'"),
        ('{"question": 3}', "here, line 1: no object with a text 'question'"),
        ('{"question": " "}', "here, line 1: the question is empty"),
        ('{"question": "a", "answer": [1]}', "here, line 1: the answer must be text or a number"),
        ('{"question": "a", "answer": true}', "here, line 1: the answer must be text or a number"),
        ('{"question": "a", "answer": "x ####"}', "here, line 1: the answer is empty"),
    ],
)
def test_lines_that_are_no_problems_are_told(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_problems(text, "here")


@pytest.mark.parametrize(
    ("answer", "text", "is_right"),
    [
        ("5", "2+3=5\nAnswer: 5", True),
        ("5", "2+3=6\nAnswer: 6", False),
        ("1000", "It is \\boxed{1,000.0}.", True),
        ("1/2", "so 0.5", True),
        (None, "Answer: 5", None),
        ("5", "", False),
    ],
)
def test_answers_are_judged(answer: str | None, text: str, is_right: bool | None) -> None:
    assert Problem("?", answer).judges(text) is is_right


def test_a_question_is_put_as_chat_or_as_text() -> None:
    chat = Prompting.for_model(tiny_model())("How {many}?")
    assert [message["role"] for message in chat] == ["system", "user"]
    assert chat[1]["content"] == "How {many}?"
    assert Prompting.for_model(fake_model("x"))("How {many}?") == "Question: How {many}?\n"
    assert Prompting(system="")("a") == [{"role": "user", "content": "a"}]
    with pytest.raises(InputError, match=r"needs \{question\}"):
        Prompting("Question:")


def test_equations_are_checked_line_by_line() -> None:
    text = "2+3=5\n2 * 3 = 7, so\nno equation\n7/2=3.5 and 1-2=-1\n1/0=0\n1+2+3=6\n0.1+0.2=0.3"
    (scores,) = Equations().score(["?"], [Continuation(text)])
    assert scores == [1, 0, 1, 1, 0, 1, 1]
    assert Equations().score(["?"], [Continuation("")]) == [[1.0]]
