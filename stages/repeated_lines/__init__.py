from gristmill.stages.repeated_lines.stage import CutLines, CutLinesGate, RepeatedLines

__all__ = ["CutLines", "CutLinesGate", "RepeatedLines"]
