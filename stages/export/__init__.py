from gristmill.stages.export.corpus import CorpusShards

__all__ = ["CorpusShards"]
