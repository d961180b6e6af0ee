-- Every switching of the kill switch and of the freezes of accounts, in order.
-- Grain: switching.
-- Window: none; a freeze holds until it is taken back, however old it is.
-- Why: tells whether a change by others froze its account, and whether it was thawed.
SELECT event_id, scope, is_on, why, actor, switched_at
FROM control.kill_switch
ORDER BY event_id
