"""Sizes and mean scores of fine clusters, and the rules by which clusters of poor mean quality are pruned."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import MEAN_PARTS
from gristmill.pipeline.contract.ranges import Number


@dataclass(frozen=True)
class PruneRule:
    """A fine cluster whose mean of `column` (of the quality stage, larger is better) is below `min` is pruned.

    Means of different criteria are not calibrated alike, so each has its own threshold. Paper: 3.0 on a 0-5 scale;
    Curator: 2.0 for advertisement and 1.0 for the rest.
    """

    column: str  # a criterion: q_reference, q_importance, q_<name of a model>
    min: Number  # least mean over the cluster's documents that keeps it


class FineSizes:
    """Adds up documents, tokens and mean scores, as exact integer sums that do not depend on the order."""

    def __init__(self, clusters: int, rules: tuple[PruneRule, ...], mean: str) -> None:
        self.rules, self.mean = rules, mean
        self.docs, self.tokens = np.zeros(clusters, np.int64), np.zeros(clusters, np.int64)
        columns = sorted({rule.column for rule in rules})
        # Python integers: parts times tokens of a large cluster may pass 2^63.
        self.sums = {c: np.zeros(clusters, object) for c in columns}
        self.weights = {c: np.zeros(clusters, object) for c in columns}

    def add(self, fine: np.ndarray, batch: pl.DataFrame) -> None:
        tokens = batch["token_count"].fill_null(0).to_numpy().astype(np.int64)
        np.add.at(self.docs, fine, 1)
        np.add.at(self.tokens, fine, tokens)
        for column, sums in self.sums.items():
            scores = batch[column].cast(pl.Float64).to_numpy()
            known = np.isfinite(scores)
            weight = (np.ones(len(fine), np.int64) if self.mean == "docs" else tokens)[known]
            parts = np.round(scores[known] * MEAN_PARTS).astype(np.int64)
            np.add.at(sums, fine[known], (parts * weight).astype(object))
            np.add.at(self.weights[column], fine[known], weight.astype(object))

    def table(self) -> pl.DataFrame:
        """The sums, a row per fine cluster: integers of any size as text."""
        rows: dict[str, list] = {"docs": self.docs.tolist(), "tokens": self.tokens.tolist()}
        for column, sums in self.sums.items():
            rows |= {f"sum {column}": list(map(str, sums)), f"weight {column}": list(map(str, self.weights[column]))}
        return pl.DataFrame(rows).with_row_index("fine")

    def add_table(self, table: pl.DataFrame) -> None:
        """Adds the rows of any number of tables."""
        fine = table["fine"].to_numpy()
        np.add.at(self.docs, fine, table["docs"].to_numpy())
        np.add.at(self.tokens, fine, table["tokens"].to_numpy())
        for column, sums in self.sums.items():
            np.add.at(sums, fine, np.array(list(map(int, table[f"sum {column}"])), object))
            np.add.at(self.weights[column], fine, np.array(list(map(int, table[f"weight {column}"])), object))

    def score(self, column: str, cluster: int) -> float | None:
        weight = self.weights[column][cluster]
        return round(int(self.sums[column][cluster]) / (MEAN_PARTS * int(weight)), 6) if weight else None

    def best(self, column: str) -> float | None:
        return max((s for c in range(len(self.docs)) if (s := self.score(column, c)) is not None), default=None)

    def broken_rules(self, cluster: int) -> list[dict]:
        """A cluster without any score for a criterion does not break its rule."""
        means = ((rule, self.score(rule.column, cluster)) for rule in self.rules)
        return [
            {"column": rule.column, "mean": mean, "min": rule.min}
            for rule, mean in means
            if mean is not None and mean < rule.min
        ]
