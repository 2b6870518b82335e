"""One spider per booking-platform family; its page readers live beside it."""
