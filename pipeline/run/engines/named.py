"""An engine by its name."""

from collections.abc import Mapping
from importlib.util import find_spec

from gristmill.pipeline.contract import secrets
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.run.engines.job import Engine, as_section
from gristmill.pipeline.run.engines.local import LocalEngine, cores


def make_engine(name: str, workers: int | None, options: Mapping[str, object]) -> Engine:
    """local | ray | slurm; `workers` None: as many as there are processors. Raises ConfigError for another name."""
    if name == "local":
        return LocalEngine(workers or cores())
    if name in ("ray", "slurm") and secrets.known():
        raise ConfigError(
            f"--engine {name}: the config holds credentials or signed URLs, which would have to be written down for "
            "its jobs; give them in the environment (AWS_PROFILE, netrc, $NAME in a command)"
        )
    if name == "ray":
        if find_spec("ray") is None:
            raise ConfigError("--engine ray needs the extra: pip install 'gristmill[ray]'")
        from gristmill.pipeline.run.engines.on_ray import RayEngine

        return RayEngine(workers, as_section("ray", options.get("ray") or {}))
    if name == "slurm":
        from gristmill.pipeline.run.engines.on_slurm import SlurmEngine

        return SlurmEngine(workers, as_section("slurm", options.get("slurm") or {}))
    raise ConfigError(f"--engine {name}: there are local, ray and slurm")
