from gristmill.stages.dedup.exact import ExactDuplicates, ExactGate
from gristmill.stages.dedup.held_out import HeldOutGate, HeldOutTexts
from gristmill.stages.dedup.minhash import Components, NearDuplicates, NearGate, Signatures
from gristmill.stages.dedup.references import ReferenceFlags, References

__all__ = [
    "Components",
    "ExactDuplicates",
    "ExactGate",
    "HeldOutGate",
    "HeldOutTexts",
    "NearDuplicates",
    "NearGate",
    "ReferenceFlags",
    "References",
    "Signatures",
]
