from gristmill.stages.dedup.components import Components
from gristmill.stages.dedup.exact import ExactDuplicates, ExactGate
from gristmill.stages.dedup.held_out import HeldOutGate, HeldOutTexts
from gristmill.stages.dedup.kept import KeptIndex
from gristmill.stages.dedup.minhash import Signatures
from gristmill.stages.dedup.near import NearDuplicates, NearGate
from gristmill.stages.dedup.references import ReferenceFlags, References
from gristmill.stages.dedup.urls import UrlDuplicates, UrlGate

__all__ = [
    "Components",
    "ExactDuplicates",
    "ExactGate",
    "HeldOutGate",
    "HeldOutTexts",
    "KeptIndex",
    "NearDuplicates",
    "NearGate",
    "ReferenceFlags",
    "References",
    "Signatures",
    "UrlDuplicates",
    "UrlGate",
]
