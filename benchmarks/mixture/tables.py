"""Published proxy runs as the arena reads them (shared data, runs/): RegMix's, CLIMB's and Data Mixing Laws' tables."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import data_folder

from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.runs.import_tables import read_tables, table_runs
from gristmill.stages.mixture.runs.runs import Fidelity, Runs

TABLES = data_folder() / "runs"

# The prior of RegMix's notebook: token shares of its 17 Pile domains, in the order of its tables.
PILE = np.array(
    [0.11328527, 0.07960865, 0.00391349, 0.1853759, 0.05108136, 0.01596293, 0.10175077, 0.00370752, 0.06652935,
     0.00175077, 0.02708548, 0.23686921, 0.01184346, 0.00792997, 0.00803296, 0.03882595, 0.04644696]
)  # fmt: skip
NOTEBOOK = [99.6, 99.71, 99.08, 99.45, 97.2, 99.77, 99.73, 99.18, 98.92, 96.87, 98.51, 99.19, 99.12]  # specs 4.5
NOTEBOOK_OPTIMUM = {"pile_cc": 0.8909, "ubuntu_irc": 0.0614, "pubmed_abstracts": 0.0123, "wikipedia_en": 0.0073}


def regmix_tables() -> tuple[Runs, Runs, Runs, Runs]:
    """512 runs of 1M to fit; 256 of 1M, 256 of 60M and 64 of 1B to judge."""

    def table(split: str, name: str, size: float) -> Runs:
        folder = TABLES / "regmix"
        fidelity = Fidelity("table", size, 25e9 if size >= 1e9 else 1e9)
        return read_tables(folder / f"{split}_mixture_{name}.csv", folder / f"{split}_pile_loss_{name}.csv", fidelity)

    return table("train", "1m", 1e6), table("test", "1m", 1e6), table("test", "60m", 6e7), table("test", "1B", 1e9)


def climb_table() -> Runs:
    frame = pl.read_csv(TABLES / "climb" / "climb_350m.csv")
    buckets = [c for c in frame.columns if c.startswith("train_")]
    targets = ["piqa_acc_norm", "arc_easy_acc", "hellaswag_acc_norm"]
    return table_runs(
        frame.select(buckets).to_numpy().astype(float),
        frame.select(targets).to_numpy().astype(float),
        tuple(b.removeprefix("train_the_") for b in buckets),
        tuple(targets),
        tuple(frame["config_name"].to_list()),
        Fidelity("table", 3.5e8),
    )


def mean_interval(values: Sequence[float]) -> str:
    a = np.asarray(values, dtype=float)
    if len(a) < 2:
        return f"{a.mean():.4f}"
    half = float(student.ppf(0.975, len(a) - 1)) * a.std(ddof=1) / np.sqrt(len(a))
    return f"{a.mean():.4f} ± {half:.4f}"


def cells(rows: Sequence[Sequence[float]]) -> str:
    """A mean with its interval per column."""
    return " | ".join(mean_interval(c) for c in zip(*rows, strict=True))


def per_target(predicted: np.ndarray, measured: np.ndarray) -> float:
    return float(np.mean([spearman(predicted[:, j], measured[:, j]) for j in range(measured.shape[1])]))


def published_weights(name: str) -> np.ndarray:
    """As printed, not normalised: the notebook fits on these."""
    frame = pl.read_csv(TABLES / "regmix" / f"{name}.csv")
    return frame.select([c for c in frame.columns if c.startswith("train_")]).to_numpy().astype(float)


def mixing_law_tables() -> dict[str, Runs]:
    """Data Mixing Laws' runs (arXiv:2403.16952): for every table and size the last step that all its mixtures reach,
    where there are 20 mixtures at least. Nothing in this project was chosen on them."""
    found: dict[str, Runs] = {}
    for path in sorted((TABLES / "mixing_laws").glob("*.csv.gz")):
        frame = pl.read_csv(path)
        weights = [c for c in frame.columns if c.startswith("weight_")]
        for (size,), part in sorted(frame.group_by("model_size"), key=lambda g: parameters(str(g[0][0]))):
            # Steps by how many mixtures have every validation set there, then the latest.
            index = ["step", *weights]
            wide = part.pivot(
                on="validation_domain", index=index, values="loss", aggregate_function="mean"
            ).drop_nulls()
            steps = wide.group_by("step").len().sort("len", "step", descending=True)
            if not steps.height or steps["len"][0] < 20:
                continue
            rows = wide.filter(pl.col("step") == steps["step"][0]).sort(weights)
            targets = [c for c in wide.columns if c not in ("step", *weights)]
            found[f"{path.name.removesuffix('.csv.gz')} {size}"] = table_runs(
                rows.select(weights).to_numpy().astype(float),
                rows.select(targets).to_numpy().astype(float),
                tuple(w.removeprefix("weight_") for w in weights),
                tuple(targets),
                tuple(str(i) for i in range(rows.height)),
                Fidelity("table", parameters(str(size))),
            )
    return found


def parameters(size: str) -> float:
    return float(size[:-1]) * {"M": 1e6, "B": 1e9}[size[-1]]
