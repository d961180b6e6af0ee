"""Stage 5: approval, canary, watch, promote or roll back."""
