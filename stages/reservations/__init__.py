"""Reservations that stand beside the page: the sites' robots.txt, and lists of URLs that the user keeps out."""

from gristmill.stages.reservations.index import RobotsIndex

__all__ = ["RobotsIndex"]
