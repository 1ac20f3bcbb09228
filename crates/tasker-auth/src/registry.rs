//! Constructors by the names that a configuration uses.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use crate::{Authenticator, Authorizer, DenyAll, NoAuthenticator, Problem, RolePolicy, read_section};

type Constructor<T> = Box<dyn Fn(&Value) -> Result<Arc<T>, Vec<Problem>> + Send + Sync>;

/// Authenticators and coordinators by name. The built-in ones that need nothing but options are there from the
/// start; those that need a store are registered with it.
pub struct Registry {
    authenticators: BTreeMap<String, Constructor<dyn Authenticator>>,
    coordinators: BTreeMap<String, Constructor<dyn Authorizer>>,
}

impl Default for Registry {
    fn default() -> Self {
        let empty = Self { authenticators: BTreeMap::new(), coordinators: BTreeMap::new() };
        let registry = empty
            .authenticator("none", |_| Ok(NoAuthenticator))
            .coordinator("deny_all", |_| Ok(DenyAll))
            .coordinator("roles", |options| RolePolicy::new(read_section(options)?));
        #[cfg(feature = "jwt")]
        let registry = registry
            .authenticator("jwt", |options| crate::jwt::JwtAuthenticator::new(&read_section(options)?));
        #[cfg(feature = "cedar")]
        let registry = registry.coordinator("cedar", |options| {
            let config: crate::CedarConfig = read_section(options)?;
            config.read()
        });
        registry
    }
}

impl Registry {
    /// Registers an authenticator: `make` gets the options of the configuration, and answers with the value or
    /// with every mistake in them.
    #[must_use]
    pub fn authenticator<A: Authenticator + 'static>(
        mut self,
        name: &str,
        make: impl Fn(&Value) -> Result<A, Vec<Problem>> + Send + Sync + 'static,
    ) -> Self {
        let make = move |options: &Value| make(options).map(|a| Arc::new(a) as Arc<dyn Authenticator>);
        self.authenticators.insert(name.to_owned(), Box::new(make));
        self
    }

    /// Registers one that is there already, such as the login whose routes a server serves.
    #[must_use]
    pub fn authenticator_value(mut self, name: &str, value: Arc<dyn Authenticator>) -> Self {
        self.authenticators.insert(name.to_owned(), Box::new(move |_| Ok(Arc::clone(&value))));
        self
    }

    /// Registers a coordinator, as [`authenticator`](Self::authenticator).
    #[must_use]
    pub fn coordinator<A: Authorizer + 'static>(
        mut self,
        name: &str,
        make: impl Fn(&Value) -> Result<A, Vec<Problem>> + Send + Sync + 'static,
    ) -> Self {
        let make = move |options: &Value| make(options).map(|a| Arc::new(a) as Arc<dyn Authorizer>);
        self.coordinators.insert(name.to_owned(), Box::new(make));
        self
    }

    pub(crate) fn make_authenticator(
        &self,
        name: &str,
        options: &Value,
    ) -> Result<Arc<dyn Authenticator>, Vec<Problem>> {
        let made = make(&self.authenticators, "authenticator", name, options)?;
        let problems = made.problems();
        let within = |p: Problem| p.within("authenticator_options");
        if problems.is_empty() { Ok(made) } else { Err(problems.into_iter().map(within).collect()) }
    }

    pub(crate) fn make_coordinator(
        &self,
        name: &str,
        options: &Value,
    ) -> Result<Arc<dyn Authorizer>, Vec<Problem>> {
        make(&self.coordinators, "authorization_coordinator", name, options)
    }
}

fn make<T: ?Sized>(
    known: &BTreeMap<String, Constructor<T>>,
    key: &str,
    name: &str,
    options: &Value,
) -> Result<Arc<T>, Vec<Problem>> {
    let Some(make) = known.get(name) else {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        let known = names.join(", ");
        return Err(vec![Problem::new(key, format!("`{name}` is not registered; known are {known}"))]);
    };
    let section = format!("{key}_options");
    make(options).map_err(|problems| problems.into_iter().map(|p| p.within(&section)).collect())
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, c): (Vec<_>, Vec<_>) =
            (self.authenticators.keys().collect(), self.coordinators.keys().collect());
        f.debug_struct("Registry").field("authenticators", &a).field("coordinators", &c).finish()
    }
}
