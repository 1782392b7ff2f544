from gristmill.stages.ingest.carried import CarriedColumns
from gristmill.stages.ingest.source import Ingest

__all__ = ["CarriedColumns", "Ingest"]
