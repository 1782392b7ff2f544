"""Gristmill's public interface: `run`, `plan`, `load` and `annotate`.

The folders beside this one in the installed package are the repository's `pipeline/`, `stages/`, `classifiers/` and
`configs/` (docs/decisions/laws.md says how and why). What stands behind the four names is imported when one is used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gristmill.pipeline.api.python import Run, annotate, load, plan, run

__all__ = ["Run", "annotate", "load", "plan", "run"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'gristmill' has no attribute {name!r}; it has {', '.join(__all__)}")
    from gristmill.pipeline.api import python as api

    return getattr(api, name)
