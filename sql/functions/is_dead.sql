-- Whether nothing but a person brings a step on, whatever its parents do: it is cancelled, or it may not be
-- attempted even once they are done.
create or replace function tasker.is_dead(state text, attempts integer, retry_limit integer, retryable boolean, failure_kind text)
returns boolean language sql immutable parallel safe return
  state = 'cancelled' or state in ('pending', 'error') and not tasker.is_claimable(state, 0, attempts, retry_limit, retryable, failure_kind);
comment on function tasker.is_dead(text, integer, integer, boolean, text) is
  'Whether nothing but a person brings a step on: cancelled, or not to be attempted even once its parents are done.';
