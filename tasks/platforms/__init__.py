"""One adapter per ad platform behind one Protocol; siblings do not know each other."""
