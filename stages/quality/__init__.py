from gristmill.stages.quality.model import QualityModel
from gristmill.stages.quality.score import Quality, QualityGate

__all__ = ["Quality", "QualityGate", "QualityModel"]
