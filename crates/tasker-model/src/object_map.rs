//! One object known under two ids in two outside systems.

use diesel::prelude::*;

use crate::schema::{dependent_system_object_maps as maps, dependent_systems as systems};

/// An object by outside system and id there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// The system's name, 1 to 64 characters.
    pub system: String,
    /// The object's id in it, 1 to 128 characters.
    pub remote_id: String,
}

impl ObjectRef {
    /// An object of a system.
    pub fn new(system: impl Into<String>, remote_id: impl Into<String>) -> Self {
        Self { system: system.into(), remote_id: remote_id.into() }
    }
}

/// Records that the two are one object, whichever way round; a second time changes nothing. Systems are
/// found or made by name. Returns the row's id.
pub fn map_objects(conn: &mut PgConnection, one: &ObjectRef, two: &ObjectRef) -> QueryResult<i64> {
    conn.transaction(|conn| {
        // In one order, so that two who name the pair from either end do not wait for each other.
        let mut names = [&one.system, &two.system];
        names.sort();
        for name in names {
            find_or_create(conn, name)?;
        }
        let (system_one, system_two) = (system(conn, &one.system)?, system(conn, &two.system)?);
        diesel::insert_into(maps::table)
            .values((
                maps::dependent_system_one_id.eq(system_one),
                maps::dependent_system_two_id.eq(system_two),
                maps::remote_id_one.eq(&one.remote_id),
                maps::remote_id_two.eq(&two.remote_id),
            ))
            .on_conflict_do_nothing()
            .execute(conn)?;
        let pair = |a: i32, ra: &str, b: i32, rb: &str| {
            maps::dependent_system_one_id
                .eq(a)
                .and(maps::remote_id_one.eq(ra.to_owned()))
                .and(maps::dependent_system_two_id.eq(b))
                .and(maps::remote_id_two.eq(rb.to_owned()))
        };
        maps::table
            .filter(pair(system_one, &one.remote_id, system_two, &two.remote_id))
            .or_filter(pair(system_two, &two.remote_id, system_one, &one.remote_id))
            .select(maps::dependent_system_object_map_id)
            .first(conn)
    })
}

/// The id under which another system knows the object, or `None`; found in either orientation.
pub fn counterpart(
    conn: &mut PgConnection,
    object: &ObjectRef,
    in_system: &str,
) -> QueryResult<Option<String>> {
    let (one, two) = diesel::alias!(systems as one, systems as two);
    let forth = maps::table
        .inner_join(one.on(maps::dependent_system_one_id.eq(one.field(systems::dependent_system_id))))
        .inner_join(two.on(maps::dependent_system_two_id.eq(two.field(systems::dependent_system_id))))
        .filter(one.field(systems::name).eq(&object.system))
        .filter(maps::remote_id_one.eq(&object.remote_id))
        .filter(two.field(systems::name).eq(in_system))
        .select(maps::remote_id_two)
        .first(conn)
        .optional()?;
    if forth.is_some() {
        return Ok(forth);
    }
    maps::table
        .inner_join(one.on(maps::dependent_system_one_id.eq(one.field(systems::dependent_system_id))))
        .inner_join(two.on(maps::dependent_system_two_id.eq(two.field(systems::dependent_system_id))))
        .filter(two.field(systems::name).eq(&object.system))
        .filter(maps::remote_id_two.eq(&object.remote_id))
        .filter(one.field(systems::name).eq(in_system))
        .select(maps::remote_id_one)
        .first(conn)
        .optional()
}

fn find_or_create(conn: &mut PgConnection, name: &str) -> QueryResult<usize> {
    diesel::insert_into(systems::table)
        .values(systems::name.eq(name))
        .on_conflict(systems::name)
        .do_nothing()
        .execute(conn)
}

fn system(conn: &mut PgConnection, name: &str) -> QueryResult<i32> {
    systems::table.filter(systems::name.eq(name)).select(systems::dependent_system_id).first(conn)
}
