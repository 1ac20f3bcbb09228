//! Dependencies as values: a handle exists only after its step does, and carries what the step returns.

use std::{any::type_name, collections::BTreeMap, marker::PhantomData};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::handler::StepError;

/// A step of a [`Workflow`](super::Workflow) whose handler returns `O`.
///
/// Since it exists only after its step, a cycle or an unknown parent cannot be written.
pub struct StepHandle<O> {
    raw: RawHandle,
    output: PhantomData<fn() -> O>,
}

/// A step that may have been left out or resolved without a result: the child receives `Option<O>`.
pub struct OptionalHandle<O> {
    raw: RawHandle,
    output: PhantomData<fn() -> O>,
}

/// The place of a step in the builder that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawHandle {
    pub(super) workflow: u64,
    pub(super) index: usize,
}

impl<O> StepHandle<O> {
    pub(super) fn new(raw: RawHandle) -> Self {
        Self { raw, output: PhantomData }
    }

    pub(super) fn raw(self) -> RawHandle {
        self.raw
    }

    /// The same step for a child that can do without its result, as it must if the step is skippable.
    pub fn optional(self) -> OptionalHandle<O> {
        OptionalHandle { raw: self.raw, output: PhantomData }
    }
}

impl<O> Clone for StepHandle<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for StepHandle<O> {}

impl<O> Clone for OptionalHandle<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for OptionalHandle<O> {}

/// The results that a child's parents left, by the name of the step.
pub struct ParentResults<'a> {
    /// Of the dependencies in their order; a name may stand there twice.
    pub(super) names: &'a [String],
    pub(super) results: &'a BTreeMap<String, Value>,
}

impl ParentResults<'_> {
    fn value(&self, position: usize) -> (&str, &Value) {
        let name = self.names.get(position).map_or("", String::as_str);
        (name, self.results.get(name).unwrap_or(&Value::Null))
    }

    fn required<T: DeserializeOwned>(&self, position: usize) -> Result<T, StepError> {
        let (name, value) = self.value(position);
        T::deserialize(value).map_err(|error| {
            let message = if value.is_null() {
                format!("the parent step {name:?} left no result; `.optional()` takes its handle without one")
            } else {
                format!("the result of the parent step {name:?} is not a {}: {error}", type_name::<T>())
            };
            StepError::permanent(message).with_code("PARENT_RESULT")
        })
    }

    fn optional<T: DeserializeOwned>(&self, position: usize) -> Result<Option<T>, StepError> {
        if self.value(position).1.is_null() {
            return Ok(None);
        }
        self.required(position).map(Some)
    }
}

mod sealed {
    pub trait Sealed {}
}

/// What a step waits for, and so what its handler takes as its last argument: `()`, one handle, or a
/// tuple of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be what a step depends on",
    label = "expected `()`, a step handle, or a tuple of step handles",
    note = "pass `()` for a step without parents, `a` for one parent, `(a, b)` for several, at most eight",
    note = "what a parent returns must implement `serde::de::DeserializeOwned`, so that its children can read it"
)]
pub trait Dependencies: sealed::Sealed + Copy + Send + Sync + 'static {
    /// What the handler receives.
    type Output: Send + 'static;

    #[doc(hidden)]
    fn handles(&self) -> Vec<RawHandle>;

    #[doc(hidden)]
    fn decode(parents: &ParentResults<'_>) -> Result<Self::Output, StepError>;
}

/// One member of a tuple: a handle, required or optional.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a step handle",
    note = "what a parent returns must implement `serde::de::DeserializeOwned`, so that its children can read it"
)]
pub trait Dependency: sealed::Sealed + Copy + Send + Sync + 'static {
    #[doc(hidden)]
    type Value: Send + 'static;

    #[doc(hidden)]
    fn handle(&self) -> RawHandle;

    #[doc(hidden)]
    fn take(parents: &ParentResults<'_>, position: usize) -> Result<Self::Value, StepError>;
}

impl<O> sealed::Sealed for StepHandle<O> {}

impl<O: DeserializeOwned + Send + 'static> Dependency for StepHandle<O> {
    type Value = O;

    fn handle(&self) -> RawHandle {
        self.raw
    }

    fn take(parents: &ParentResults<'_>, position: usize) -> Result<O, StepError> {
        parents.required(position)
    }
}

impl<O> sealed::Sealed for OptionalHandle<O> {}

impl<O: DeserializeOwned + Send + 'static> Dependency for OptionalHandle<O> {
    type Value = Option<O>;

    fn handle(&self) -> RawHandle {
        self.raw
    }

    fn take(parents: &ParentResults<'_>, position: usize) -> Result<Option<O>, StepError> {
        parents.optional(position)
    }
}

impl sealed::Sealed for () {}

impl Dependencies for () {
    type Output = ();

    fn handles(&self) -> Vec<RawHandle> {
        Vec::new()
    }

    fn decode(_: &ParentResults<'_>) -> Result<(), StepError> {
        Ok(())
    }
}

impl<O: DeserializeOwned + Send + 'static> Dependencies for StepHandle<O> {
    type Output = O;

    fn handles(&self) -> Vec<RawHandle> {
        vec![self.raw]
    }

    fn decode(parents: &ParentResults<'_>) -> Result<O, StepError> {
        parents.required(0)
    }
}

impl<O: DeserializeOwned + Send + 'static> Dependencies for OptionalHandle<O> {
    type Output = Option<O>;

    fn handles(&self) -> Vec<RawHandle> {
        vec![self.raw]
    }

    fn decode(parents: &ParentResults<'_>) -> Result<Option<O>, StepError> {
        parents.optional(0)
    }
}

macro_rules! tuple_of_handles {
    ($($member:ident $position:tt),+) => {
        impl<$($member: Dependency),+> sealed::Sealed for ($($member,)+) {}

        impl<$($member: Dependency),+> Dependencies for ($($member,)+) {
            type Output = ($($member::Value,)+);

            fn handles(&self) -> Vec<RawHandle> {
                vec![$(self.$position.handle()),+]
            }

            fn decode(parents: &ParentResults<'_>) -> Result<Self::Output, StepError> {
                Ok(($($member::take(parents, $position)?,)+))
            }
        }
    };
}

tuple_of_handles!(A 0);
tuple_of_handles!(A 0, B 1);
tuple_of_handles!(A 0, B 1, C 2);
tuple_of_handles!(A 0, B 1, C 2, D 3);
tuple_of_handles!(A 0, B 1, C 2, D 3, E 4);
tuple_of_handles!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_of_handles!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_of_handles!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
