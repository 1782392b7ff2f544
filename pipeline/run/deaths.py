"""What becomes of a unit whose worker died: once more, without the record it was at, or set aside."""

import signal

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import GristmillError
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.failures import record_failure
from gristmill.pipeline.run.store import Store

UNIT_DEATHS = 3  # of workers at one unit, but at no record of it, before it is set aside
RECORD_DEATHS = 20  # of workers at records of one unit
_WORDS = {1: "once", 2: "twice", 3: "three times"}


class Deaths:
    """Counts the deaths of one phase; called for each (`Job.died`)."""

    def __init__(self, store: Store, phase: Phase) -> None:
        self.store, self.phase = store, phase
        self.at: dict[str, dict[str, int]] = {}  # unit -> record, or "" -> workers that died there

    def __call__(self, worker: str, code: int | None) -> bool:
        """Whether the rank of `worker` goes on; False where it died before it had begun a unit."""
        words = watch.last_words(self.store.root, worker)
        if words is None:
            return False
        unit, record = words
        counts = self.at.setdefault(unit, {})
        counts[record] = counts.get(record, 0) + 1
        watch.note_deaths(self.store.root, unit, counts)
        late = code == -signal.SIGPROF
        if late or counts.get("", 0) >= UNIT_DEATHS or sum(counts.values()) >= RECORD_DEATHS:
            n = sum(counts.values())
            why = f"its worker was killed {_WORDS.get(n, f'{n} times')} (out of memory?)"
            if late:
                why = f"it took more than {watch.UNIT_S / 3600:g} hours of CPU time"
            record_failure(self.store, self.phase, unit, GristmillError(why))
        return True
