"""Stage 3: what is causal, the marketing-mix model."""
