"""What a Slurm task of a run in an object store starts with: fetches its job's files into this node's mirror, and runs.

In the place of datatrove's launcher, which ends with the first answer of the store that is none.
"""

import sys

import dill
from datatrove.io import get_datafolder

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.state import replaced
from gristmill.pipeline.run.engines.on_slurm import FILES, SlurmExecutor
from gristmill.pipeline.run.objects.address import address_of
from gristmill.pipeline.run.objects.mirror import Mirror


def main(job: str) -> None:
    """`job`: the address of its files. Logs of ranks are written beside them, on this node."""
    run, logs, name = job.rsplit("/", 2)
    mirror = Mirror.at(address_of(run))
    folder = mirror.root / logs / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        data = mirror.bucket.read(mirror.name_of(folder / file))
        if data is None:
            raise InputError(f"{job}/{file} is gone")
        with replaced(folder / file) as begun:  # another task of the job may read it
            begun.write(data)
    executor: SlurmExecutor = dill.loads((folder / FILES[0]).read_bytes())
    executor.logging_dir = get_datafolder(str(folder))
    executor.run()


if __name__ == "__main__":
    main(sys.argv[1])
