from gristmill.stages.contamination.objective import ObjectiveGate, ObjectiveIndex, ObjectiveOverlap
from gristmill.stages.contamination.stage import Contamination, ContaminationGate, ContaminationIndex

__all__ = [
    "Contamination",
    "ContaminationGate",
    "ContaminationIndex",
    "ObjectiveGate",
    "ObjectiveIndex",
    "ObjectiveOverlap",
]
