"""Stage 2: gates that stop the line on bad data."""
