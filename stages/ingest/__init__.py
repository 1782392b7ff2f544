from gristmill.stages.ingest.source import Ingest

__all__ = ["Ingest"]
