//! Workflows written in Rust: handles carry what a step returns, so a cycle cannot be written and a
//! handler that takes something else than its parents return does not compile.

use std::{
    any::type_name,
    fmt,
    future::Future,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use diesel::PgConnection;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    BackoffPolicy, DefinitionError, DefinitionErrors, FailurePolicy, StepDefinition, TypedContext, Version,
    VersionError, WorkflowDefinition, WorkflowParts,
    dependencies::{Dependencies, ParentResults, RawHandle, StepHandle},
};
use crate::handler::{Handler, HandlerRegistry, StepContext, StepError, StepResult};

/// A workflow under construction whose tasks have a context of type `I`.
///
/// Nothing here panics: whatever is wrong surfaces, all at once, at [`Workflow::build`].
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// # use tasker_engine::{definition::{TypedContext, Workflow}, handler::StepError};
/// #[derive(Serialize, Deserialize)]
/// struct Order { sku: String, quantity: u32 }
/// #[derive(Serialize, Deserialize)]
/// struct Priced { cents: u64 }
///
/// async fn price(ctx: TypedContext<Order>, _: ()) -> Result<Priced, StepError> {
///     if ctx.input.quantity == 0 {
///         return Err(StepError::permanent("the order is empty"));
///     }
///     Ok(Priced { cents: 250 * u64::from(ctx.input.quantity) })
/// }
/// async fn charge(ctx: TypedContext<Order>, price: Priced) -> Result<String, StepError> {
///     Ok(format!("{} for {} under key {}", price.cents, ctx.input.sku, ctx.idempotency_key()))
/// }
///
/// let mut w = Workflow::<Order>::new("order").namespace("shop").version("1.0.0");
/// let priced = w.step("price", (), price);
/// let charged = w.step("charge", priced, charge);
/// w.configure(charged).retry_limit(5).dependent_system("payments");
/// let workflow = w.build()?;
/// assert_eq!(workflow.definition().step("charge").unwrap().handler, "shop/order@1.0.0/charge");
/// # Ok::<(), tasker_engine::definition::DefinitionErrors>(())
/// ```
pub struct Workflow<I> {
    id: u64,
    parts: WorkflowParts,
    handlers: Vec<Handler>,
    problems: Vec<DefinitionError>,
    default_backoff: BackoffPolicy,
    /// Takes the options that are set through the handle of another workflow.
    nowhere: StepDefinition,
    input: PhantomData<fn() -> I>,
}

/// Tells the handles of one builder from those of another.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl<I: DeserializeOwned + Send + Sync + 'static> Workflow<I> {
    /// Namespace `default`, version 0.1.0, no steps.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            parts: WorkflowParts::new(name),
            handlers: Vec::new(),
            problems: Vec::new(),
            default_backoff: BackoffPolicy::default(),
            nowhere: StepDefinition::new("", ""),
            input: PhantomData,
        }
    }

    /// Sets the namespace.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.parts.namespace = namespace.into();
        self
    }

    /// Sets the version, a [`Version`] or a text such as `"1.0.0"`.
    pub fn version<V: TryInto<Version, Error: Into<VersionError>>>(mut self, version: V) -> Self {
        match version.try_into() {
            Ok(version) => self.parts.version = version,
            Err(error) => self.problems.push(DefinitionError::Version(error.into())),
        }
        self
    }

    /// Sets the description.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.parts.description = Some(description.into());
        self
    }

    /// Sets what a dead step does to the rest; [`FailurePolicy::Drain`] if not said.
    pub fn failure_policy(mut self, policy: FailurePolicy) -> Self {
        self.parts.failure_policy = policy;
        self
    }

    /// Sets the backoff of the steps that are added from here on, unless they say another;
    /// [`BackoffPolicy::default`] if not said.
    pub fn default_backoff(mut self, policy: BackoffPolicy) -> Self {
        self.default_backoff = policy;
        self
    }

    /// Sets the JSON Schema that contexts are checked against at submission, before `I` reads them.
    pub fn schema(mut self, schema: Value) -> Self {
        self.parts.schema = Some(schema);
        self
    }

    /// Adds a step whose handler's effects are outside the engine's database.
    ///
    /// The handler takes the context and what the dependencies return, in their order.
    pub fn step<D, O, F, Fut>(
        &mut self,
        name: impl Into<String>,
        dependencies: D,
        handler: F,
    ) -> StepHandle<O>
    where
        D: Dependencies,
        O: Serialize + Send + 'static,
        F: Fn(TypedContext<I>, D::Output) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, StepError>> + Send + 'static,
    {
        let (raw, parents) = self.add(name.into(), dependencies.handles());
        let handler = Arc::new(handler);
        self.handlers.push(Handler::Async(Arc::new(move |context: StepContext| {
            let (handler, parents) = (Arc::clone(&handler), Arc::clone(&parents));
            async move {
                let inputs = decode::<D>(&parents, &context)?;
                encode((*handler)(TypedContext::new(context)?, inputs).await?)
            }
        })));
        StepHandle::new(raw)
    }

    /// Adds a step whose handler writes through the engine's connection: its writes and its result are
    /// one commit.
    pub fn transactional_step<D, O, F>(
        &mut self,
        name: impl Into<String>,
        dependencies: D,
        handler: F,
    ) -> StepHandle<O>
    where
        D: Dependencies,
        O: Serialize + Send + 'static,
        F: Fn(&mut PgConnection, &TypedContext<I>, D::Output) -> Result<O, StepError> + Send + Sync + 'static,
    {
        let (raw, parents) = self.add(name.into(), dependencies.handles());
        let call = move |conn: &mut PgConnection, context: &StepContext| -> StepResult {
            let inputs = decode::<D>(&parents, context)?;
            encode(handler(conn, &TypedContext::new(context.clone())?, inputs)?)
        };
        self.handlers.push(Handler::Transactional(Arc::new(call)));
        StepHandle::new(raw)
    }

    /// The options of a step: `w.configure(step).retry_limit(5).priority(1);`
    pub fn configure<O>(&mut self, step: StepHandle<O>) -> StepOptions<'_> {
        let raw = step.raw();
        if raw.workflow != self.id {
            self.problems.push(DefinitionError::ForeignHandle { place: "configure".into() });
            return StepOptions { step: &mut self.nowhere };
        }
        StepOptions { step: self.parts.steps.get_mut(raw.index).unwrap_or(&mut self.nowhere) }
    }

    /// The definition with its handlers.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn build(mut self) -> Result<TypedWorkflow<I>, DefinitionErrors> {
        let WorkflowParts { namespace, name, version, .. } = &self.parts;
        let prefix = format!("{namespace}/{name}@{version}");
        for step in &mut self.parts.steps {
            step.handler = format!("{prefix}/{}", step.name);
        }
        let names: Vec<String> = self.parts.steps.iter().map(|step| step.handler.clone()).collect();
        let definition = match (WorkflowDefinition::new(self.parts), self.problems) {
            (Ok(definition), problems) => DefinitionErrors::check(problems).map(|()| definition),
            (Err(errors), problems) => Err(errors.after(problems)),
        }?;
        let handlers = names.into_iter().zip(self.handlers).collect();
        Ok(TypedWorkflow { id: self.id, definition, handlers, input: PhantomData })
    }

    /// The place of the new step, and the names of its dependencies as its handler will read them.
    fn add(&mut self, name: String, handles: Vec<RawHandle>) -> (RawHandle, Arc<[String]>) {
        let mut step = StepDefinition::new(name, "");
        step.backoff = self.default_backoff.clone();
        let mut parents = Vec::with_capacity(handles.len());
        for handle in handles {
            match self.parts.steps.get(handle.index).filter(|_| handle.workflow == self.id) {
                Some(parent) => parents.push(parent.name.clone()),
                None => {
                    let place = format!("step {:?}", step.name);
                    self.problems.push(DefinitionError::ForeignHandle { place });
                }
            }
        }
        for parent in &parents {
            // A handler may take the result of one parent twice; the edge is one.
            if !step.depends_on.contains(parent) {
                step.depends_on.push(parent.clone());
            }
        }
        self.parts.steps.push(step);
        (RawHandle { workflow: self.id, index: self.parts.steps.len() - 1 }, parents.into())
    }
}

fn decode<D: Dependencies>(names: &[String], context: &StepContext) -> Result<D::Output, StepError> {
    D::decode(&ParentResults { names, results: &context.results })
}

fn encode<O: Serialize>(output: O) -> StepResult {
    serde_json::to_value(output).map_err(|error| {
        let message = format!("the result, a {}, has no JSON form: {error}", type_name::<O>());
        StepError::permanent(message).with_code("STEP_RESULT")
    })
}

impl<I> fmt::Debug for Workflow<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow").field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// Sets the options of one step; each setter takes effect at once.
#[derive(Debug)]
pub struct StepOptions<'a> {
    step: &'a mut StepDefinition,
}

impl StepOptions<'_> {
    /// The total number of attempts, 3 if not said; 0 means never.
    pub fn retry_limit(self, attempts: i32) -> Self {
        self.step.retry_limit = attempts;
        self
    }

    /// Whether a failed attempt may be followed by another; it may if not said.
    pub fn retryable(self, retryable: bool) -> Self {
        self.step.retryable = retryable;
        self
    }

    /// Ends an attempt that runs longer with a `timeout` failure. Part of a millisecond counts as one.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.step.timeout_ms = Some(timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX));
        self
    }

    /// How long to wait after a failure.
    pub fn backoff(self, policy: BackoffPolicy) -> Self {
        self.step.backoff = policy;
        self
    }

    /// 1 (claimed first) to 5 (last); 3 if not said.
    pub fn priority(self, priority: i16) -> Self {
        self.step.priority = priority;
        self
    }

    /// A task may leave this step out; children take its handle as [`StepHandle::optional`].
    pub fn skippable(self) -> Self {
        self.step.skippable = true;
        self
    }

    /// The outside system that this step talks to.
    pub fn dependent_system(self, system: impl Into<String>) -> Self {
        self.step.dependent_system = system.into();
        self
    }

    /// For people.
    pub fn description(self, description: impl Into<String>) -> Self {
        self.step.description = Some(description.into());
        self
    }

    /// What the handler finds in `ctx.config`; an object.
    pub fn config(self, config: Value) -> Self {
        self.step.handler_config = config;
        self
    }
}

/// A definition with its handlers. Cheap enough to build again in each worker.
#[derive(Clone)]
pub struct TypedWorkflow<I> {
    pub(super) id: u64,
    definition: WorkflowDefinition,
    /// In the order of declaration, which is that of the handles.
    pub(super) handlers: Vec<(String, Handler)>,
    input: PhantomData<fn() -> I>,
}

impl<I> TypedWorkflow<I> {
    /// What is stored and submitted.
    pub fn definition(&self) -> &WorkflowDefinition {
        &self.definition
    }

    /// The definition alone.
    pub fn into_definition(self) -> WorkflowDefinition {
        self.definition
    }

    /// Registers the handlers as `namespace/name@version/step`, so that a worker never claims steps of
    /// a version that it has no code for.
    pub fn register(&self, registry: &mut HandlerRegistry) {
        for (name, handler) in &self.handlers {
            registry.insert(name.clone(), handler.clone());
        }
    }
}

impl<I> fmt::Debug for TypedWorkflow<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedWorkflow").field("definition", &self.definition).finish_non_exhaustive()
    }
}
