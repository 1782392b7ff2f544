"""The Ray engine: datatrove's Ray executor; the run folder must lie on a file system that all nodes share."""

import sys
from collections.abc import Callable, Mapping

from gristmill.pipeline.run.engines.job import Job


class RayEngine:
    """A job of datatrove's per phase."""

    queues = False
    remote = True
    memory: int | None = None

    def __init__(self, workers: int | None, options: Mapping[str, object]):
        self.workers, self.options = workers or 2, options

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        import ray
        from datatrove.executor.ray import RayPipelineExecutor

        if not ray.is_initialized():
            ray.init(address=self.options.get("address"), log_to_driver=False)  # pyright: ignore
        executor = RayPipelineExecutor(
            pipeline=job.pipeline,
            tasks=job.tasks,
            workers=self.workers,
            logging_dir=str(job.logs),
            skip_completed=False,
            **{k: v for k, v in self.options.items() if k != "address"},  # pyright: ignore
        )
        executor.run()
        tick()
        return []

    def close(self) -> None:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()
