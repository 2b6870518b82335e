"""Speed and memory against the sandbox, as ratios taken in one run: ``make bench``."""
