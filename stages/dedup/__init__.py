from gristmill.stages.dedup.exact import ExactDuplicates, ExactGate, ExactGroups
from gristmill.stages.dedup.held_out import HeldOutGate, HeldOutTexts
from gristmill.stages.dedup.minhash import MinhashGroups, NearDuplicates, NearGate, Signatures
from gristmill.stages.dedup.references import ReferenceFlags, References

__all__ = [
    "ExactDuplicates",
    "ExactGate",
    "ExactGroups",
    "HeldOutGate",
    "HeldOutTexts",
    "MinhashGroups",
    "NearDuplicates",
    "NearGate",
    "ReferenceFlags",
    "References",
    "Signatures",
]
