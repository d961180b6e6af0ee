"""Stage 1: platforms and people bring data into the warehouse."""
