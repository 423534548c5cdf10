"""Every kind of attempt gets its own verdict, its own words, and never an exception."""

import pytest

from medsynth_lib.course.exercise import CALL_OUTS, Misconception, call_out_html, judge_attempt, quiz_html


def check(window):
    if window(100) == -100:
        raise Misconception("The sign is turned: brighter means denser.")
    assert window(100) == 100, "window(100) should be 100"


def stub(value):
    raise NotImplementedError


def returns_not_implemented(value):
    return NotImplemented


def ellipsis(value):
    return ...


def right(value):
    return value


def known_mistake(value):
    return -value


def other_mistake(value):
    return 0


def bug(value):
    return value + "HU"


def leaves(value):
    raise ValueError


@pytest.mark.parametrize(
    ("attempt", "status", "words"),
    [
        (right, "solved", ""),
        (stub, "unfinished", ""),
        (returns_not_implemented, "unfinished", ""),
        (ellipsis, "unfinished", ""),
        (NotImplemented, "unfinished", ""),
        (..., "unfinished", ""),
        (known_mistake, "misconception", "The sign is turned"),
        (other_mistake, "misconception", "should be 100"),
        (bug, "broken", 'return value + "HU"`: TypeError'),
        (leaves, "broken", "ValueError"),
        (3, "broken", "TypeError"),
    ],
)
def test_verdict(attempt, status, words):
    judgement = judge_attempt(attempt, check)
    assert judgement.status == status
    assert words in judgement.hint


def test_a_class_is_passed_as_it_is():
    class Block:
        def forward(self):
            raise NotImplementedError

    assert judge_attempt(Block, lambda block: block().forward()).status == "unfinished"


def test_a_bare_assert_still_says_something():
    def bare(_):
        assert False  # noqa: B011, PT015

    assert judge_attempt(right, bare).hint


@pytest.mark.parametrize("status", CALL_OUTS)
def test_call_out_escapes_and_names_the_state_in_words(status):
    judgement = judge_attempt(right, lambda _: None)
    html = call_out_html("E1 <b>", type(judgement)(status, "a < b"))
    assert CALL_OUTS[status][0] in html
    assert "a &lt; b" in html
    assert "<b>E1 &lt;b&gt;" in html
    assert "Traceback" not in html


def test_quiz_folds_the_answer():
    html = quiz_html("Which loss?", ["L1", "L2 & more"], 1, "Because.")
    places = [html.index(words) for words in ("L2 &amp; more", "<details>", "(b) L2 &amp; more", "Because")]
    assert places == sorted(places)
    with pytest.raises(ValueError, match="index into the 2 options"):
        quiz_html("?", ["a", "b"], 2, "")
