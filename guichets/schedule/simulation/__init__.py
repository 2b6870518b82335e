"""Trying the watch: traces of imaginary desks, the scheduler run blind against them, and a score."""
