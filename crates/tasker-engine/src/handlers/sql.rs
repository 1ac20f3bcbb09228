//! `sql`: runs one statement in the transaction that also completes the step.
//!
//! | key | meaning |
//! |---|---|
//! | `statement` | the SQL, required; it reads its input as `$1`, a `jsonb`. It is no template, so that data never becomes SQL |
//! | `input` | a template, the value of `$1`; the whole document if not given |
//! | `expect` | `rows` (default): the result is `{"rows": […], "row_count": n}`. `row`: exactly one row, which is the result. `none`: a statement that returns nothing; the result is `{"row_count": n}`, the rows affected |
//!
//! The statement's writes, the step's result and the release of its children are one commit: they
//! happen exactly once, with no idempotency key. Numbers are PostgreSQL's own, so this is where money is
//! computed. The statements are run by the SQL functions `tasker.execute_step_sql` and
//! `tasker.execute_step_command`.
//!
//! A failed statement rolls the attempt back. What may pass (`tasker.is_transient_sqlstate`: serialization
//! failures, deadlocks, locks that were not granted, cancelled statements, lost connections, a server that is
//! read only, full or shutting down) is run again within the attempt a few times, and is retryable
//! (`SQL_TRANSIENT`). Everything else is permanent (`SQL_ERROR`), with the database's message as it is: what
//! `raise exception` says reaches the step.

use diesel::{
    PgConnection, QueryResult, QueryableByName, RunQueryDsl,
    result::Error,
    sql_query,
    sql_types::{BigInt, Jsonb, Text as SqlText},
};
use serde_json::{Value, json};

use super::{
    config::{Fields, Key, Text, invalid},
    expression::Templates,
};
use crate::{
    db::{Fault, fault},
    handler::{Inputs, StepContext, StepError, StepResult, TransactionalHandler},
};

/// The keys of the configuration.
pub(crate) const KEYS: &[Key] = &[
    Key::required("statement", Text::Literal, "\"select 1\""),
    Key::optional("input", Text::Template, "null"),
    Key::optional("expect", Text::Literal, "\"rows\""),
];

/// The handler `sql`.
pub(crate) struct Sql {
    pub(crate) templates: Templates,
}

/// What the statement returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Rows,
    Row,
    None,
}

/// A parsed configuration.
#[derive(Debug)]
pub(crate) struct Config {
    statement: String,
    input: Option<Value>,
    expect: Expect,
}

impl Config {
    pub(crate) fn parse(fields: &Fields) -> Result<Self, String> {
        let statement = fields.needed_text("statement")?.trim();
        if statement.is_empty() {
            return Err(fields.wrong("statement", "a SQL statement"));
        }
        let expect = match fields.text("expect")? {
            None | Some("rows") => Expect::Rows,
            Some("row") => Expect::Row,
            Some("none") => Expect::None,
            Some(_) => return Err(fields.wrong("expect", "`rows`, `row` or `none`")),
        };
        Ok(Self { statement: statement.to_owned(), input: fields.value("input").cloned(), expect })
    }
}

impl TransactionalHandler for Sql {
    fn call(&self, conn: &mut PgConnection, context: &StepContext) -> StepResult {
        let fields = Fields::rendered_blocking("sql", KEYS, context, &self.templates)?;
        let config = Config::parse(&fields).map_err(invalid)?;
        let input = config.input.unwrap_or_else(|| context.document());
        let result = match config.expect {
            Expect::Rows => query(conn, &config.statement, &input).map(|rows| Ok(rows_result(rows))),
            Expect::Row => query(conn, &config.statement, &input).map(only_row),
            Expect::None => command(conn, &config.statement, &input).map(|n| Ok(json!({"row_count": n}))),
        };
        result.map_err(|e| failed(&e)).flatten().map_err(|error| fields.hide(error))
    }

    fn inputs(&self) -> Inputs {
        Inputs::Ancestors
    }
}

#[derive(QueryableByName)]
struct Rows {
    #[diesel(sql_type = Jsonb)]
    rows: Value,
}

#[derive(QueryableByName)]
struct Affected {
    #[diesel(sql_type = BigInt)]
    row_count: i64,
}

fn query(conn: &mut PgConnection, statement: &str, input: &Value) -> QueryResult<Value> {
    sql_query("select tasker.execute_step_sql($1, $2) as rows")
        .bind::<SqlText, _>(statement)
        .bind::<Jsonb, _>(input)
        .get_result::<Rows>(conn)
        .map(|r| r.rows)
}

fn command(conn: &mut PgConnection, statement: &str, input: &Value) -> QueryResult<i64> {
    sql_query("select tasker.execute_step_command($1, $2) as row_count")
        .bind::<SqlText, _>(statement)
        .bind::<Jsonb, _>(input)
        .get_result::<Affected>(conn)
        .map(|r| r.row_count)
}

fn rows_result(rows: Value) -> Value {
    let count = rows.as_array().map_or(0, Vec::len);
    json!({"rows": rows, "row_count": count})
}

fn only_row(rows: Value) -> StepResult {
    let rows = if let Value::Array(rows) = rows { rows } else { Vec::new() };
    <[Value; 1]>::try_from(rows).map(|[row]| row).map_err(|rows| {
        let message = format!("the statement returned {} rows where exactly one is expected", rows.len());
        StepError::permanent(message).with_code("SQL_ROWS")
    })
}

/// The failure of a statement, with the primary message alone: the detail, which is left out, is where
/// PostgreSQL shows the values of a row.
fn failed(error: &Error) -> StepError {
    let message = if let Error::DatabaseError(_, information) = error {
        information.message().to_owned()
    } else {
        error.to_string()
    };
    let fault = fault(error);
    let error = if transient(fault) {
        StepError::retryable(message).with_code("SQL_TRANSIENT")
    } else {
        StepError::permanent(message).with_code("SQL_ERROR")
    };
    StepError { fault: Some(fault), ..error }
}

/// What Diesel does not tell apart the SQL functions do: they raise what may pass as a conflict.
fn transient(fault: Fault) -> bool {
    fault != Fault::Unclear && fault.may_pass()
}

#[cfg(test)]
mod tests {
    use diesel::result::DatabaseErrorKind;

    use super::*;
    use crate::handler::Failure;

    fn parsed(config: Value) -> Result<Config, String> {
        Fields::checked("sql", KEYS, &config).and_then(|fields| Config::parse(&fields))
    }

    #[test]
    fn the_configuration() {
        let config = parsed(json!({"statement": " select $1->'a' "})).expect("it is fine");
        assert_eq!((config.statement.as_str(), config.expect), ("select $1->'a'", Expect::Rows));
        let literal = parsed(json!({"statement": "select '{{ no template'", "expect": "none"}));
        assert_eq!(literal.expect("it is fine").expect, Expect::None);
        for wrong in [
            json!({}),
            json!({"statement": " "}),
            json!({"statement": "select 1", "expect": "one"}),
            json!({"statement": "select 1", "input": "{{ .a | }}"}),
            json!({"statement": "select 1", "params": []}),
        ] {
            assert!(parsed(wrong).is_err());
        }
    }

    #[test]
    fn rows_become_a_result() {
        let rows = json!([{"a": 1}, {"a": 2}]);
        assert_eq!(rows_result(rows.clone()), json!({"rows": rows, "row_count": 2}));
        assert_eq!(only_row(json!([{"a": 1}])), Ok(json!({"a": 1})));
        for count in [json!([]), rows] {
            let error = only_row(count).expect_err("not one row");
            assert_eq!((error.failure, error.code.as_deref()), (Failure::Permanent, Some("SQL_ROWS")));
        }
    }

    fn database_error(kind: DatabaseErrorKind, message: &str) -> StepError {
        failed(&Error::DatabaseError(kind, Box::new(message.to_owned())))
    }

    #[test]
    fn messages_are_verbatim() {
        let error = database_error(DatabaseErrorKind::Unknown, "product 7 is out of stock");
        assert_eq!(
            (error.failure, error.message.as_str()),
            (Failure::Permanent, "product 7 is out of stock")
        );
        assert_eq!(error.code.as_deref(), Some("SQL_ERROR"));
    }

    #[test]
    fn kinds_decide() {
        use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UniqueViolation, Unknown};
        for (kind, expected) in [
            (SerializationFailure, Failure::Retryable),
            (ClosedConnection, Failure::Retryable),
            (Unknown, Failure::Permanent),
            (UniqueViolation, Failure::Permanent),
        ] {
            assert_eq!(database_error(kind, "deadlock detected").failure, expected);
        }
        assert_eq!(failed(&Error::NotFound).failure, Failure::Permanent);
    }
}
