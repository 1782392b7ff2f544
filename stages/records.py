"""Finds the texts under named fields of a record, nested ones by dotted names, and a benchmark's item as one text."""

from collections.abc import Iterator, Sequence

from gristmill.pipeline.contract.texts import Record

# Names under which published benchmarks keep the parts of an item, first match first: MMLU, ARC, OpenBookQA
# (question), GSM8K, TriviaQA, BoolQ, SQuAD (question, answer, passage, context), HumanEval (prompt,
# canonical_solution), MBPP (text, code), HellaSwag (ctx, endings), PIQA (goal, sol1), Winogrande (sentence), MATH
# (problem, solution).
QUESTIONS = ("question", "problem", "query", "prompt", "instruction", "goal", "ctx", "sentence", "premise", "text")
ANSWERS = ("answer", "answers", "solution", "canonical_solution", "code", "response", "output", "target")
PASSAGES = ("passage", "context", "paragraph", "article", "story")
CHOICES = ("choices", "options", "endings")  # MMLU, ARC, CommonsenseQA; HellaSwag
PAIRS = (
    ("sol1", "sol2", 0),
    ("option1", "option2", 1),
    ("choice1", "choice2", 0),
)  # PIQA, Winogrande, COPA: first number
KEYS = ("answerKey", "label", "answer", "answer_idx", "gold", "answer_index", "gold_idx")


def item_text(record: Record, names: Sequence[str] = ()) -> str:
    """The text of a record: of `names`, or its field `text`, or else passage, question and right answer, a line each.

    The right one of several choices stands under a number from 0, a letter or a label of theirs. Raises KeyError with
    the field that is missing.
    """
    if names:
        for name in names:
            if name not in record and not has_field(record, name):
                raise KeyError(name)
        return field_text(record, names)
    if "text" in record:
        return field_text(record, ("text",))
    passage, question, answer = (
        next((name for name in usual if has_field(record, name)), None) for usual in (PASSAGES, QUESTIONS, ANSWERS)
    )
    if question is None and passage is None:
        raise KeyError("text")
    parts = [field_text(record, (name,)) for name in (passage, question) if name is not None]
    right = _right_choice(record)
    if right is None and answer is not None:
        right = next(_texts(_first_answer(_at(record, answer))), None)
    return "\n".join(part for part in (*parts, right) if part)


def _first_answer(value: object) -> object:
    """SQuAD's {text, answer_start} and TriviaQA's {value, aliases} without what is no answer."""
    return (
        next((value[name] for name in ("text", "value") if name in value), value) if isinstance(value, dict) else value
    )


def _right_choice(record: Record) -> str | None:
    """The text of the choice that is right; None for a record without choices, or without a key to them."""
    choices, labels, first = _choices(record)
    key = next((record[name] for name in KEYS if record.get(name) not in (None, "")), None)
    if not choices or key is None:
        return None
    if key in labels:
        return choices[labels.index(key)]
    if isinstance(key, str) and len(key) == 1 and key.isalpha():
        place = ord(key.upper()) - ord("A")
    elif isinstance(key, int) or (isinstance(key, str) and key.isdecimal()):
        place = int(key) - first
    else:
        return str(key) if key in choices else None
    return choices[place] if 0 <= place < len(choices) else None


def _choices(record: Record) -> tuple[list[str], list[object], int]:
    """(texts, labels, number of the first)."""
    for one, other, first in PAIRS:
        if isinstance(record.get(one), str) and isinstance(record.get(other), str):
            return [str(record[one]), str(record[other])], [], first
    found = next((record[name] for name in CHOICES if record.get(name)), None)
    if isinstance(found, dict) and isinstance(found.get("text"), list):
        return [str(text) for text in found["text"]], list(found.get("label") or []), 0
    if isinstance(found, list) and all(isinstance(one, dict) and "text" in one for one in found):
        return [str(one["text"]) for one in found], [one.get("label") for one in found], 0
    return [str(text) for text in found] if isinstance(found, list) else [], [], 0


def field_text(record: Record, names: Sequence[str]) -> str:
    """The texts under these (dotted) names, a line each; of lists and mappings all texts in them. "" for none."""
    return "\n".join(text for name in names for text in _texts(_at(record, name)))


def has_field(record: Record, name: str) -> bool:
    return _at(record, name) is not None


def _at(record: Record, name: str) -> object:
    if name in record:
        return record[name]
    value: object = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
