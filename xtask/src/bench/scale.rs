//! One size of the scale table: a database of its own, every question, every series, in alternation.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Array, BigInt},
};

use super::{
    measure::{Argument, Plan, Times, explain, time},
    server::Server,
    subjects::{Baseline, Question, Series, Subject, own},
};
use crate::data::{
    self,
    plan::{Mix, Plan as DataPlan},
    shapes::Shape,
};

/// How long one statement is measured at most, ms; it is measured once at least.
const BUDGET: f64 = 20_000.0;

/// A statement that looks at more pages than this is measured no more than `runs` times.
const MANY_BUFFERS: u64 = 5_000;

/// One statement at one size.
pub(super) struct Cell {
    pub(super) tasks: usize,
    pub(super) question: Question,
    pub(super) series: Series,
    pub(super) times: Times,
    pub(super) plan: Plan,
}

/// How often things are measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Rounds of each statement.
    pub(super) runs: usize,
    /// Random tasks of which one is asked at a time.
    pub(super) samples: usize,
    pub(super) seed: u64,
}

/// Makes so many tasks and measures everything.
pub(super) fn measure(
    server: &Server,
    tasks: usize,
    baseline: Option<&Baseline>,
    effort: Effort,
) -> Result<Vec<Cell>> {
    let database = server.database(&tasks.to_string())?;
    let conn = &mut database.connect()?;
    let mut rng = fastrand::Rng::with_seed(effort.seed);
    data::add(conn, &DataPlan::new(tasks, Mix::default(), Shape::All, &mut rng), &mut rng)?;
    data::tidy(conn)?;
    conn.batch_execute(include_str!("../../../sql/bench/views.sql")).context("sql/bench/views.sql failed")?;
    // At a million the proof takes longer than everything that it is for; the smaller sizes have given it.
    if tasks <= 100_000 {
        prove_equal(conn)?;
    }
    let mut subjects = own();
    if let Some(baseline) = baseline {
        conn.batch_execute(&baseline.load).context("the baseline cannot be loaded")?;
        conn.batch_execute(&baseline.map).context("the data cannot be mapped for the baseline")?;
        conn.batch_execute("analyze")?;
        subjects.extend(baseline.subjects.iter().cloned());
    }
    let ids = ids(conn)?;
    let mut cells = vec![];
    for question in Question::ALL {
        let subjects: Vec<&Subject> = subjects.iter().filter(|s| s.question == question).collect();
        cells.extend(ask(conn, tasks, question, &subjects, &ids, effort, &mut rng)?);
    }
    Ok(cells)
}

/// Everything about one question.
fn ask(
    conn: &mut PgConnection,
    tasks: usize,
    question: Question,
    subjects: &[&Subject],
    ids: &[i64],
    effort: Effort,
    rng: &mut fastrand::Rng,
) -> Result<Vec<Cell>> {
    let rounds = match question {
        Question::OneReadiness | Question::OneContext => effort.samples,
        Question::ThirtyReadiness | Question::ThirtyContexts => (effort.samples / 10).max(effort.runs),
        _ => effort.runs,
    };
    let mut cells = vec![];
    for subject in subjects {
        let argument = argument(subject, ids, rng);
        let started = Instant::now();
        let plan = explain(conn, &subject.sql, &argument)?;
        warm_up(conn, &subject.sql, &argument, started.elapsed().as_secs_f64() * 1e3)?;
        let (series, times) = (subject.series.clone(), Times::default());
        cells.push(Cell { tasks, question, series, times, plan });
    }
    for round in 0..rounds {
        let asked: Vec<i64> = (0..30).filter_map(|_| rng.choice(ids).copied()).collect();
        // Each comes first in its turn: the first finds the pages of these tasks cold.
        for turn in 0..subjects.len() {
            let place = (round + turn) % subjects.len();
            let (subject, cell) = (subjects[place], &mut cells[place]);
            // What reads everything for a few tasks would only push the others' pages out.
            let enough = round >= effort.runs && cell.plan.buffers > MANY_BUFFERS;
            let time = if enough || cell.times.total() >= BUDGET {
                None
            } else {
                Some(time(conn, &subject.sql, &argument_of(subject, &asked))?)
            };
            cell.times.0.extend(time);
        }
    }
    Ok(cells)
}

/// Until the server has settled on a plan, unless the statement is slow anyway.
fn warm_up(conn: &mut PgConnection, sql: &str, argument: &Argument, mut spent: f64) -> Result<()> {
    for _ in 0..7 {
        if spent < 500.0 {
            spent += time(conn, sql, argument)?;
        }
    }
    Ok(())
}

fn argument(subject: &Subject, ids: &[i64], rng: &mut fastrand::Rng) -> Argument {
    let asked: Vec<i64> = (0..30).filter_map(|_| rng.choice(ids).copied()).collect();
    argument_of(subject, &asked)
}

fn argument_of(subject: &Subject, asked: &[i64]) -> Argument {
    use Question::*;
    match (subject.question, &subject.series) {
        (OpenBatch | OpenContexts | Next100, _) => Argument::Nothing,
        (OneReadiness | OneContext, _) => Argument::Task(asked.first().copied().unwrap_or(0)),
        (_, Series::Calls) => Argument::EachOf(asked.to_vec()),
        _ => Argument::Tasks(asked.to_vec()),
    }
}

/// Views and functions answer alike, or nothing is timed.
fn prove_equal(conn: &mut PgConnection) -> Result<()> {
    #[derive(Debug, QueryableByName)]
    struct Differences {
        #[diesel(sql_type = BigInt)]
        steps: i64,
        #[diesel(sql_type = BigInt)]
        contexts: i64,
        #[diesel(sql_type = BigInt)]
        contexts_in_parts: i64,
        #[diesel(sql_type = BigInt)]
        compared: i64,
    }
    let d: Differences = sql_query(include_str!("../../../sql/bench/differences.sql")).get_result(conn)?;
    ensure!(
        d.steps == 0 && d.contexts == 0 && d.contexts_in_parts == 0 && d.compared > 0,
        "functions and views differ: {d:?}"
    );
    eprintln!("functions and views give the same {} rows, compared both ways", d.compared);
    Ok(())
}

/// Every task.
pub(super) fn ids(conn: &mut PgConnection) -> Result<Vec<i64>> {
    #[derive(QueryableByName)]
    struct Ids {
        #[diesel(sql_type = Array<BigInt>)]
        ids: Vec<i64>,
    }
    let row: Ids =
        sql_query("select array_agg(task_id order by task_id) as ids from tasker.tasks").get_result(conn)?;
    Ok(row.ids)
}
