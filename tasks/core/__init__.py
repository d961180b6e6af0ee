"""How things work, without job logic: settings, contracts, warehouse, money, ledger, logging."""
