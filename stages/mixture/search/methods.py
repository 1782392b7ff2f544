"""A search method from its name, the number of runs asked, and as many at once as the proxy makes."""

from dataclasses import replace

from gristmill.stages.mixture.search.bayes import Bayes
from gristmill.stages.mixture.search.gradient import Direct
from gristmill.stages.mixture.search.ladder import Ladder
from gristmill.stages.mixture.search.regmix_climb import Climb, OneShot
from gristmill.stages.mixture.search.search import Method


def sized(name: str, runs: int | None, at_once: int) -> Method:
    """`runs` None: the method's own number."""
    if name == "direct":
        return Direct()
    if name == "ladder":
        ladder = Ladder(batch=at_once)
        return ladder if runs is None else replace(ladder, budget=float(runs))
    if name == "bayes":
        bayes = Bayes(batch=at_once)
        return bayes if runs is None else replace(bayes, first=min(bayes.first, runs // 2), evaluations=runs)
    if name == "climb":
        # 4:2:1, as the paper's 64, 32, 16
        return Climb() if runs is None else Climb((runs - runs * 2 // 7 - runs // 7, runs * 2 // 7, max(runs // 7, 1)))
    return OneShot() if runs is None else OneShot(runs)
