"""The predictors that a config or the command line may name."""

from gristmill.stages.mixture.predictors.average import Average
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.mixing_law import Law
from gristmill.stages.mixture.predictors.protocol import Predictor
from gristmill.stages.mixture.predictors.ridge import Ridge
from gristmill.stages.mixture.predictors.trees import CLIMB_TREES, REGMIX_TREES

PREDICTORS: dict[str, Predictor] = {
    "average": Average(),
    "gp": GaussianProcess(),
    "law": Law(),
    "mixing_law": Law("exponential", name="mixing_law"),
    "ridge": Ridge(),
    "quadratic": Ridge(2, name="quadratic"),
    "lightgbm_climb": CLIMB_TREES,
    "lightgbm_regmix": REGMIX_TREES,
}
