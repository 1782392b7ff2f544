"""Benchmark files to items: of each record the question, the answer and the passage, apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.texts import Record, read_records
from gristmill.stages.contamination.index import Item
from gristmill.stages.records import ANSWERS, PASSAGES, QUESTIONS, field_text, has_field

IDS = ("id", "_id", "task_id", "question_id", "idx", "ind", "qid", "qID")
KEY = "contamination.benchmarks"
FIELDS = ("question", "answer", "passage")
MIN_EXTRA = 2  # a question gives at least three n-grams, or it is taken together with its answer


@dataclass(frozen=True)
class BenchmarkSet:
    """One benchmark. A field is a name, dotted where it is nested; null: the first usual name that records have."""

    name: str  # of the benchmark, in columns, card and report
    paths: tuple[str, ...]  # .jsonl, .json, .parquet, .txt (also .gz, .zst of text); wildcards
    question: tuple[str, ...] | None = None  # field or fields of the question; several are one text, in this order
    answer: tuple[str, ...] | None = None  # field or fields of the right answer
    passage: tuple[str, ...] | None = None  # field or fields of the text that the question is about
    train: tuple[str, ...] = ()  # the training split: n-grams that stand there too are not looked for

    def __post_init__(self) -> None:
        if not self.paths:
            raise ConfigError(f"contamination.benchmarks: {self.name!r} names no file; set its paths")


def files_of(patterns: Sequence[str], key: str = "") -> list[str]:
    """Sorted files; `key`: the setting that names them. Raises InputError for a pattern that no file matches."""
    found: list[str] = []
    for pattern in patterns:
        matched = sorted(glob(pattern, recursive=True)) or ([pattern] if Path(pattern).is_file() else [])
        if not matched:
            raise InputError(f"{key}: no benchmark file {pattern}" if key else f"no benchmark file {pattern}")
        found += matched
    return list(dict.fromkeys(found))


def named_fields(benchmark: BenchmarkSet, record: Record, path: str) -> dict[str, tuple[str, ...]]:
    """What of a record is the question, the answer, the passage. Raises ConfigError where there is no question."""
    usual = {"question": QUESTIONS, "answer": ANSWERS, "passage": PASSAGES}
    chosen: dict[str, tuple[str, ...]] = {}
    for part, given in (("question", benchmark.question), ("answer", benchmark.answer), ("passage", benchmark.passage)):
        if given is None:
            chosen[part] = tuple(name for name in usual[part] if has_field(record, name))[:1]
        else:
            chosen[part] = given
            if missing := [name for name in given if name not in record and not has_field(record, name)]:
                raise ConfigError(
                    f"benchmark {benchmark.name!r}: records of {path} have no field {missing[0]!r}; "
                    f"they have {', '.join(record)}"
                )
    if not chosen["question"]:
        raise ConfigError(
            f"benchmark {benchmark.name!r}: which field of {path} is the question? It has {', '.join(record)}; "
            "name it in contamination.benchmarks (question: FIELD), or on the command line as FILE:question=FIELD"
        )
    return chosen


def items_of(benchmark: BenchmarkSet, n: int) -> Iterator[Item]:
    """An item per field and record. A question of fewer than n + MIN_EXTRA words goes with its answer, as one text."""
    for path in files_of(benchmark.paths):
        chosen: dict[str, tuple[str, ...]] = {}
        for number, (_, record) in enumerate(read_records(path, KEY), start=1):
            chosen = chosen or named_fields(benchmark, record, path)
            texts = {part: field_text(record, names) for part, names in chosen.items()}
            label = next(
                (str(record[key]) for key in IDS if record.get(key) is not None), f"{Path(path).name}:{number}"
            )
            if len(texts["question"].split()) < n + MIN_EXTRA and texts["answer"]:
                texts["question"] = f"{texts['question']}\n{texts['answer']}"
            for part, text in texts.items():
                if text:
                    yield Item(benchmark.name, label, part, text)


def training_texts(benchmark: BenchmarkSet) -> Iterator[str]:
    for path in files_of(benchmark.train) if benchmark.train else []:
        chosen: dict[str, tuple[str, ...]] = {}
        for _, record in read_records(path, KEY):
            chosen = chosen or named_fields(benchmark, record, path)
            yield from (text for names in chosen.values() if (text := field_text(record, names)))
