//! Set-returning SQL functions as typed Diesel sources.
//!
//! Diesel has typed tables but no typed `RETURNS TABLE` function. [`table_function!`](crate::table_function)
//! declares the result row as a table, for its typed columns, and adds a call that stands in a FROM clause
//! in the table's place. A call can be filtered, ordered, narrowed, joined and boxed like a table, and its
//! prepared statement is cached.

use diesel::{pg::Pg, prelude::*, query_builder::*, sql_types::HasSqlType};

/// What Rust believes about a SQL function; a test holds it against `pg_proc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Schema and name.
    pub name: &'static str,
    /// Types of the arguments, as OIDs.
    pub arguments: Vec<u32>,
    /// Names and types of the result's columns, in order.
    pub columns: Vec<(&'static str, u32)>,
}

/// The OID of a SQL type.
pub fn oid<T>(conn: &mut PgConnection) -> u32
where
    Pg: HasSqlType<T>,
{
    <Pg as HasSqlType<T>>::metadata(conn).oid().unwrap_or(0)
}

/// Keeps the prepared statement of a query that Diesel would prepare anew each time (UPDATE with
/// RETURNING, `sql_query` of a constant text). The text must come from a bounded set: the cache never
/// forgets. Works where rows are loaded, not with `execute`.
#[derive(Debug, Clone, Copy)]
pub struct Cached<Q>(pub Q);

impl<Q> QueryId for Cached<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Cached<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

impl<Q: Query> Query for Cached<Q> {
    type SqlType = Q::SqlType;
}

impl<Q> RunQueryDsl<PgConnection> for Cached<Q> {}

/// Declares a set-returning function of schema `tasker`.
///
/// ```text
/// table_function! {
///     /// What it returns.
///     fn function_name(p_argument: SqlType, …) -> (column_that_identifies_a_row) {
///         /// What the column means.
///         column -> SqlType,
///     }
/// }
/// ```
/// gives a module `function_name` with the columns, `SqlType`, `signature`, and a function of the same name.
#[macro_export]
macro_rules! table_function {
    (
        $(#[$meta:meta])*
        fn $name:ident ( $($arg:ident : $argty:ty),* $(,)? ) -> ($($pk:ident),+) {
            $( $(#[$colmeta:meta])* $col:ident -> $colty:ty ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        pub mod $name {
            use ::diesel::expression::AsExpression;
            use ::diesel::pg::Pg;
            use ::diesel::prelude::*;
            use ::diesel::query_builder::*;
            use ::diesel::query_source::*;
            #[allow(unused_imports)]
            use ::diesel::sql_types::*;

            mod row {
                ::diesel::table! {
                    use ::diesel::sql_types::*;

                    /// The row that the function returns.
                    $name ($($pk),+) { $( $(#[$colmeta])* $col -> $colty, )* }
                }
            }
            pub use row::$name::{SqlType, columns, table};
            #[allow(unused_imports)]
            pub use row::$name::columns::*;

            /// A call of the function, which stands in a FROM clause; `A` is the tuple of its arguments.
            #[derive(Debug, Clone, Copy)]
            pub struct Call<A>(A);

            impl<A: QueryId> QueryId for Call<A> {
                type QueryId = Call<A::QueryId>;
                const HAS_STATIC_QUERY_ID: bool = A::HAS_STATIC_QUERY_ID;
            }

            impl<A: QueryFragment<Pg>> QueryFragment<Pg> for Call<A> {
                fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                    out.push_sql(concat!("\"tasker\".\"", stringify!($name), "\"("));
                    self.0.walk_ast(out.reborrow())?;
                    out.push_sql(concat!(") AS \"", stringify!($name), "\""));
                    Ok(())
                }
            }

            impl<A: Clone> QuerySource for Call<A> {
                type FromClause = Self;
                type DefaultSelection = <table as Table>::AllColumns;

                fn from_clause(&self) -> Self {
                    self.clone()
                }

                fn default_selection(&self) -> Self::DefaultSelection {
                    table::all_columns()
                }
            }

            impl<A: Clone> AsQuery for Call<A> {
                type SqlType = SqlType;
                type Query = SelectStatement<FromClause<Self>>;

                fn as_query(self) -> Self::Query {
                    SelectStatement::simple(self)
                }
            }

            impl<A: Clone> Table for Call<A> {
                type PrimaryKey = <table as Table>::PrimaryKey;
                type AllColumns = <table as Table>::AllColumns;

                fn primary_key(&self) -> Self::PrimaryKey {
                    Default::default()
                }

                fn all_columns() -> Self::AllColumns {
                    table::all_columns()
                }
            }

            // The columns appear exactly once in a FROM clause that is this call, and it may be joined with
            // every table that may appear beside the row's table.
            impl<A> AppearsInFromClause<table> for Call<A> {
                type Count = Once;
            }
            impl<A: Clone, T: Table> TableNotEqual<T> for Call<A> where table: TableNotEqual<T> {}
            $( impl<A: Clone> SelectableExpression<Call<A>> for columns::$col {} )*

            /// Calls the function.
            #[allow(non_camel_case_types, clippy::too_many_arguments)]
            pub fn call<$($arg: AsExpression<$argty>),*>($($arg: $arg),*) -> Call<($($arg::Expression,)*)> {
                Call(($( $arg.as_expression(), )*))
            }

            /// What Rust believes about the function.
            pub fn signature(conn: &mut PgConnection) -> $crate::Signature {
                $crate::Signature {
                    name: concat!("tasker.", stringify!($name)),
                    arguments: vec![$( $crate::oid::<$argty>(conn) ),*],
                    columns: vec![$( (stringify!($col), $crate::oid::<$colty>(conn)) ),*],
                }
            }
        }
        pub use $name::call as $name;
    };
}
