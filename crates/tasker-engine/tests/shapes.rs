//! The five shapes run to their end on a clock that is moved by hand; nothing sleeps.

use serde_json::json;
use tasker_model::{StepState, TaskState};
use tasker_testkit::{TestCoordinator, TestDatabase, shapes};

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_completes_with_the_attempts_that_its_script_needs() {
    for shape in shapes::all() {
        let database = TestDatabase::new();
        let mut coordinator = TestCoordinator::new(&database, shape.registry());
        let task = coordinator.submit(&shape.definition, json!({"batch_id": 7})).await;
        let run = coordinator.run(task).await;
        assert_eq!(run.state, TaskState::Complete, "{}", shape.definition.name());
        for (step, attempts) in shape.attempts() {
            assert_eq!(run.attempts_of(step), attempts as usize, "{step} of {}", shape.definition.name());
            assert_eq!(run.step(step).step.state, StepState::Complete);
        }
        // Parents were claimed before their children.
        for step in shape.definition.steps() {
            let first = |name: &str| run.claimed.iter().position(|n| n == name);
            assert!(step.depends_on.iter().all(|p| first(p) < first(&step.name)));
        }
        database.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_step_runs_again_after_its_backoff_until_its_attempts_are_used() {
    use shapes::{Script::Fails, Shape};
    let shape = Shape::new("linear_5", &[("first", Fails(5), &[]), ("second", Fails(0), &["first"])]);
    let database = TestDatabase::new();
    let mut coordinator = TestCoordinator::new(&database, shape.registry());
    let task = coordinator.submit(&shape.definition, json!({})).await;
    assert_eq!(coordinator.turn().await, ["first"]);
    assert!(coordinator.turn().await.is_empty(), "the backoff has not passed");
    let run = coordinator.run(task).await;
    assert_eq!(run.state, TaskState::Error);
    assert_eq!(run.attempts_of("first"), 2, "three in all");
    assert_eq!(run.step("first").step.attempts, 3);
    assert_eq!(run.step("second").step.state, StepState::Pending);
    let waited = run.waited.num_milliseconds();
    assert!((2_700..=3_300).contains(&waited), "1 s and 2 s, each moved by up to a tenth: {waited} ms");
    database.assert_sound();
}
