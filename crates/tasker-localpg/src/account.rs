//! The user that server processes run as. PostgreSQL refuses to run as root, so as root it is the
//! system's `postgres`, else `nobody`; anyone else runs it as themselves.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, fchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::error::LocalPgError;

/// How to start a server process: as ourselves, or as another user where we are root.
#[derive(Debug, Clone)]
pub(crate) struct RunAs(Option<Account>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    name: String,
    uid: u32,
    gid: u32,
}

impl RunAs {
    pub(crate) fn current() -> Result<RunAs, LocalPgError> {
        if !RunAs::is_root() {
            return Ok(RunAs(None));
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        match account_in(&passwd) {
            Some(account) => Ok(RunAs(Some(account))),
            None => Err(LocalPgError::NoAccount),
        }
    }

    pub(crate) fn is_root() -> bool {
        static UID: OnceLock<Option<u32>> = OnceLock::new();
        *UID.get_or_init(own_uid) == Some(0)
    }

    /// A command that runs as this user, in `/`, with nothing on its standard input.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).current_dir("/");
        if let RunAs(Some(account)) = self {
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Gives the folder to this user.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            RunAs(Some(account)) => chown(path, Some(account.uid), Some(account.gid)),
            RunAs(None) => Ok(()),
        }
    }

    /// Gives the open file to this user.
    pub(crate) fn own_file(&self, file: &fs::File) -> io::Result<()> {
        match self {
            RunAs(Some(account)) => fchown(file, Some(account.uid), Some(account.gid)),
            RunAs(None) => Ok(()),
        }
    }

    /// Whether this user can reach the folder through all those above it.
    pub(crate) fn can_enter(&self, dir: &Path) -> bool {
        let mut command = self.command(Path::new("/bin/sh"));
        command.args(["-c", "cd \"$1\"", "sh"]).arg(dir).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// The user's name for messages.
    pub(crate) fn name(&self) -> &str {
        match self {
            RunAs(Some(account)) => &account.name,
            RunAs(None) => "this user",
        }
    }
}

/// Makes the folder and those above it. As root, the user that runs the server must be able to
/// enter the new ones, whatever our umask says.
pub(crate) fn create_public(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        create_public(parent)?;
    }
    match fs::create_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Ok(()) if RunAs::is_root() => fs::set_permissions(dir, Permissions::from_mode(0o755)),
        made => made,
    }
}

/// std offers no getuid; Linux tells it through `/proc`, elsewhere `id` does.
fn own_uid() -> Option<u32> {
    if let Ok(own) = fs::metadata("/proc/self") {
        return Some(own.uid());
    }
    let output = Command::new("id").arg("-u").output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn account_in(passwd: &str) -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(|name| passwd.lines().find_map(|line| parse(line, name)))
}

fn parse(line: &str, name: &str) -> Option<Account> {
    let mut fields = line.split(':');
    if fields.next()? != name {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name: name.to_owned(), uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn postgres_comes_before_nobody_wherever_it_stands() {
        let passwd = "nobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/:/bin/sh\n";
        let account = account_in(passwd).unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
    }

    #[test]
    fn a_line_that_cannot_be_used_is_passed_over() {
        let passwd = "postgres:x:0:0::/:\nnobody:*:-2:-2::/:\n";
        assert_eq!(account_in(passwd), None);
        assert_eq!(account_in("postgres\n"), None);
    }
}
