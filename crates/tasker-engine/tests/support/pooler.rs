//! A pooler of transactions (PgBouncer) between a test and its server. It has fewer sessions than its clients
//! have connections, so that a client meets a different session at nearly every transaction.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixStream,
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use tasker_testkit::TestDatabase;

use super::{texts, until};

/// The program, where it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|program| program.is_file())
}

/// Whether it is installed; where it is not, says that a test is skipped.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn installed() -> bool {
    let found = program().is_some();
    if !found {
        println!("skipped: PgBouncer is not installed (`apt-get install pgbouncer`)");
    }
    found
}

/// The same database by way of a pooler, which runs as long as this process.
pub(crate) fn url(database: &TestDatabase) -> String {
    static POOLER: OnceLock<Pooler> = OnceLock::new();
    let pooler = POOLER.get_or_init(|| Pooler::start(database));
    format!("postgres:///{}?host={}&port=6432&user=any", database.name(), pooler.dir.display())
}

struct Pooler {
    dir: PathBuf,
    _process: Child,
}

impl Pooler {
    fn start(database: &TestDatabase) -> Self {
        let dir = std::env::temp_dir().join(format!("tasker-pooler-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let file = dir.join("pgbouncer.ini");
        fs::write(&file, settings(database, &dir)).unwrap();
        let mut command = Command::new(program().expect("PgBouncer is installed"));
        if let Some(user) = user(&dir) {
            command.args(["-u", user]);
        }
        // It ends with its standard input, that is with this process, however that ends.
        let mut shell = Command::new("sh");
        shell.args(["-c", r#""$@" & read -r _; kill $!"#, "sh"]).arg(command.get_program());
        shell.args(command.get_args()).arg("-q").arg(&file);
        let process =
            shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The socket's file is there before it listens.
        until("the pooler to listen", || UnixStream::connect(dir.join(".s.PGSQL.6432")).is_ok());
        Self { dir, _process: process }
    }
}

/// It refuses to run as root.
fn user(dir: &std::path::Path) -> Option<&'static str> {
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = |name: &str| {
        let line = accounts.lines().find(|l| l.split(':').next() == Some(name))?;
        let id = |n| line.split(':').nth(n)?.parse().ok();
        Some((id(2)?, id(3)?))
    };
    let user = if ids("postgres").is_some() { "postgres" } else { "nobody" };
    let (uid, gid) = ids(user)?;
    chown(dir, Some(uid), Some(gid)).ok().map(|()| user)
}

fn settings(database: &TestDatabase, dir: &std::path::Path) -> String {
    let conn = &mut database.connection();
    let one = |conn: &mut _, sql: &str| texts(conn, sql).remove(0);
    let host =
        one(conn, "select coalesce(host(inet_server_addr()), current_setting('unix_socket_directories'))");
    let host = host.trim_matches('"').to_owned();
    let (port, user) = (one(conn, "select current_setting('port')"), one(conn, "select current_user::text"));
    let dir = dir.display();
    format!(
        "[databases]\n* = host={host} port={port} user={user}\n[pgbouncer]\nunix_socket_dir = {dir}\nlisten_port = 6432\n\
         auth_type = any\npool_mode = transaction\ndefault_pool_size = 3\nmax_client_conn = 300\n\
         query_wait_timeout = 10\nclient_login_timeout = 10\nserver_login_retry = 1\n"
    )
}
