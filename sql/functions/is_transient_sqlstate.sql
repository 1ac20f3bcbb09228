-- Whether a statement that was refused with this SQLSTATE may succeed when it is run again: classes 08
-- (connection), 40 (rollback), 53 (resources), 57 (operator), 58 (system), and 55P03 (a lock was not granted).
create or replace function tasker.is_transient_sqlstate(p_sqlstate text) returns boolean
language sql immutable strict parallel safe as $$
  select left(p_sqlstate, 2) in ('08', '40', '53', '57', '58') or p_sqlstate = '55P03'
$$;
comment on function tasker.is_transient_sqlstate(text) is 'Whether what was refused with this SQLSTATE may succeed when it is run again.';
