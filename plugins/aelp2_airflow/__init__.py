"""The only shared code that imports Airflow. DAG files import from its modules; each pays only for what it uses.

| module | gives |
| --- | --- |
| defaults | `START`, `Tag`, `default_args`, `cron`, `after`, the alert of a failed task |
| pods | `pod`: the only way a job becomes a task |
| approval | `approval_of`, `approval_gate`, `twin`: a person's decision and the gate that waits for it |
| assets | the tables that one DAG writes and another waits for |
"""
