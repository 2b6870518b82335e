"""Which desks are due, which hosts this worker may talk to, and at what pace."""
