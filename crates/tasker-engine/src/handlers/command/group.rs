//! The process group of a command: what ends with it.

use tokio::process::{Child, Command};

/// Gives the command a process group of its own, so that what it starts can be ended with it.
pub(super) fn separate(command: &mut Command) {
    #[cfg(unix)]
    command.process_group(0);
    #[cfg(not(unix))]
    let _ = command;
}

/// Kills the group of a command when it is dropped, whether the command has ended, is cancelled or its
/// attempt has timed out. Elsewhere than on Unix only the command itself is killed, by `kill_on_drop`.
pub(super) struct Group {
    #[cfg_attr(not(unix), expect(dead_code, reason = "there are no process groups"))]
    leader: Option<u32>,
}

impl Group {
    /// The group of a command that has just been started. Its number is the command's, and stays taken as
    /// long as any process is in the group.
    pub(super) fn of(child: &Child) -> Self {
        Self { leader: child.id() }
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.leader else { return };
        // Sending a signal to a group is an unsafe call, and `kill` of the shell is there wherever
        // commands are. Without it the command alone is killed. No `--`: not every shell knows it here.
        let _ = std::process::Command::new("/bin/sh")
            .args(["-c", "kill -KILL \"-$1\"", "sh"])
            .arg(leader.to_string())
            .env_clear()
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
    }
}
