//! Who uses a durable cluster, counted by the kernel.
//!
//! Each user holds a shared lock on `users.lock`; whoever can take it exclusively is the last. A
//! lock on `start.lock` goes around each arrival and each departure, so that nobody attaches to a
//! server that is about to be stopped. Both vanish with their holders however they die, so there is
//! nothing to prune. The guardian holds and takes the same locks, as `flock(2)`.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;

use crate::account::RunAs;
use crate::error::LocalPgError;
use crate::home::Home;

/// The exclusive lock around a change of who uses the server; released when dropped.
#[derive(Debug)]
pub(crate) struct Gate(File);

impl Gate {
    /// Waits until nobody else is arriving or leaving.
    pub(crate) fn enter(home: &Home, run_as: &RunAs) -> Result<Gate, LocalPgError> {
        let file = open(home, "start.lock", run_as)?;
        file.lock().map_err(|e| LocalPgError::io("lock", home.dir(), e))?;
        Ok(Gate(file))
    }

    /// The locked file for a child: the gate stays shut until both have closed it.
    pub(crate) fn for_child(&self) -> io::Result<Stdio> {
        self.0.try_clone().map(Stdio::from)
    }
}

/// One user's share of a server.
#[derive(Debug)]
pub(crate) struct Share(File);

impl Share {
    /// Counts as a user from now on. Only to be called inside the gate.
    pub(crate) fn take(home: &Home, run_as: &RunAs, _: &Gate) -> Result<Share, LocalPgError> {
        let file = open(home, "users.lock", run_as)?;
        file.lock_shared().map_err(|e| LocalPgError::io("lock", home.dir(), e))?;
        Ok(Share(file))
    }

    /// The locked file for a child: the share is taken until both have closed it.
    ///
    /// The guardian decides by converting this very lock. With a share of its owner's alone it could
    /// look too soon: the socket of a dying process may close before its locks are released.
    pub(crate) fn for_child(&self) -> io::Result<Stdio> {
        self.0.try_clone().map(Stdio::from)
    }

    /// Gives the share back; true if it was the last. Only to be called inside the gate.
    ///
    /// The unlock is explicit because closing would not do: the guardian has a copy of the descriptor,
    /// and for a moment so has any child that another thread has just forked.
    pub(crate) fn give_back(self, _: &Gate) -> bool {
        self.0.unlock().is_ok() && self.0.try_lock().is_ok()
    }
}

/// Opens the lock file, made on first use for the user that the guardian runs as. Its owner is set
/// through the new file itself: a path could have become a link to something else.
fn open(home: &Home, name: &str, run_as: &RunAs) -> Result<File, LocalPgError> {
    let path = home.dir().join(name);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => File::open(&path),
        made => made.and_then(|file| run_as.own_file(&file).map(|()| file)),
    }
    .map_err(|e| LocalPgError::io("open", &path, e))
}
