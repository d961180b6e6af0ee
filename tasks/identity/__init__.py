"""Stage 3: which ids are one person, and how a person is forgotten."""
