//! What the claims of a token mean here: which of them are the subject, the roles and the limits.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Identity, Limit, Method, Namespaces, Permission, Problem, Refusal};

/// The claims that are read, by name; a dot leads into an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimNames {
    /// The subject: the first of these that the token has, a text or a whole number.
    pub subject: Vec<String>,
    /// The name, for people.
    pub name: String,
    /// The roles: a list, or a text with spaces between them. `None`: tokens give no roles.
    pub roles: Option<String>,
    /// Permissions, in the same form; those that are not Tasker's are left out. `None`: tokens give none.
    pub permissions: Option<String>,
    /// The only namespaces for which the token is, in the same form; a token without the claim is for none.
    /// `None`: tokens are for all.
    pub namespaces: Option<String>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: vec!["user_id".into(), "sub".into()],
            name: "name".into(),
            roles: None,
            permissions: None,
            namespaces: None,
        }
    }
}

impl ClaimNames {
    pub(crate) fn problems(&self) -> Vec<Problem> {
        if self.subject.is_empty() {
            return vec![Problem::new("claims.subject", "must name at least one claim, such as `sub`")];
        }
        vec![]
    }

    /// The identity that the claims give.
    pub(crate) fn identity(&self, claims: &Map<String, Value>, method: Method) -> Result<Identity, Refusal> {
        let subject = self.subject.iter().find_map(|name| find(claims, name)).and_then(subject);
        let mut identity = Identity::new(subject.ok_or(Refusal::Invalid)?, method);
        identity.name = find(claims, &self.name).and_then(Value::as_str).map(Into::into);
        identity.roles = words(claims, self.roles.as_deref()).collect();
        let permissions = words(claims, self.permissions.as_deref());
        identity.permissions = permissions.filter_map(|text| text.parse::<Permission>().ok()).collect();
        if self.namespaces.is_some() {
            let names = Namespaces::only(words(claims, self.namespaces.as_deref()));
            identity.limit = Limit::new(None, names);
        }
        Ok(identity)
    }
}

fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    // A claim may have dots in its name.
    claims.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        find(claims.get(first)?.as_object()?, rest)
    })
}

/// 1 to 255 characters that can be written in a log.
fn subject(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_f64() => number.to_string(),
        _ => return None,
    };
    let fits = !text.is_empty() && text.chars().count() <= 255 && !text.chars().any(char::is_control);
    fits.then_some(text)
}

fn words(claims: &Map<String, Value>, name: Option<&str>) -> impl Iterator<Item = String> {
    let found: Vec<String> = match name.and_then(|name| find(claims, name)) {
        Some(Value::String(text)) => text.split_whitespace().map(Into::into).collect(),
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(Into::into).collect(),
        _ => vec![],
    };
    found.into_iter()
}
