drop table tasker.audit_log, tasker.logins, tasker.sessions, tasker.api_tokens;
drop function tasker.prune_audit_log(timestamptz, integer);
drop function tasker.refuse_audit_change();
