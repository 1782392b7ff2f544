"""The robots that gather text for training models: their names in robots.txt, from a dated list beside this module."""

from pathlib import Path


def agents_of(text: str) -> frozenset[str]:
    """Names in lower case, one a line; # begins a comment."""
    lines = (line.partition("#")[0].strip().lower() for line in text.split("\n"))
    return frozenset(line for line in lines if line)


AGENTS = agents_of((Path(__file__).parent / "ai_agents.txt").read_text("utf-8"))
