"""Leaves the tests on a real Slurm out of the collection where Slurm is not installed."""

from cluster import installed

collect_ignore = [] if installed() else ["test_slurm.py"]
