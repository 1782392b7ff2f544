"""`gristmill search`: the best mixture as far as finished runs tell, from a table, without the rest of the pipeline."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.drawing.tables import duration
from gristmill.pipeline.contract.errors import ConfigError, DataError, InputError
from gristmill.pipeline.contract.loading import named
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.contract.state import parse_json
from gristmill.stages.mixture.constraints import Constraints, constraints_from
from gristmill.stages.mixture.objective import Objective, mean_of, weights_of
from gristmill.stages.mixture.predictors.fidelities import by_fidelity
from gristmill.stages.mixture.predictors.named import PREDICTORS
from gristmill.stages.mixture.predictors.protocol import Predictor
from gristmill.stages.mixture.runs.direction import DIRECTIONS, contradicts, direction_of, shown
from gristmill.stages.mixture.runs.diverged import diverged
from gristmill.stages.mixture.runs.import_tables import read_tables
from gristmill.stages.mixture.runs.json_lines import read_jsonl
from gristmill.stages.mixture.runs.runs import Runs, join, last_checkpoints, read_runs
from gristmill.stages.mixture.search.final_mixture import FinalRule
from gristmill.stages.mixture.search.search import search_runs
from gristmill.stages.mixture.standalone.write_up import UNCONFIRMED, of_rungs, write_result

# The papers' pool is 100,000 plain draws; a smaller one refined around its best finds lower predictions (measured:
# docs/decisions/mixture.md).
FINAL = FinalRule("argmin", pool=20_000, local_rounds=4)
MOST = 0.9  # of the objective's variance, by one target of several


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("runs (one of)")
    source.add_argument(
        "--runs",
        type=Path,
        help="folder with *.parquet or *.jsonl runs, or ratios.csv + metrics.csv; of several fidelities the dearest is "
        "predicted, with the help of the cheaper ones",
    )
    source.add_argument("--ratios", type=Path, help="CSV of weights, a row per run (olmix, RegMix); with --metrics")
    source.add_argument("--metrics", type=Path, help="CSV of losses or metrics, a row per run")
    parser.add_argument(
        "--objective", default="mean", metavar="TARGETS", help="'mean' of all targets, or target=weight,target=weight"
    )
    parser.add_argument(
        "--direction",
        choices=("losses", "accuracies"),
        help="losses: lower is better, accuracies: higher; left out, names and ranges must leave no doubt",
    )
    parser.add_argument(
        "--fit",
        choices=("per_target", "average"),
        default="per_target",
        help="per_target: a predictor for each target, averaged afterwards; average: one for the objective "
        "(default: per_target)",
    )
    parser.add_argument("--tokens", type=Path, help='JSON {"bucket": tokens}: sizes, for natural weights and for caps')
    parser.add_argument("--budget", type=float, help="tokens of the corpus; with --tokens, caps every bucket")
    parser.add_argument(
        "--max-epochs", type=float, default=4.0, help="how often a bucket may be read at the budget (default: 4)"
    )
    parser.add_argument("--cap", action="append", default=[], metavar="BUCKET=SHARE", help="greatest weight")
    parser.add_argument("--floor", action="append", default=[], metavar="BUCKET=SHARE", help="least weight")
    parser.add_argument("--fix", action="append", default=[], metavar="BUCKET=SHARE", help="exact weight")
    parser.add_argument("--group", action="append", default=[], metavar="A+B=SHARE", help="total of several buckets")
    parser.add_argument("--guard", action="append", default=[], metavar="TARGET", help="may not get worse than natural")
    parser.add_argument(
        "--predictor",
        default="average",
        help=f"{', '.join(sorted(PREDICTORS))}, or module:Class of your own (default: average)",
    )
    parser.add_argument(
        "--seed", type=seed_of, default=0, help="of folds and draws; the same seed, the same result (default: 0)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for weights.json (mixture.weights of a config takes it), report.md, predictor.json, runs.parquet",
    )


def seed_of(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number >= 0")
    return int(text)


def search_command(args: argparse.Namespace) -> int:
    """Writes weights.json, predictor.json, report.md, runs.parquet and plots under --out. Returns 0; raises
    GristmillError subclasses that name what is wrong with the arguments or the runs."""
    runs = counted_once(runs_given(args.runs, args.ratios, args.metrics))
    for note in runs.notes:
        say(f"note: {note}")
    writable(args.out)
    objective, why = directed(args.objective, args.direction, args.fit, runs)
    for note in outweighed(objective, runs):
        say(f"note: {note}")
    tokens = read_tokens(args.tokens, runs.buckets)
    natural, whence = natural_weights(tokens, runs)
    constraints = parse_constraints(args, runs.buckets, tokens)
    predictor = named("--predictor", args.predictor, PREDICTORS, Predictor)
    rule = FINAL if predictor.final == "argmin" else FinalRule("mean_top")
    say(f"{len(runs)} runs, {len(runs.buckets)} buckets, {len(runs.targets)} targets")
    say(why)
    say(whence)
    watch.listen(timed())
    try:
        result = search_runs(runs, natural, constraints, objective, predictor, rule, args.seed)
    finally:
        watch.listen(None)
    *below, top = by_fidelity(runs)
    write_result(result, natural, objective.sign, objective.score(top.losses, top.targets), args.out)
    if below:
        say(f"predicted: {of_rungs(top, below)}")
    for i in np.argsort(-result.weights, kind="stable"):
        say(f"  {result.buckets[i]:<32} {result.weights[i]:.4f}  (natural {natural[i]:.4f})")
    say(
        f"objective {objective.sign * result.predicted:.4f} ± {result.predicted_sd:.4f} predicted, "
        f"natural {objective.sign * result.natural:.4f} ({'lower' if objective.sign > 0 else 'higher'} is better)"
    )
    say(result.verdict)
    say(UNCONFIRMED)
    say(f"written: {args.out}")
    return 0


def timed() -> Callable[[str], None]:
    """Writes notes to stderr, each with the time since this was called."""
    began = time.monotonic()
    return lambda note: say(f"  ... {duration(time.monotonic() - began)}: {note}", sys.stderr)


def runs_given(folder: Path | None, ratios: Path | None, metrics: Path | None) -> Runs:
    if (folder is None) == (ratios is None) or (ratios is None) != (metrics is None):
        raise ConfigError("give the runs either as --runs DIR, or as --ratios CSV and --metrics CSV")
    if ratios is not None and metrics is not None:
        return read_tables(ratios, metrics)
    assert folder is not None
    if not folder.is_dir():
        raise InputError(f"--runs {folder}: no such folder")
    if (folder / "ratios.csv").is_file():
        return read_tables(folder / "ratios.csv", folder / "metrics.csv")
    # Names that begin with a point are what macOS and editors leave beside the files.
    found = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    tables, lines = ([p for p in found if p.suffix == s] for s in (".parquet", ".jsonl"))
    paths, parts = [*tables, *lines], [*map(read_runs, tables), *map(read_jsonl, lines)]
    if not parts:
        raise InputError(f"--runs {folder}: holds no *.parquet, no *.jsonl and no ratios.csv")
    for path, part in zip(paths[1:], parts[1:], strict=True):
        refuse_others(f"{path}", part, f"{paths[0]}", parts[0])
    return without_diverged(last_checkpoints(join(*parts)))


def counted_once(runs: Runs) -> Runs:
    """Without runs that repeat another's mixture, fidelity and every loss: a merge gone wrong is no evidence."""
    first: dict[object, int] = {}
    for i, (w, y, f) in enumerate(zip(runs.weights.tolist(), runs.losses.tolist(), runs.fidelity, strict=True)):
        first.setdefault((tuple(w), tuple(y), f), i)
    lost = len(runs) - len(first)
    if not lost:
        return runs
    note = f"{lost} of {len(runs)} runs repeat another run's mixture and losses to the last digit, and count once"
    return replace(runs.take(sorted(first.values())), notes=(*runs.notes, note))


def without_diverged(runs: Runs) -> Runs:
    out = diverged(runs.weights, runs.losses)
    if not out.any():
        return runs
    note = f"{int(out.sum())} of {len(runs)} runs diverged and are left out, first {runs.run_id[int(np.argmax(out))]!r}"
    return replace(runs.take(~out), notes=(*runs.notes, note))


def outweighed(objective: Objective, runs: Runs) -> list[str]:
    """Where one target varies so much more than the others that their mean is that target."""
    share = (objective.over(runs.targets) * runs.losses.std(axis=0)) ** 2
    if np.count_nonzero(share) < 2 or share.max() < MOST * share.sum():
        return []
    target = runs.targets[int(np.argmax(share))]
    return [
        f"the objective is nearly {target} alone, which varies far more than the others; --objective can weigh them"
    ]


def writable(out: Path) -> None:
    """Raises InputError before the search, not after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}; name another folder") from error


def refuse_others(path: str, part: Runs, first_path: str, first: Runs) -> None:
    """Raises DataError if two files do not speak of the same buckets and targets, naming those of one file only."""
    for what, mine, others in (
        ("buckets", part.buckets, first.buckets),
        ("targets", part.targets, first.targets),
    ):
        if set(mine) != set(others):
            only = [
                f"only {p} has {', '.join(sorted(extra))}"
                for p, extra in ((path, set(mine) - set(others)), (first_path, set(others) - set(mine)))
                if extra
            ]
            raise DataError(f"{path} and {first_path} have other {what}: {'; '.join(only)}")


def directed(text: str, direction: str | None, fit: str, runs: Runs) -> tuple[Objective, str]:
    """The objective, and the line that says which way is better and who said so."""
    if text == "mean":
        pairs = mean_of(runs.targets, "losses").weights
    else:
        pairs = tuple(parse_pairs(pieces(text, ",", runs.targets), "--objective", default=1.0).items())
    plain = Objective(pairs, "losses", "average" if fit == "average" else "per_target")
    weighed = plain.over(runs.targets) > 0
    names = [t for t, used in zip(runs.targets, weighed, strict=True) if used]
    if direction is None and {f.kind for f in runs.fidelity} <= {"ngram", "gpt"}:
        chosen, who = DIRECTIONS["losses"], "nats per token, measured by Gristmill's own proxies"
    elif direction is None:
        chosen, who = direction_of(names, runs.losses[:, weighed])
    else:
        chosen, who = DIRECTIONS[direction], "as --direction says"
        other = contradicts(chosen, names)
        who += f", though the names {shown(other)} say otherwise" if other else ""
    better = "lower" if chosen == "losses" else "higher"
    return replace(plain, direction=chosen), f"{better} is better: the targets are {chosen} ({who})"


def pieces(text: str, mark: str, names: Sequence[str]) -> list[str]:
    """Split at the mark, but not inside one of the names."""

    def named(item: str) -> bool:
        name, _, number = item.rpartition("=")
        return item in names or (name in names and mark not in number)

    parts, out = text.split(mark), []
    while parts:
        joined = [mark.join(parts[: n + 1]) for n in range(len(parts))]
        n = max((n for n, item in enumerate(joined) if named(item.strip())), default=0)
        out.append(joined[n])
        parts = parts[n + 1 :]
    return out


def parse_pairs(items: Sequence[str], flag: str, default: float | None = None) -> dict[str, float]:
    """["name=0.3", ...] -> {name: 0.3}; names may hold '='. A bare name takes the default, where there is one."""
    out: dict[str, float] = {}
    for item in items:
        name, sep, number = item.strip().rpartition("=")
        if not sep:
            name, number = item.strip(), "" if default is None else str(default)
        try:
            value = float(number)
        except ValueError:
            raise ConfigError(f"{flag} {item!r}: expected NAME=NUMBER") from None
        if not np.isfinite(value):
            raise ConfigError(f"{flag} {item!r}: {number} is no share and no weight")
        if not name or name in out:
            raise ConfigError(f"{flag} {item!r}: the name is {'given twice' if name else 'missing'}")
        out[name] = value
    return out


def read_tokens(path: Path | None, buckets: tuple[str, ...]) -> dict[str, float] | None:
    if path is None:
        return None
    if not path.is_file():
        raise InputError(f"--tokens {path}: no such file")
    try:
        content = parse_json(path.read_text(encoding="utf-8-sig"))
        tokens = {str(name): float(value) for name, value in content.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f'--tokens {path}: expected JSON {{"bucket": tokens}} ({error})') from error
    weights_of(tokens, buckets)
    wrong = [f"{b}: {v:g}" for b, v in tokens.items() if not (np.isfinite(v) and v >= 0)]
    if wrong or not sum(tokens.values()) > 0:
        raise InputError(
            f"--tokens {path}: sizes must be numbers >= 0 and not all 0 ({', '.join(wrong) or 'all are 0'})"
        )
    missing = sorted(set(buckets) - set(tokens))
    if missing:
        raise InputError(f"--tokens {path} has no size for {', '.join(missing)}")
    return tokens


def natural_weights(tokens: dict[str, float] | None, runs: Runs) -> tuple[np.ndarray, str]:
    if tokens is not None:
        sizes = weights_of(tokens, runs.buckets)
        return sizes / sizes.sum(), "natural shares: in proportion to --tokens"
    mean = runs.weights.mean(axis=0)
    return mean / mean.sum(), "sizes unknown (--tokens): 'natural' below is the mean of the runs"


def parse_constraints(
    args: argparse.Namespace, buckets: tuple[str, ...], tokens: dict[str, float] | None
) -> Constraints:
    if args.budget is not None and tokens is None:
        raise ConfigError("--budget needs --tokens: a cap is tokens x max epochs / budget")
    if not (np.isfinite(args.max_epochs) and args.max_epochs > 0):
        raise ConfigError(f"--max-epochs must be a number above 0, not {args.max_epochs}")
    return constraints_from(
        buckets,
        tokens=tokens if args.budget is not None else None,
        budget=args.budget,
        max_epochs=args.max_epochs,
        minimum=parse_pairs(args.floor, "--floor"),
        maximum=parse_pairs(args.cap, "--cap"),
        fixed=parse_pairs(args.fix, "--fix"),
        groups=[
            (name, tuple(pieces(name, "+", buckets)), share, share)
            for name, share in parse_pairs(args.group, "--group").items()
        ],
        guard=tuple(args.guard),
    )
