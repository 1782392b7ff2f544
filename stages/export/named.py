"""The export formats by name."""

from gristmill.pipeline.contract.loading import is_imported, named
from gristmill.stages.export.arrays import DatatroveTokens, Mds, Megatron, NumpyTokens
from gristmill.stages.export.format import Format, Unread
from gristmill.stages.export.packed import Packed
from gristmill.stages.export.texts import JsonLines, Parquet, WebDataset

FORMATS: dict[str, Format] = {
    "parquet": Parquet(),
    "jsonl.zst": JsonLines(),
    "webdataset": WebDataset(),
    "megatron": Megatron(),
    "mds": Mds(),
    "ds": DatatroveTokens(),
    "npy": NumpyTokens(),
    "packed": Packed(),
}


def format_of(name: str) -> Format:
    """The format; an `Unread` one where its code is not imported.

    Raises ConfigError for a name that is neither known nor module:Class of a Format.
    """
    if ":" in name and not is_imported(name):
        return Unread(name)
    return named("corpus.format", name, FORMATS, Format)
