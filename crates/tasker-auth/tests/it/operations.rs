//! Every operation says what it demands; D-02, D-04.

use crate::support::Noise;
use tasker_auth::{Access, Operations, Permission, Reach, Route, http::Method};

fn access(method: &str, path: &str) -> Option<Access> {
    Operations::default().route(&method.parse::<Method>().unwrap(), path).map(|r| r.access)
}

/// The original's table of routes.
#[test]
fn the_originals_routes_demand_what_they_did() {
    for (method, path, permission) in [
        ("GET", "/tasks", "tasker.task:index"),
        ("GET", "/tasks/7", "tasker.task:show"),
        ("HEAD", "/tasks/7", "tasker.task:show"),
        ("POST", "/tasks", "tasker.task:create"),
        ("PATCH", "/tasks/7", "tasker.task:update"),
        ("PUT", "/tasks/7", "tasker.task:update"),
        ("DELETE", "/tasks/7", "tasker.task:destroy"),
        ("GET", "/tasks/7/workflow_steps", "tasker.workflow_step:index"),
        ("GET", "/tasks/7/workflow_steps/9", "tasker.workflow_step:show"),
        ("PATCH", "/tasks/7/workflow_steps/9", "tasker.workflow_step:update"),
        ("PUT", "/tasks/7/workflow_steps/9", "tasker.workflow_step:update"),
        ("DELETE", "/tasks/7/workflow_steps/9", "tasker.workflow_step:destroy"),
        ("GET", "/health/status", "tasker.health_status:index"),
        ("GET", "/metrics", "tasker.metrics:index"),
        ("GET", "/analytics/performance", "tasker.analytics:index"),
        ("GET", "/analytics/bottlenecks", "tasker.analytics:index"),
        ("GET", "/handlers", "tasker.handler:index"),
        ("GET", "/handlers/shop/order", "tasker.handler:show"),
    ] {
        let demanded: Permission = permission.parse().unwrap();
        assert_eq!(access(method, path), Some(Access::Needs(demanded)), "{method} {path}");
    }
    assert_eq!(access("GET", "/health/ready"), Some(Access::Public));
    assert_eq!(access("GET", "/health/live"), Some(Access::Public));
}

/// D-04: the namespace of handlers has a permission that exists.
#[test]
fn d04_the_handlers_of_a_namespace_have_a_permission() {
    assert_eq!(access("GET", "/handlers/shop"), Some(Access::Needs(Permission::HandlerIndex)));
}

#[test]
fn what_is_not_declared_is_not_found() {
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/tasks/"),
        ("GET", "//tasks"),
        ("GET", "/tasks/7/"),
        ("DELETE", "/tasks"),
        ("POST", "/tasks/7"),
        ("GET", "/tasks/7/../../metrics"),
        ("GET", "/%6detrics"),
        ("TRACE", "/tasks"),
    ] {
        assert_eq!(access(method, path), None, "{method} {path}");
    }
}

#[test]
fn no_route_hides_another_and_no_permission_is_unused() {
    let all = Operations::default();
    for route in all.routes() {
        let sample: Vec<_> =
            route.path.split('/').map(|s| if s.starts_with('{') { "7" } else { s }).collect();
        let method: Method = route.method.parse().unwrap();
        assert_eq!(all.route(&method, &sample.join("/")), Some(route), "another route comes first");
    }
    let demanded: Vec<_> = all.routes().iter().map(|r| r.access).collect();
    let unused: Vec<_> = Permission::ALL.iter().filter(|p| !demanded.contains(&Access::Needs(**p))).collect();
    assert_eq!(unused, [&Permission::TaskIndex; 0], "a permission that no operation demands");
}

/// A server that serves more than is declared does not start.
#[test]
fn an_operation_without_access_does_not_start() {
    let mine = Route { method: "GET", path: "/mine", access: Access::Known, reach: Reach::System };
    let all = Operations::default().with_routes([mine]);
    assert_eq!(all.cover([("GET", "/mine"), ("GET", "/tasks/{id}")], [("Query", "tasks")]), Ok(()));
    let error = all.cover([("GET", "/secrets"), ("GET", "/tasks")], [("Query", "secrets")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "these operations say nowhere what they demand, so they are not served: GET /secrets, Query.secrets; \
         declare each with its access"
    );
}

#[test]
fn ten_thousand_random_paths_do_not_panic() {
    let (all, mut noise) = (Operations::default(), Noise(7));
    for _ in 0..10_000 {
        let path = noise.text(&["/tasks/7/workflow_steps/9", "/handlers/shop"]);
        let _ = all.route(&Method::GET, &path);
        let _ = all.field("Query", &path);
    }
}
