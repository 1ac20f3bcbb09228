//! A PostgreSQL database without set-up: finds a server's programs, fetches them where none are
//! installed, and runs a private cluster that stops when nobody uses it any more.
//!
//! ```no_run
//! use tasker_localpg::{Wanted, resolve};
//!
//! let database = resolve(None, &Wanted::durable(), &mut |step| eprintln!("{step}"))?;
//! println!("connect to {}", tasker_localpg::redact_url(&database.url));
//! // … work …
//! drop(database); // stops the server, unless another process uses the same cluster
//! # Ok::<(), tasker_localpg::LocalPgError>(())
//! ```
//!
//! [`resolve()`] takes the first of: the URL it is given, `TASKER_DATABASE_URL`, `DATABASE_URL`, a
//! private [`Cluster`] of an installed server ([`Search`]), one of a fetched server ([`Fetch`]).
//! Tests start a throw-away cluster of their own:
//!
//! ```no_run
//! use tasker_localpg::{Cluster, ClusterOptions, Search};
//!
//! let binaries = Search::from_env().find().expect("a PostgreSQL server");
//! let cluster = Cluster::start(&binaries, ClusterOptions::throw_away().max_connections(300))?;
//! println!("{}", cluster.url_for("postgres"));
//! # Ok::<(), tasker_localpg::LocalPgError>(())
//! ```
//!
//! # What holds
//!
//! * A server listens on a Unix socket in a directory of mode 0700 and never on the network.
//! * A server that was started here never outlives its users, even if they are killed: a guardian
//!   process waits at a pipe whose other end dies with them. As long as a durable cluster has
//!   other users it runs on.
//! * Where this is root, the server runs as `postgres` or `nobody`.
//! * A fetched package matches the SHA-256 written here or is refused; a copy in the cache is
//!   complete or absent.
//! * Nothing is printed, and no password appears in an error or in `Debug`.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `TASKER_DATABASE_URL`, `DATABASE_URL` | the database to use; no server is started |
//! | `PG_BINDIR` | the folder of the server programs to use, and no other |
//! | `TASKER_PG_SEARCH=cache` | use the fetched server, as if none were installed |
//! | `TASKER_CACHE_DIR`, `XDG_CACHE_HOME` | where fetched servers are kept (as root `/var/cache/tasker`) |
//! | `TASKER_DATA_DIR`, `XDG_DATA_HOME` | where the durable cluster lives (as root `/var/lib/tasker/pg`) |
//!
//! It works on Linux and macOS: it relies on Unix sockets, `sh` and file locks.

mod account;
mod binaries;
mod cluster;
mod download;
mod environment;
mod error;
mod fetch;
mod guardian;
mod home;
mod locks;
mod options;
mod package;
mod progress;
mod redact;
mod resolve;
mod search;
mod server;
mod status;
mod unpack;
mod uri;

pub use binaries::{OLDEST_MAJOR, Refused, ServerBinaries, Version};
pub use cluster::{Closed, Cluster};
pub use environment::Environment;
pub use error::{FetchError, LocalPgError};
pub use fetch::{Fetch, fetch};
pub use options::{ClusterOptions, Durability};
pub use progress::Progress;
pub use redact::redact_url;
pub use resolve::{Origin, Resolved, Wanted, resolve, resolve_in};
pub use search::Search;
pub use status::{Status, status, stop};
pub use uri::with_database;
