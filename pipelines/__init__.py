"""One module per stage that an observation goes through."""
