from gristmill.stages.mixture.stage import Mixture

__all__ = ["Mixture"]
