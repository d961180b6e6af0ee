-- Kill switches and account freezes in force: the newest row of each scope.
-- Grain: scope. Window: all.
SELECT
  scope,
  is_on,
  why,
  actor,
  switched_at
FROM control.kill_switch
WHERE switched_at IS NOT NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY scope ORDER BY switched_at DESC, event_id DESC) = 1
ORDER BY scope
