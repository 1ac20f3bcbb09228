//! What people and programs note about a task.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::Serialize;
use serde_json::Value;

use crate::{
    TaskId,
    schema::{annotation_types as types, task_annotations as notes},
};

/// One note of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Queryable)]
pub struct Annotation {
    /// The kind's name.
    pub kind: String,
    /// The note, an object.
    pub annotation: Value,
    /// When it was written.
    pub created_at: DateTime<Utc>,
}

/// Writes a note; the kind is found or made by name (1 to 64 characters). Two statements, best inside a
/// transaction of the caller. Refused by the database: a note that is no object, an unknown task.
pub fn annotate(conn: &mut PgConnection, task: TaskId, kind: &str, note: &Value) -> QueryResult<()> {
    diesel::insert_into(types::table)
        .values(types::name.eq(kind))
        .on_conflict(types::name)
        .do_nothing()
        .execute(conn)?;
    let type_id: i32 =
        types::table.filter(types::name.eq(kind)).select(types::annotation_type_id).first(conn)?;
    diesel::insert_into(notes::table)
        .values((notes::task_id.eq(task), notes::annotation_type_id.eq(type_id), notes::annotation.eq(note)))
        .execute(conn)
        .map(drop)
}

/// All notes of a task, oldest first.
pub fn annotations(conn: &mut PgConnection, task: TaskId) -> QueryResult<Vec<Annotation>> {
    notes::table
        .inner_join(types::table)
        .filter(notes::task_id.eq(task))
        .order(notes::task_annotation_id)
        .select((types::name, notes::annotation, notes::created_at))
        .load(conn)
}
