"""Jobs of AELP2: plain Python, run by the CLI `aelp2`; Airflow is never imported here."""
