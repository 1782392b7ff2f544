from gristmill.stages.sample.copies import Sample, SampleGate
from gristmill.stages.sample.plan import SamplePlan

__all__ = ["Sample", "SampleGate", "SamplePlan"]
