//! The judge: what was lost, done twice or left, by edges, log and effects alone. It trusts no worker.

use std::{collections::HashMap, fs, ops::AddAssign, path::Path};

use anyhow::{Context, Result};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Bool, Text},
};
use tasker_testkit::check_invariants;

use super::effects::{BOOK, CALL};

/// What came of a run. The first six are to be 0 or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Tasks that are gone, and complete steps without their effect.
    pub(crate) lost: i64,
    /// Effects in the database that a step had twice, or that are not those of the attempt that completed it;
    /// steps completed twice; keys of calls that changed.
    pub(crate) doubled: i64,
    /// Tasks that have not settled.
    pub(crate) stuck: i64,
    /// Tasks that settled otherwise than complete.
    pub(crate) failed: i64,
    /// What `sql/check/` finds wrong.
    pub(crate) unsound: Vec<String>,
    pub(crate) tasks: i64,
    pub(crate) steps: i64,
    /// Claims.
    pub(crate) attempts: i64,
    /// Steps taken back from a worker whose lease ran out.
    pub(crate) lost_leases: i64,
    /// Calls beyond the first of a step: at least once is what is promised for them.
    pub(crate) repeated_calls: i64,
}

#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    tasks: i64,
    #[diesel(sql_type = BigInt)]
    stuck: i64,
    #[diesel(sql_type = BigInt)]
    failed: i64,
    #[diesel(sql_type = BigInt)]
    steps: i64,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
    #[diesel(sql_type = BigInt)]
    lost_leases: i64,
    #[diesel(sql_type = BigInt)]
    without_effect: i64,
    #[diesel(sql_type = BigInt)]
    wrong_effects: i64,
    #[diesel(sql_type = BigInt)]
    refused_effects: i64,
    #[diesel(sql_type = BigInt)]
    completed_again: i64,
}

/// $1 is the handler whose effects are rows.
const COUNTS: &str = "
    with booked as (
      select s.task_id, n.name as step, s.state, s.attempts from tasker.workflow_steps s
      join tasker.named_steps n using (named_step_id) join tasker.queues q using (queue_id) where q.handler = $1)
    select (select count(*) from tasker.tasks) as tasks,
      (select count(*) from tasker.tasks where finished_at is null) as stuck,
      (select count(*) from tasker.tasks where finished_at is not null and state <> 'complete') as failed,
      (select count(*) from tasker.workflow_steps) as steps,
      (select count(*) from tasker.workflow_step_transitions where to_state = 'in_progress') as attempts,
      (select count(*) from tasker.workflow_step_transitions where failure_kind = 'lost_lease') as lost_leases,
      (select count(*) from booked b left join public.effects e using (task_id, step)
        where b.state = 'complete' and e.task_id is null) as without_effect,
      (select count(*) from public.effects e left join booked b using (task_id, step)
        where b.state is distinct from 'complete' or b.attempts <> e.attempt) as wrong_effects,
      (select count(*) from tasker.workflow_step_transitions where to_state = 'error' and reason like '%effects_once%') as refused_effects,
      (select coalesce(sum(n - 1), 0)::bigint from (
        select count(*) as n from tasker.workflow_step_transitions where to_state = 'complete'
        group by task_id, workflow_step_id, generation) x) as completed_again";

/// $1 is the handler that calls.
const KEYS: &str = "
    select format('%s:%s:%s', s.task_id, n.name, s.generation) as key, s.attempts::bigint, s.state = 'complete' as complete
    from tasker.workflow_steps s join tasker.named_steps n using (named_step_id) join tasker.queues q using (queue_id)
    where q.handler = $1";

/// Judges a database after a run in which `submitted` tasks were acknowledged.
pub(crate) fn judge(conn: &mut PgConnection, submitted: usize, ledgers: &Path) -> Result<Verdict> {
    let counts: Counts =
        sql_query(COUNTS).bind::<Text, _>(BOOK).get_result(conn).context("The run cannot be counted")?;
    let calls = Calls::read(ledgers)?.against(conn)?;
    Ok(Verdict {
        lost: (i64::try_from(submitted)? - counts.tasks).abs() + counts.without_effect + calls.missing,
        doubled: counts.wrong_effects + counts.refused_effects + counts.completed_again + calls.foreign,
        stuck: counts.stuck,
        failed: counts.failed,
        unsound: check_invariants(conn),
        tasks: counts.tasks,
        steps: counts.steps,
        attempts: counts.attempts,
        lost_leases: counts.lost_leases,
        repeated_calls: calls.repeated,
    })
}

/// The attempts that called, by key.
struct Calls(HashMap<String, Vec<i64>>);

struct CallCounts {
    missing: i64,
    foreign: i64,
    repeated: i64,
}

impl Calls {
    fn read(ledgers: &Path) -> Result<Self> {
        let mut calls = HashMap::<String, Vec<i64>>::new();
        for entry in fs::read_dir(ledgers).context("The calls cannot be read")? {
            for line in fs::read_to_string(entry?.path())?.lines() {
                let (key, attempt) = line.rsplit_once(' ').with_context(|| format!("no call: {line}"))?;
                calls.entry(key.into()).or_default().push(attempt.parse()?);
            }
        }
        Ok(Self(calls))
    }

    /// A call is missing where a complete step never called, foreign where no step has its key or made its
    /// attempt.
    fn against(self, conn: &mut PgConnection) -> Result<CallCounts> {
        #[derive(QueryableByName)]
        struct Key {
            #[diesel(sql_type = Text)]
            key: String,
            #[diesel(sql_type = BigInt)]
            attempts: i64,
            #[diesel(sql_type = Bool)]
            complete: bool,
        }
        let keys: Vec<Key> = sql_query(KEYS).bind::<Text, _>(CALL).load(conn)?;
        let missing = keys.iter().filter(|k| k.complete && !self.0.contains_key(&k.key)).count();
        let made: HashMap<_, _> = keys.into_iter().map(|k| (k.key, k.attempts)).collect();
        let (mut foreign, mut repeated) = (0, 0);
        for (key, attempts) in &self.0 {
            let made = made.get(key).copied().unwrap_or(0);
            foreign += attempts.iter().filter(|a| !(1..=made).contains(*a)).count();
            repeated += attempts.len() - 1;
        }
        Ok(CallCounts {
            missing: i64::try_from(missing)?,
            foreign: i64::try_from(foreign)?,
            repeated: i64::try_from(repeated)?,
        })
    }
}

impl Verdict {
    /// One sentence for each kind of thing that must not be.
    pub(crate) fn violations(&self) -> Vec<String> {
        let counted = [
            (self.lost, "lost tasks or effects"),
            (self.doubled, "effects or completions that happened twice"),
            (self.stuck, "tasks that did not settle"),
            (self.failed, "tasks that settled otherwise than complete"),
        ];
        let counted = counted.iter().filter(|(n, _)| *n != 0).map(|(n, what)| format!("{n} {what}"));
        counted.chain(self.unsound.iter().cloned()).collect()
    }
}

impl AddAssign for Verdict {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.stuck += other.stuck;
        self.failed += other.failed;
        self.unsound.extend(other.unsound);
        self.tasks += other.tasks;
        self.steps += other.steps;
        self.attempts += other.attempts;
        self.lost_leases += other.lost_leases;
        self.repeated_calls += other.repeated_calls;
    }
}

#[cfg(test)]
mod tests {
    use diesel::connection::SimpleConnection;
    use tasker_testkit::{TestCoordinator, TestDatabase};

    use super::*;
    use crate::battery::effects::{self, Work};

    /// What the judge says of four tasks that completed, after somebody changed something.
    struct Court {
        conn: PgConnection,
        ledgers: tempfile::TempDir,
        _database: TestDatabase,
    }

    impl Court {
        async fn new() -> Self {
            let (database, ledgers) = (TestDatabase::new(), tempfile::tempdir().unwrap());
            let mut conn = database.connection();
            effects::prepare(&mut conn).unwrap();
            effects::submit_tasks(&mut conn, 4, Work(0, 0)).unwrap();
            let registry = effects::registry(&ledgers.path().join("one")).unwrap();
            let mut coordinator = TestCoordinator::new(&database, registry);
            coordinator.run(tasker_model::TaskId(1)).await;
            Self { conn, ledgers, _database: database }
        }

        /// Lost, doubled, stuck, failed and the number of unsound things.
        fn after(&mut self, change: &str) -> (i64, i64, i64, i64, usize) {
            self.conn.batch_execute(&format!("begin; {change}")).unwrap();
            let verdict = self.verdict(4);
            self.conn.batch_execute("rollback").unwrap();
            (verdict.lost, verdict.doubled, verdict.stuck, verdict.failed, verdict.unsound.len())
        }

        fn verdict(&mut self, submitted: usize) -> Verdict {
            judge(&mut self.conn, submitted, self.ledgers.path()).unwrap()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_judge_finds_whatever_is_wrong() {
        let mut court = Court::new().await;
        let good = court.verdict(4);
        assert_eq!((good.violations(), good.tasks, good.steps), (vec![], 4, 16));
        assert_eq!(court.verdict(5).lost, 1, "a task that was acknowledged is gone");
        assert_eq!(court.after("delete from public.effects where (task_id, step) = (1, 'open')").0, 1);
        assert_eq!(
            court.after("update public.effects set attempt = 7 where (task_id, step) = (1, 'open')").1,
            1
        );
        assert_eq!(court.after("insert into public.effects values (1, 'left', 1)").1, 1, "it calls");
        let log = "insert into tasker.workflow_step_transitions (task_id, workflow_step_id, at, seq, attempt, generation, retry_limit, from_state, to_state, failure_kind, reason)
            select task_id, workflow_step_id, at, seq + 1, attempt, generation, retry_limit, 'in_progress',";
        let last =
            "from tasker.workflow_step_transitions where workflow_step_id = 1 order by seq desc limit 1";
        let (_, doubled, _, _, unsound) = court.after(&format!("{log} 'complete', null, null {last}"));
        assert!((doubled, unsound > 0) == (1, true), "completed twice: {doubled}, {unsound}");
        let refused = format!("{log} 'error', 'permanent', 'violates \"effects_once\"' {last}");
        assert_eq!(court.after(&refused).1, 1);
        let reopened = "update tasker.tasks set state = 'pending', finished_at = null where task_id = 1";
        let (_, _, stuck, _, unsound) = court.after(reopened);
        assert!((stuck, unsound > 0) == (1, true), "{stuck}, {unsound}");
        let failed = format!(
            "{reopened}; update tasker.tasks set state = 'error', finished_at = now() where task_id = 1"
        );
        assert_eq!(court.after(&failed).3, 1);
        fs::write(court.ledgers.path().join("two"), "1:left:2 1\n").unwrap();
        assert_eq!(court.verdict(4).doubled, 1, "a key that changed");
        fs::remove_file(court.ledgers.path().join("one")).unwrap();
        assert_eq!(court.verdict(4).lost, 6, "two tasks call once, two of them twice");
    }
}
