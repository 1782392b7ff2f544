from gristmill.stages.export.parquet import ParquetCorpus

__all__ = ["ParquetCorpus"]
