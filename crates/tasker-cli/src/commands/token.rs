//! `tasker token`: issues, lists and takes back API tokens. A token's text is written once, when it is issued;
//! the database keeps its digest.

use std::time::Duration;

use chrono::TimeDelta;
use clap::Subcommand;
use comfy_table::Cell;
use diesel::PgConnection;
use serde_json::{Value, json};
use tasker_auth::{
    ApiTokenConfig, Namespaces, PermissionSet,
    pg::{NewToken, TokenRow, issue_token, list_tokens, revoke_token},
};

use crate::{
    database::{Database, DatabaseArgs, now},
    exit::{Exit, Failure, Outcome},
    operation::ActorArgs,
    output::{Output, note},
    time::{instant, parse_span},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Issue a token and print it, now or never
    Create(Create),
    /// List tokens, the newest first; never their texts
    List(List),
    /// Take a token back; it is refused from then on
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    /// On whose behalf it acts
    #[arg(long, value_parser = short)]
    subject: String,
    /// What it is for, for people
    #[arg(long, value_parser = short)]
    name: String,
    /// A role of whoever sends it; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// What it is for: permitted, and nothing beyond; resource:action, resource:* or *; may be repeated
    #[arg(long = "permission", value_name = "PERMISSION", value_parser = permission)]
    permissions: Vec<PermissionSet>,
    /// The only namespace that it is for; may be repeated
    #[arg(long = "namespace", value_name = "NAME")]
    namespaces: Vec<String>,
    /// How long it is good for; without end if not given
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    expires_in: Option<Duration>,
    /// What its text begins with, as the service is configured
    #[arg(long, default_value = "tasker", value_parser = prefix)]
    prefix: String,
    #[command(flatten)]
    actor: ActorArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those of this subject
    #[arg(long)]
    subject: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The token's number
    id: i64,
    #[command(flatten)]
    actor: ActorArgs,
}

/// As long as the column.
fn short(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=255 => Ok(text.to_owned()),
        _ => Err("write 1 to 255 characters".into()),
    }
}

fn permission(text: &str) -> Result<PermissionSet, String> {
    PermissionSet::parse(text).map_err(|e| e.to_string())
}

fn prefix(text: &str) -> Result<String, String> {
    let config = ApiTokenConfig { prefix: text.to_owned(), ..ApiTokenConfig::default() };
    match config.problems().first() {
        None => Ok(config.prefix),
        Some(problem) => Err(problem.reason.clone()),
    }
}

pub(crate) fn run(action: &Action, args: &DatabaseArgs, out: &Output) -> Outcome {
    let database = Database::ready(args, false)?;
    let conn = &mut database.connect()?;
    match action {
        Action::Create(args) => create(conn, args, out),
        Action::List(args) => list(conn, args, out),
        Action::Revoke(args) => revoke(conn, args, out),
    }
}

fn create(conn: &mut PgConnection, args: &Create, out: &Output) -> Outcome {
    let new = args.token(conn)?;
    let issued = issue_token(conn, &args.prefix, &new)?;
    let text = issued.text.expose();
    let document = json!({ "id": issued.id, "token": text, "expires_at": new.expires_at.map(instant) });
    out.either(&document, || out.line(text));
    note(format_args!("token {} for {}; it is shown this once", issued.id, new.subject));
    Ok(Exit::Ok)
}

impl Create {
    fn token(&self, conn: &mut PgConnection) -> Outcome<NewToken> {
        let mut new = NewToken::new(&self.subject, &self.name, self.actor.name());
        new.roles = self.roles.iter().cloned().collect();
        new.permissions = self.permissions.iter().copied().reduce(PermissionSet::union);
        if !self.namespaces.is_empty() {
            new.namespaces = Namespaces::only(&self.namespaces);
        }
        if let Some(span) = self.expires_in {
            let end = TimeDelta::from_std(span).ok();
            let end = end.and_then(|span| now(conn).map(|now| now.checked_add_signed(span)).transpose());
            let beyond = || Failure::input("--expires-in reaches beyond what a calendar holds");
            new.expires_at = Some(end.ok_or_else(beyond)??);
        }
        Ok(new)
    }
}

fn list(conn: &mut PgConnection, args: &List, out: &Output) -> Outcome {
    let tokens = list_tokens(conn, args.subject.as_deref(), args.limit)?;
    let documents: Vec<Value> = tokens.iter().map(document).collect();
    out.either(&documents, || {
        if tokens.is_empty() {
            note("no token");
        }
        let header = ["id", "subject", "name", "begins with", "expires", "revoked", "last used"];
        out.table(&header, tokens.iter().map(row).collect());
    });
    Ok(Exit::Ok)
}

fn document(token: &TokenRow) -> Value {
    json!({
        "id": token.api_token_id, "lookup": token.lookup, "subject": token.subject, "name": token.name,
        "created_by": token.created_by, "created_at": instant(token.created_at),
        "expires_at": token.expires_at.map(instant), "revoked_at": token.revoked_at.map(instant),
        "last_used_at": token.last_used_at.map(instant),
    })
}

fn row(token: &TokenRow) -> Vec<Cell> {
    let at = |at: Option<_>| Cell::new(at.map(instant).unwrap_or_default());
    vec![
        Cell::new(token.api_token_id),
        Cell::new(&token.subject),
        Cell::new(&token.name),
        Cell::new(&token.lookup),
        at(token.expires_at),
        at(token.revoked_at),
        at(token.last_used_at),
    ]
}

fn revoke(conn: &mut PgConnection, args: &Revoke, out: &Output) -> Outcome {
    if !revoke_token(conn, args.id, &args.actor.name(), None)? {
        let sentence = format!("token {} is not there or was taken back before", args.id);
        return Err(Failure::new(Exit::Refused, sentence));
    }
    let document = json!({ "id": args.id, "revoked": true });
    out.either(&document, || out.line(format_args!("token {} is taken back", args.id)));
    Ok(Exit::Ok)
}
