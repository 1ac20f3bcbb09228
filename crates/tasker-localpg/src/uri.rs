//! Writes the connection URI of a server that listens on a Unix socket.

use std::path::Path;

/// The superuser that `initdb` makes. Not `tasker`: a role's own name stands first in its search_path, and a host
/// application's tables would land in our schema of that name.
pub(crate) const SUPERUSER: &str = "postgres";

/// The port in the socket's file name. It is stated in the URI as well, since a `PGPORT` in the
/// client's environment would otherwise send it to another file.
pub(crate) const PORT: u16 = 5432;

/// A libpq URI for the database, over the socket in `dir`.
pub(crate) fn socket_uri(dir: &Path, database: &str) -> String {
    let database = percent_encode(database);
    let host = percent_encode(&dir.to_string_lossy());
    format!("postgres://{SUPERUSER}@/{database}?host={host}&port={PORT}")
}

/// The same server in libpq's other notation, which PostgreSQL writes into the settings of a standby.
pub(crate) fn socket_conninfo(dir: &Path) -> String {
    let host = dir.to_string_lossy().replace('\\', "\\\\").replace('\'', "\\'");
    format!("user={SUPERUSER} host='{host}' port={PORT}")
}

/// The same server as a libpq URI names, with another database: what stands before and after is kept. The name must
/// need no encoding.
///
/// ```
/// let url = "postgres://me@db.example:5433/app?sslmode=require";
/// let other = tasker_localpg::with_database(url, "scratch");
/// assert_eq!(other, "postgres://me@db.example:5433/scratch?sslmode=require");
/// ```
pub fn with_database(url: &str, name: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (before, query) = rest.split_once('?').map_or((rest, String::new()), |(b, q)| (b, format!("?{q}")));
    let authority = before.split_once('/').map_or(before, |(a, _)| a);
    format!("{scheme}://{authority}/{name}{query}")
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_and_the_database_are_encoded() {
        assert_eq!(
            socket_uri(Path::new("/tmp/a b"), "x/é"),
            "postgres://postgres@/x%2F%C3%A9?host=%2Ftmp%2Fa%20b&port=5432"
        );
    }
}
