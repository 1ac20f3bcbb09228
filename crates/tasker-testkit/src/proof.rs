//! Holds the functions, the stored counters and `sql/check/` against the plain Rust rule of [`cases`](crate::cases),
//! for as many tasks as anybody has time for.

use diesel::{PgConnection, connection::SimpleConnection};
use tasker_engine::finalize::settle;
use tasker_model::{StepState, TaskId, TaskState};
use tasker_readiness::{StepReadinessStatus, TaskExecutionContext};

use crate::{
    TestDatabase,
    cases::{Standing, StepCase, TaskCase, noon, write},
    check_invariants,
};

/// What was compared and found equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proven {
    /// Tasks.
    pub tasks: usize,
    /// Their steps.
    pub steps: usize,
    /// Of those, the ready ones.
    pub ready: usize,
    /// Tasks whose log was held against the rows as well.
    pub with_log: usize,
}

impl std::ops::AddAssign for Proven {
    fn add_assign(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.steps += other.steps;
        self.ready += other.ready;
        self.with_log += other.with_log;
    }
}

/// Writes the tasks into a database of their own and compares every answer. The error is the first difference.
///
/// # Errors
/// A sentence with the task and what differs.
pub fn prove(tasks: &[TaskCase]) -> Result<Proven, String> {
    let database = TestDatabase::new();
    let conn = &mut database.connection();
    write(conn, tasks);
    let mut proven = steps_agree(conn, tasks)?;
    contexts_agree(conn, tasks)?;
    if tasks.iter().all(TaskCase::is_reachable) {
        write_log(conn);
        let mut wrong = check_invariants(conn);
        // The cases have steps without a definition behind them.
        wrong.retain(|w| !w.contains("steps of its definition"));
        if !wrong.is_empty() {
            return Err(format!("sql/check disagrees:\n{}", wrong.join("\n")));
        }
        proven.with_log = tasks.len();
    }
    Ok(proven)
}

fn steps_agree(conn: &mut PgConnection, tasks: &[TaskCase]) -> Result<Proven, String> {
    let ids: Vec<TaskId> = (1..=tasks.len() as i64).map(TaskId).collect();
    let rows = StepReadinessStatus::for_tasks(conn, Some(&ids), Some(noon())).map_err(|e| e.to_string())?;
    let expected: Vec<_> = tasks.iter().flat_map(|t| t.steps.iter().map(move |s| (t, s))).collect();
    if rows.len() != expected.len() {
        return Err(format!("{} rows for {} steps", rows.len(), expected.len()));
    }
    let mut proven = Proven { tasks: tasks.len(), steps: rows.len(), ..Proven::default() };
    for (row, (task, step)) in rows.iter().zip(expected) {
        step_agrees(row, task, step)?;
        proven.ready += usize::from(row.ready_for_execution);
    }
    Ok(proven)
}

fn step_agrees(row: &StepReadinessStatus, task: &TaskCase, step: &StepCase) -> Result<(), String> {
    let pending = task.pending_parents(step) as i32;
    let reasons = task.reasons(step);
    let said =
        if row.ready_for_execution { reasons.is_empty() } else { reasons.contains(&row.detail.as_str()) };
    let agree = row.current_state == step.state
        && row.ready_for_execution == task.is_ready(step)
        && row.dependencies_satisfied == (pending == 0)
        && row.retry_eligible == (step.attempts < step.retry_limit)
        && row.available_at.is_some() == task.is_claimable(step)
        && row.total_parents - row.completed_parents == pending
        && row.blocking_reason().is_none() == row.ready_for_execution
        && said;
    if agree {
        Ok(())
    } else {
        Err(format!("{row:?}\nis not what the rule says of\n{step:?}\nin {task:?}: {reasons:?}"))
    }
}

fn contexts_agree(conn: &mut PgConnection, tasks: &[TaskCase]) -> Result<(), String> {
    let ids: Vec<TaskId> = (1..=tasks.len() as i64).map(TaskId).collect();
    let rows = TaskExecutionContext::for_tasks(conn, Some(&ids), Some(noon())).map_err(|e| e.to_string())?;
    if rows.len() != tasks.len() {
        return Err(format!("{} contexts for {} tasks", rows.len(), tasks.len()));
    }
    for (row, task) in rows.iter().zip(tasks) {
        if Standing::from(row) != task.standing() {
            return Err(format!("{row:?}\nis not what the rule says of\n{task:?}: {:?}", task.standing()));
        }
    }
    Ok(())
}

impl TaskCase {
    /// The task with the state that its steps have brought it to.
    #[must_use]
    pub fn settled(mut self) -> Self {
        let live =
            |t: &Self, s: &StepCase| s.state == StepState::InProgress || (t.is_claimable(s) && !s.held);
        let touched = self.steps.iter().any(|s| s.attempts > 0);
        self.state = if self.steps.iter().any(|s| live(&self, s)) {
            if touched { TaskState::InProgress } else { TaskState::Pending }
        } else {
            settle(self.steps.iter().map(|s| s.state))
        };
        self
    }

    /// Whether the commands could have led here: the state is that of the steps, nothing ran before its parents
    /// were done, and attempts are those that the state takes.
    pub fn is_reachable(&self) -> bool {
        self.clone().settled().state == self.state && self.steps.iter().all(|s| self.is_step_reachable(s))
    }

    fn is_step_reachable(&self, step: &StepCase) -> bool {
        let ran = matches!(step.state, StepState::InProgress | StepState::Complete | StepState::Error);
        let attempts = step.attempts <= step.retry_limit && (step.retryable || step.attempts <= 1);
        let had_to_run = !ran || (step.attempts > 0 && self.pending_parents(step) == 0);
        let permanent = !step.permanent || step.state == StepState::Error;
        attempts && had_to_run && permanent && (step.attempts == 0 || self.pending_parents(step) == 0)
    }
}

/// Writes the shortest log that leads to each row, and the numbers that follow from it.
fn write_log(conn: &mut PgConnection) {
    conn.batch_execute(LOG).unwrap_or_else(|e| panic!("the log cannot be written: {e}"));
}

const LOG: &str = "
create temporary table walk on commit drop as
  select s.task_id, s.workflow_step_id, s.state::text as state, s.attempts, s.generation, s.retry_limit, s.created_at, s.failure_kind, s.available_at,
    case when s.state in ('in_progress', 'complete') then s.attempts - 1 else s.attempts end as fails
  from tasker.workflow_steps s;
insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, seq, attempt, generation, retry_limit, from_state, to_state, failure_kind, actor)
  select w.task_id, w.workflow_step_id, w.created_at, t.seq, t.attempt, w.generation, w.retry_limit, t.from_state, t.to_state,
    case when t.to_state = 'error' then case when w.state = 'error' and t.attempt = w.attempts then w.failure_kind::text else 'retryable' end end,
    case when t.to_state in ('cancelled', 'resolved_manually') then 'somebody' end
  from walk w cross join lateral (
    select 2 * i - 1, i, case when i = 1 then 'pending' else 'error' end, 'in_progress' from generate_series(1, w.fails) i
    union all select 2 * i, i, 'in_progress', 'error' from generate_series(1, w.fails) i
    union all select 2 * w.fails + 1, w.fails + 1, case when w.fails = 0 then 'pending' else 'error' end, 'in_progress'
      where w.state in ('in_progress', 'complete') or w.state = 'pending' and w.attempts > 0
    union all select 2 * w.fails + 2, w.attempts, 'in_progress', w.state where w.state = 'complete' or w.state = 'pending' and w.attempts > 0
    union all select 2 * w.fails + 1, w.attempts, case when w.fails = 0 then 'pending' else 'error' end, w.state
      where w.state in ('cancelled', 'resolved_manually')) t (seq, attempt, from_state, to_state);
update tasker.workflow_steps s set seq = l.n
  from (select workflow_step_id, max(seq) as n from tasker.workflow_step_transitions group by 1) l where l.workflow_step_id = s.workflow_step_id;
insert into tasker.task_transitions (task_id, at, seq, from_state, to_state)
  select task_id, created_at, 1, 'pending', state from tasker.tasks where state <> 'pending';
update tasker.tasks set seq = 1 where state <> 'pending';
analyze;";
