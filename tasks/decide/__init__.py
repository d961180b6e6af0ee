"""Stage 4: small, capped proposals from what was measured."""
