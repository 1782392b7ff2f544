"""Whether a folder is a run, or this node's mirror of one; a run in a folder imports nothing of what mirrors need."""

from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.pipeline.run.objects.address import TABLE, address_of, is_address

if TYPE_CHECKING:
    from gristmill.pipeline.run.objects.mirror import Mirror


def mirror_of(root: Path) -> "Mirror | None":
    """None for a folder that is the run itself."""
    if not (root.parent / TABLE).is_file():
        return None
    from gristmill.pipeline.run.objects.mirror import Mirror

    return Mirror(root.parent)


def folder_of(name: str) -> Path:
    """The folder in which a process of this node works on a run: itself, or the mirror of an address as it is."""
    if not is_address(name):
        return Path(name)
    from gristmill.pipeline.run.objects.mirror import Mirror

    return Mirror.at(address_of(name)).root


def called(root: Path) -> str:
    """A run folder as its user named it."""
    mirror = mirror_of(root)
    return str(root) if mirror is None else str(mirror.address)
