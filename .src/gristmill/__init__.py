"""Gristmill's public interface: the name under which its packages are installed.

The folders beside this one in the installed package are the repository's `pipeline/`, `stages/`, `classifiers/` and
`configs/` (docs/decisions/laws.md says how and why).
"""
