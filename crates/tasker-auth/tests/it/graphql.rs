//! D-02: documents that went past the original's check. They are read by a real GraphQL parser and walked as an
//! executor walks them: operation by name, fragments, aliases by the fields behind them. A server's executor must
//! refuse and allow the same documents.
#![cfg(feature = "tower")]

use std::sync::Arc;

use crate::support::Sent;
use async_graphql_parser::{
    parse_query,
    types::{DocumentOperations, ExecutableDocument, OperationType, Selection, SelectionSet},
};
use serde::Deserialize;
use tasker_auth::{
    Auth, AuthError, FnAuthenticator, Guard, Identity, Method, Operations, Permission, RolePolicy, Scope,
    read_section,
};

#[derive(Deserialize)]
struct Case {
    name: String,
    document: String,
    operation: Option<String>,
    /// What the document demands, all of it.
    demands: Vec<String>,
    /// Whether it is refused whatever is permitted.
    #[serde(default)]
    refused: bool,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("graphql_documents.json")).unwrap()
}

/// The types behind the fields that the documents use.
fn type_of(parent: &str, field: &str) -> &'static str {
    match (parent, field) {
        ("Query", "step") | (_, "workflowSteps" | "parents" | "children") => "WorkflowStep",
        ("Mutation", "updateStep" | "cancelStep") => "WorkflowStep",
        ("Query" | "Mutation", _) | (_, "task") => "Task",
        (_, "namedStep") => "NamedStep",
        _ => "Other",
    }
}

async fn execute(guard: &Guard, case: &Case) -> Result<(), AuthError> {
    let document = parse_query(&case.document).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let operation = match (&document.operations, &case.operation) {
        (DocumentOperations::Single(one), _) => &one.node,
        (DocumentOperations::Multiple(all), Some(name)) => &all[name.as_str()].node,
        (DocumentOperations::Multiple(_), None) => panic!("{}: which operation?", case.name),
    };
    let root = if operation.ty == OperationType::Mutation { "Mutation" } else { "Query" };
    for (parent, field) in fields(&document, root, &operation.selection_set.node) {
        let scope = Scope::task("shop", 7, None);
        guard.check_field(&parent, &field, &scope).await?;
    }
    Ok(())
}

/// Every field that would be resolved, with its type.
fn fields(document: &ExecutableDocument, parent: &str, set: &SelectionSet) -> Vec<(String, String)> {
    let mut all = vec![];
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => {
                let name = field.node.name.node.as_str();
                all.push((parent.to_owned(), name.to_owned()));
                all.extend(fields(document, type_of(parent, name), &field.node.selection_set.node));
            }
            Selection::FragmentSpread(spread) => {
                let fragment = &document.fragments[&spread.node.fragment_name.node].node;
                all.extend(fields(document, parent, &fragment.selection_set.node));
            }
            Selection::InlineFragment(inline) => {
                all.extend(fields(document, parent, &inline.node.selection_set.node));
            }
        }
    }
    all
}

async fn guard(permitted: &[Permission]) -> Guard {
    let who = Identity::new("ada", Method::Custom).with_permissions(permitted.iter().copied());
    let policy = RolePolicy::new(read_section(&serde_json::json!({})).unwrap()).unwrap();
    let known = FnAuthenticator::new(move |_: tasker_auth::Request<'_>| Ok(who.clone()));
    let auth = Auth::builder().authenticator(known).authorizer(policy).build().unwrap();
    let sent = Sent::new("POST", "/graphql");
    Guard::admit(&auth, &Arc::new(Operations::default()), sent.request(), "/graphql").await.unwrap()
}

/// Each document passes with exactly what it demands, and with nothing less.
#[tokio::test]
async fn d02_every_document_demands_all_that_it_uses() {
    for case in cases() {
        let demands: Vec<Permission> = case.demands.iter().map(|t| t.parse().unwrap()).collect();
        let with_all = execute(&guard(&demands).await, &case).await;
        assert_eq!(with_all.is_err(), case.refused, "{}: {with_all:?}", case.name);
        for missing in &demands {
            let rest: Vec<Permission> = Permission::ALL.iter().copied().filter(|p| p != missing).collect();
            let refused = execute(&guard(&rest).await, &case).await;
            assert_eq!(refused, Err(AuthError::Forbidden(*missing)), "{} without {missing}", case.name);
        }
    }
}

/// Z09: an administrator may query and create; who may only list, may not create.
#[tokio::test]
async fn z09_the_originals_examples() {
    let by_name = |name: &str| cases().into_iter().find(|c| c.name == name).unwrap();
    let (list, create) = (by_name("one root field"), by_name("createTask"));
    let limited = guard(&[Permission::TaskIndex]).await;
    assert!(execute(&limited, &list).await.is_ok());
    assert_eq!(execute(&limited, &create).await, Err(AuthError::Forbidden(Permission::TaskCreate)));
    assert!(execute(&guard(Permission::ALL).await, &create).await.is_ok());
}
