-- Kill switches and account freezes in force: the newest row of each scope.
-- Grain: scope.
-- Window: all.
-- Why: what is frozen now will not be applied, so it is not proposed either. The newest is the highest number, as for the guard
-- (tasks/core/switches.py): a clock that stands wrong must not bring an old switching back.
SELECT
  scope,
  is_on,
  why,
  actor,
  switched_at
FROM control.kill_switch
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY scope ORDER BY event_id DESC) = 1
ORDER BY scope
