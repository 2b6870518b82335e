"""``python -m guichets``: the same as the ``guichets`` command."""

from guichets.cli import main

main()
