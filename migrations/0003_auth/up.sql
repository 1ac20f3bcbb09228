-- The tables of authentication: API tokens, sessions, logins and the audit. They are written by the crate tasker-auth and read
-- by nothing of the engine. No secret is stored, only digests of random secrets.

create table tasker.api_tokens (
  api_token_id bigint generated always as identity primary key,
  lookup text not null unique constraint api_token_lookup_form check (lookup ~ '^[0-9a-f]{16}$'),
  digest bytea not null constraint api_token_digest_length check (length(digest) = 32),
  subject text not null constraint api_token_subject_length check (length(subject) between 1 and 255),
  name text not null constraint api_token_name_length check (length(name) between 1 and 255),
  roles text[] not null default '{}',
  permissions text[],
  namespaces text[],
  created_by text not null constraint api_token_issuer_length check (length(created_by) between 1 and 255),
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  last_used_at timestamptz,
  constraint api_token_revoked_by_someone check ((revoked_at is null) = (revoked_by is null))
);
create index api_tokens_subject on tasker.api_tokens (subject);
comment on table tasker.api_tokens is 'What is kept of API tokens.';
comment on column tasker.api_tokens.api_token_id is 'Identity.';
comment on column tasker.api_tokens.lookup is 'The part of the token that finds the row, 16 hexadecimal digits; no secret.';
comment on column tasker.api_tokens.digest is 'SHA-256 of the whole token, which has 256 random bits.';
comment on column tasker.api_tokens.subject is 'On whose behalf the token acts.';
comment on column tasker.api_tokens.name is 'For people: what it is for.';
comment on column tasker.api_tokens.roles is 'The roles of whoever sends it.';
comment on column tasker.api_tokens.permissions is 'What it is for, as resource:action: permitted, and nothing beyond; NULL for what the roles permit.';
comment on column tasker.api_tokens.namespaces is 'Where it is for; NULL for everywhere.';
comment on column tasker.api_tokens.created_by is 'Who issued it.';
comment on column tasker.api_tokens.created_at is 'When the row was written.';
comment on column tasker.api_tokens.expires_at is 'From when on it is refused; NULL for never.';
comment on column tasker.api_tokens.revoked_at is 'When it was taken back.';
comment on column tasker.api_tokens.revoked_by is 'Who took it back.';
comment on column tasker.api_tokens.last_used_at is 'Its last use, to the minute.';

create table tasker.sessions (
  digest bytea primary key constraint session_digest_length check (length(digest) = 32),
  subject text not null,
  identity jsonb not null constraint session_identity_is_object check (jsonb_typeof(identity) = 'object'),
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at timestamptz not null
);
create index sessions_subject on tasker.sessions (subject);
create index sessions_expires_at on tasker.sessions (expires_at);
comment on table tasker.sessions is 'Who is signed in. A row that is gone is a session that has ended.';
comment on column tasker.sessions.digest is 'SHA-256 of the id in the cookie, which has 256 random bits.';
comment on column tasker.sessions.subject is 'Who.';
comment on column tasker.sessions.identity is 'What was known of them when they signed in.';
comment on column tasker.sessions.created_at is 'When they signed in.';
comment on column tasker.sessions.last_seen_at is 'Their last request, to a tenth of the idle time.';
comment on column tasker.sessions.expires_at is 'When the session ends whatever happens.';

create table tasker.logins (
  digest bytea primary key constraint login_digest_length check (length(digest) = 32),
  browser bytea not null constraint login_browser_length check (length(browser) = 32),
  nonce text not null,
  code_verifier text not null,
  return_to text not null,
  expires_at timestamptz not null
);
create index logins_expires_at on tasker.logins (expires_at);
comment on table tasker.logins is 'Logins that were begun at a provider and are not finished. A row is taken once.';
comment on column tasker.logins.digest is 'SHA-256 of the state that was sent along.';
comment on column tasker.logins.browser is 'SHA-256 of the cookie of the browser that began it.';
comment on column tasker.logins.nonce is 'What the token of the provider must repeat.';
comment on column tasker.logins.code_verifier is 'What proves to the provider that the code is asked for by whoever began.';
comment on column tasker.logins.return_to is 'The path to go to afterwards.';
comment on column tasker.logins.expires_at is 'Until when it may be finished.';

create table tasker.audit_log (
  audit_id bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  subject text,
  method text,
  operation text not null,
  permission text,
  namespace text,
  task_id bigint,
  outcome text not null constraint audit_outcome_known check (outcome in ('allowed', 'denied', 'refused')),
  reason text not null,
  correlation_id text not null,
  suppressed integer not null default 0 constraint audit_suppressed_count check (suppressed >= 0)
);
create index audit_log_at on tasker.audit_log (at);
create index audit_log_subject on tasker.audit_log (subject, at) where subject is not null;
create index audit_log_task on tasker.audit_log (task_id) where task_id is not null;
comment on table tasker.audit_log is 'Who did or was refused what. Append-only; only prune_audit_log removes.';
comment on column tasker.audit_log.audit_id is 'Identity.';
comment on column tasker.audit_log.at is 'When it was decided.';
comment on column tasker.audit_log.subject is 'Who asked; NULL where it is not known.';
comment on column tasker.audit_log.method is 'How they were known: none, jwt, api_token, session, oidc, custom.';
comment on column tasker.audit_log.operation is 'What was asked for, such as POST /tasks.';
comment on column tasker.audit_log.permission is 'The permission asked for, as resource:action; NULL where it did not come to that.';
comment on column tasker.audit_log.namespace is 'In which namespace.';
comment on column tasker.audit_log.task_id is 'On which task. No foreign key: the record outlives the task.';
comment on column tasker.audit_log.outcome is 'allowed, denied (known, but not permitted) or refused (not let in).';
comment on column tasker.audit_log.reason is 'Why.';
comment on column tasker.audit_log.correlation_id is 'What ties the records of one request together.';
comment on column tasker.audit_log.suppressed is 'How many refusals before it were not recorded, since there were too many in their minute.';

-- A record once written stays as it is, for the owner of the table too. The pruning function says by a setting
-- of its transaction that it is the one who deletes.
create function tasker.refuse_audit_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_setting('tasker.prunes_audit', true) = 'yes' then
    return old;
  end if;
  raise exception 'records of tasker.audit_log are never changed or deleted'
    using errcode = 'restrict_violation', hint = 'tasker.prune_audit_log removes those before an instant.';
end $$;
comment on function tasker.refuse_audit_change() is 'Raises the refusal of a change to the audit.';
create trigger audit_log_is_append_only before update or delete on tasker.audit_log for each row
  execute function tasker.refuse_audit_change();
create trigger audit_log_is_not_truncated before truncate on tasker.audit_log for each statement
  execute function tasker.refuse_audit_change();

create function tasker.prune_audit_log(p_before timestamptz, p_limit integer) returns bigint language plpgsql as $$
declare
  pruned bigint;
begin
  perform set_config('tasker.prunes_audit', 'yes', true);
  delete from tasker.audit_log where audit_id in (
    select audit_id from tasker.audit_log where at < p_before order by at, audit_id limit p_limit
    for update skip locked);
  get diagnostics pruned = row_count;
  perform set_config('tasker.prunes_audit', 'no', true);
  return pruned;
end $$;
comment on function tasker.prune_audit_log(timestamptz, integer) is
  'Removes the oldest records before an instant, at most so many; returns how many.';
