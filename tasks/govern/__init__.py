"""Stage 6: ledger, kill switch, report."""
