-- Runs the statement of an `sql` step that returns no rows, with its input as $1 (jsonb).
-- Returns the number of rows affected. Runs with the caller's rights and search_path.
-- What may pass (tasker.is_transient_sqlstate) is raised as a serialization failure, with its own message:
-- not every client passes on the SQLSTATE.
create or replace function tasker.execute_step_command(p_statement text, p_input jsonb) returns bigint
language plpgsql as $$
declare v_count bigint;
begin
  execute p_statement using p_input;
  get diagnostics v_count = row_count;
  return v_count;
exception when others or query_canceled then
  if not tasker.is_transient_sqlstate(sqlstate) then raise; end if;
  raise exception '%', sqlerrm using errcode = 'serialization_failure';
end $$;
comment on function tasker.execute_step_command(text, jsonb) is 'Runs the statement of an sql step that returns no rows.';
