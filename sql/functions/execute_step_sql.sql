-- Runs the statement of an `sql` step that returns rows, with its input as $1 (jsonb).
-- Returns a jsonb array with one object a row. Runs with the caller's rights and search_path.
-- What may pass (tasker.is_transient_sqlstate) is raised as a serialization failure, with its own message:
-- not every client passes on the SQLSTATE.
create or replace function tasker.execute_step_sql(p_statement text, p_input jsonb) returns jsonb
language plpgsql as $$
declare v_row record; v_rows jsonb[] := '{}';
begin
  for v_row in execute p_statement using p_input loop
    v_rows := v_rows || to_jsonb(v_row);
  end loop;
  return to_jsonb(v_rows);
exception when others or query_canceled then
  if not tasker.is_transient_sqlstate(sqlstate) then raise; end if;
  raise exception '%', sqlerrm using errcode = 'serialization_failure';
end $$;
comment on function tasker.execute_step_sql(text, jsonb) is 'Runs the statement of an sql step that returns rows.';
