//! Every operation of the REST and GraphQL interfaces with what it demands, as data. A server asks here; an
//! operation that is not here is not served.

use http::Method;

use crate::{Permission, Resource};

/// What an operation demands of the asker. There is no value for "nothing was said".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing: it tells nothing that is not public.
    Public,
    /// To be known.
    Known,
    /// A permission.
    Needs(Permission),
}

/// What the permission of an operation is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The whole system: it is asked before the operation runs.
    System,
    /// A listing, whose rows the operation filters.
    Listing,
    /// One thing, which the operation finds and then asks for with its namespace and owner.
    Thing,
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path below the mount point; a segment in braces stands for any.
    pub path: &'static str,
    /// What it demands.
    pub access: Access,
    /// Of what.
    pub reach: Reach,
}

/// A field of a GraphQL type. Only fields that lead to more than their parent showed are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The type: `Query`, `Mutation` or an object's.
    pub parent: &'static str,
    /// The field's own name, never an alias.
    pub name: &'static str,
    /// What it demands.
    pub access: Access,
    /// Of what.
    pub reach: Reach,
}

const fn route(method: &'static str, path: &'static str, access: Access, reach: Reach) -> Route {
    Route { method, path, access, reach }
}

const fn field(parent: &'static str, name: &'static str, access: Access, reach: Reach) -> Field {
    Field { parent, name, access, reach }
}

use Access::{Known, Needs, Public};
use Permission as P;
use Reach::{Listing, System, Thing};

/// The routes.
pub const ROUTES: &[Route] = &[
    route("GET", "/health/ready", Public, System),
    route("GET", "/health/live", Public, System),
    route("GET", "/health/status", Needs(P::HealthStatusIndex), System),
    route("GET", "/metrics", Needs(P::MetricsIndex), System),
    route("GET", "/analytics/performance", Needs(P::AnalyticsIndex), System),
    route("GET", "/analytics/bottlenecks", Needs(P::AnalyticsIndex), System),
    route("GET", "/handlers", Needs(P::HandlerIndex), Listing),
    route("GET", "/handlers/{namespace}", Needs(P::HandlerIndex), Thing),
    route("GET", "/handlers/{namespace}/{name}", Needs(P::HandlerShow), Thing),
    // Each field demands its own.
    route("POST", "/graphql", Known, System),
    route("GET", "/tasks", Needs(P::TaskIndex), Listing),
    route("POST", "/tasks", Needs(P::TaskCreate), Thing),
    route("GET", "/tasks/{id}", Needs(P::TaskShow), Thing),
    route("PATCH", "/tasks/{id}", Needs(P::TaskUpdate), Thing),
    route("PUT", "/tasks/{id}", Needs(P::TaskUpdate), Thing),
    route("DELETE", "/tasks/{id}", Needs(P::TaskDestroy), Thing),
    route("POST", "/tasks/{id}/cancel", Needs(P::TaskCancel), Thing),
    route("POST", "/tasks/{id}/retry", Needs(P::TaskRetry), Thing),
    route("POST", "/tasks/{id}/resolve", Needs(P::TaskResolve), Thing),
    route("POST", "/tasks/{id}/reset", Needs(P::TaskReset), Thing),
    route("POST", "/tasks/{id}/pause", Needs(P::TaskPause), Thing),
    route("POST", "/tasks/{id}/resume", Needs(P::TaskPause), Thing),
    route("GET", "/tasks/{id}/diagram", Needs(P::TaskShow), Thing),
    route("GET", "/tasks/{id}/explain", Needs(P::TaskShow), Thing),
    route("GET", "/tasks/{task_id}/workflow_steps", Needs(P::StepIndex), Thing),
    route("GET", "/tasks/{task_id}/workflow_steps/{id}", Needs(P::StepShow), Thing),
    route("PATCH", "/tasks/{task_id}/workflow_steps/{id}", Needs(P::StepUpdate), Thing),
    route("PUT", "/tasks/{task_id}/workflow_steps/{id}", Needs(P::StepUpdate), Thing),
    route("DELETE", "/tasks/{task_id}/workflow_steps/{id}", Needs(P::StepDestroy), Thing),
    route("POST", "/tasks/{task_id}/workflow_steps/{id}/cancel", Needs(P::StepCancel), Thing),
    route("POST", "/tasks/{task_id}/workflow_steps/{id}/retry", Needs(P::StepRetry), Thing),
    route("POST", "/tasks/{task_id}/workflow_steps/{id}/resolve", Needs(P::StepResolve), Thing),
    route("POST", "/tasks/{task_id}/workflow_steps/{id}/reset", Needs(P::StepReset), Thing),
    route("GET", "/queues", Needs(P::QueueIndex), Listing),
    route("POST", "/queues/{namespace}/pause", Needs(P::QueuePause), Thing),
    route("POST", "/queues/{namespace}/resume", Needs(P::QueuePause), Thing),
    route("GET", "/workers", Needs(P::WorkerIndex), System),
    route("GET", "/auth/tokens", Needs(P::ApiTokenIndex), System),
    route("POST", "/auth/tokens", Needs(P::ApiTokenCreate), System),
    route("DELETE", "/auth/tokens/{id}", Needs(P::ApiTokenDestroy), System),
    route("GET", "/auth/audit", Needs(P::AuditIndex), System),
    route("GET", "/auth/login", Public, System),
    route("GET", "/auth/callback", Public, System),
    route("POST", "/auth/logout", Known, System),
    route("GET", "/auth/me", Known, System),
];

/// The fields.
pub const FIELDS: &[Field] = &[
    field("Query", "tasks", Needs(P::TaskIndex), Listing),
    field("Query", "tasksByStatus", Needs(P::TaskIndex), Listing),
    field("Query", "tasksByAnnotation", Needs(P::TaskIndex), Listing),
    field("Query", "task", Needs(P::TaskShow), Thing),
    field("Query", "step", Needs(P::StepShow), Thing),
    field("Query", "annotationTypes", Known, System),
    field("Query", "__schema", Known, System),
    field("Query", "__type", Known, System),
    field("Query", "__typename", Public, System),
    field("Mutation", "createTask", Needs(P::TaskCreate), Thing),
    field("Mutation", "updateTask", Needs(P::TaskUpdate), Thing),
    field("Mutation", "cancelTask", Needs(P::TaskCancel), Thing),
    field("Mutation", "updateStep", Needs(P::StepUpdate), Thing),
    field("Mutation", "cancelStep", Needs(P::StepCancel), Thing),
    field("Mutation", "__typename", Public, System),
    field("Task", "workflowSteps", Needs(P::StepIndex), Thing),
    field("WorkflowStep", "task", Needs(P::TaskShow), Thing),
    field("WorkflowStep", "parents", Needs(P::StepIndex), Thing),
    field("WorkflowStep", "children", Needs(P::StepIndex), Thing),
];

impl Access {
    /// The resource whose permission is demanded.
    pub const fn resource(self) -> Option<Resource> {
        match self {
            Self::Needs(permission) => Some(permission.resource()),
            _ => None,
        }
    }
}

impl Route {
    /// Whether a request for the method and the path is for this route.
    pub fn serves(&self, method: &Method, path: &str) -> bool {
        // What is answered to HEAD is what is answered to GET.
        let same = method.as_str() == self.method || (*method == Method::HEAD && self.method == "GET");
        let (mut template, mut sent) = (self.path.split('/'), path.split('/'));
        same && loop {
            match (template.next(), sent.next()) {
                (None, None) => break true,
                (Some(t), Some(s)) if t == s || (t.starts_with('{') && !s.is_empty()) => {}
                _ => break false,
            }
        }
    }
}

/// The operations of a server: the built-in ones and its own.
///
/// An operation without access cannot be written:
///
/// ```compile_fail,E0063
/// use tasker_auth::{Reach, Route};
/// let _ = Route { method: "GET", path: "/secrets", reach: Reach::System };
/// ```
#[derive(Debug, Clone)]
pub struct Operations {
    routes: Vec<Route>,
    fields: Vec<Field>,
}

impl Default for Operations {
    fn default() -> Self {
        Self { routes: ROUTES.to_vec(), fields: FIELDS.to_vec() }
    }
}

/// What a server serves without saying what it demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these operations say nowhere what they demand, so they are not served: {}; declare each with its access", .0.join(", "))]
pub struct Undeclared(pub Vec<String>);

impl Operations {
    /// With further routes, which come before the built-in ones.
    #[must_use]
    pub fn with_routes(mut self, routes: impl IntoIterator<Item = Route>) -> Self {
        self.routes.splice(0..0, routes);
        self
    }

    /// With further fields.
    #[must_use]
    pub fn with_fields(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields.splice(0..0, fields);
        self
    }

    /// The routes.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The route of a request; `None` where none is declared, which refuses the request.
    pub fn route(&self, method: &Method, path: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.serves(method, path))
    }

    /// The field by its type and its own name. `None` for a field of `Query` or `Mutation` refuses it; any
    /// other field then shows nothing that its parent did not.
    pub fn field(&self, parent: &str, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.parent == parent && field.name == name)
    }

    /// Asked by a server at its start with all that it serves: methods with route templates, root types with
    /// fields. Names everything that is not declared.
    pub fn cover<'a>(
        &self,
        routes: impl IntoIterator<Item = (&'a str, &'a str)>,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Undeclared> {
        let is_route = |m: &str, p: &str| self.routes.iter().any(|r| r.method == m && r.path == p);
        let routes = routes.into_iter().filter(|(m, p)| !is_route(m, p)).map(|(m, p)| format!("{m} {p}"));
        let fields = fields.into_iter().filter(|(p, n)| self.field(p, n).is_none());
        let missing: Vec<_> = routes.chain(fields.map(|(p, n)| format!("{p}.{n}"))).collect();
        if missing.is_empty() { Ok(()) } else { Err(Undeclared(missing)) }
    }
}
