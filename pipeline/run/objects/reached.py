"""Where a command finds a run folder: the folder itself, or this node's mirror of one in an object store."""

from pathlib import Path

from gristmill.pipeline.run.objects.address import address_of, is_address
from gristmill.pipeline.run.objects.found import mirror_of
from gristmill.pipeline.run.session import at_work


def run_folder(given: str | Path) -> Path:
    """The folder to work in; what lies in an object store is looked at first.

    Raises ConfigError for an address that is none or of another store, InputError where the bucket cannot be reached.
    """
    if not is_address(given):
        return Path(given)
    from gristmill.pipeline.run.objects.bucket import FIRST
    from gristmill.pipeline.run.objects.mirror import Mirror

    mirror = Mirror.at(address_of(given))
    with mirror.locked():
        command, worker = at_work(mirror.root)
        if not command:  # a run that goes on here keeps it as it is
            mirror.look(not worker, FIRST)
    return mirror.root


def look_again(root: Path) -> None:
    """Of a run in an object store, by the command that holds it: makes the mirror what the bucket is."""
    if mirror := mirror_of(root):
        with mirror.locked():
            mirror.look(alone=True)
