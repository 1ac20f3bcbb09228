//! Round trips of the readiness bindings over 1,000 open tasks: one task, and thirty by one call and by thirty.
//!
//! `cargo bench -p tasker-benches`; a cluster without durability is started for it, so only compare figures of one run.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use tasker_benches::database_of_shapes;
use tasker_readiness::{StepReadinessStatus, TaskExecutionContext};

fn readiness(c: &mut Criterion) {
    let (database, tasks) = database_of_shapes(200);
    let conn = &mut database.connection();
    let thirty = &tasks[..30];

    let mut steps = c.benchmark_group("step readiness");
    steps.bench_function("one task", |b| {
        b.iter(|| {
            black_box(StepReadinessStatus::for_task(conn, tasks[0], None).expect("readiness of a task"))
        })
    });
    steps.bench_function("thirty tasks, one call", |b| {
        b.iter(|| {
            black_box(StepReadinessStatus::for_tasks(conn, Some(thirty), None).expect("readiness of tasks"))
        })
    });
    steps.bench_function("thirty tasks, thirty calls", |b| {
        b.iter(|| {
            for task in thirty {
                black_box(StepReadinessStatus::for_task(conn, *task, None).expect("readiness of a task"));
            }
        })
    });
    steps.finish();

    let mut contexts = c.benchmark_group("task context");
    contexts.bench_function("one task", |b| {
        b.iter(|| black_box(TaskExecutionContext::find(conn, tasks[0], None).expect("context of a task")))
    });
    contexts.bench_function("thirty tasks, one call", |b| {
        b.iter(|| {
            black_box(TaskExecutionContext::for_tasks(conn, Some(thirty), None).expect("context of tasks"))
        })
    });
    contexts.finish();
}

criterion_group!(benches, readiness);
criterion_main!(benches);
