//! A pool for one role. Connections are not tested at each checkout: one that saw an error is tested when it
//! comes back, and when it turns out to be lost or read only, all others are tested before their next use.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use diesel::{
    PgConnection, RunQueryDsl,
    r2d2::{self, ManageConnection, PooledConnection, R2D2Connection},
};

use crate::connect::{Target, is_writable};

/// The pool, which is made with the first connection asked for.
pub(crate) struct Pool {
    manager: Manager,
    size: u32,
    patience: Duration,
    made: OnceLock<r2d2::Pool<Manager>>,
}

impl Pool {
    pub(crate) fn new(target: Target, writing: bool, size: u32, patience: Duration) -> Self {
        let manager = Manager { target, writing, troubles: Arc::default() };
        Self { manager, size, patience, made: OnceLock::new() }
    }

    fn made(&self) -> &r2d2::Pool<Manager> {
        self.made.get_or_init(|| {
            r2d2::Pool::builder()
                .max_size(self.size)
                .min_idle(Some(0))
                .test_on_check_out(false)
                .connection_timeout(self.patience)
                .error_handler(Box::new(r2d2::NopErrorHandler))
                .build_unchecked(self.manager.clone())
        })
    }

    /// A connection that has not been found wanting since the last trouble, or why there is none. Those that
    /// are found wanting are thrown away, so this ends after one round through the pool.
    pub(crate) fn checkout(&self) -> Result<Lent, String> {
        loop {
            let troubles = self.manager.troubles.load(Ordering::Relaxed);
            let mut conn = self.made().get().map_err(|e| {
                let patience = self.patience;
                self.manager.target.url.without_password(&format!("no connection within {patience:?}: {e}"))
            })?;
            if conn.tested_after == troubles || conn.is_usable(self.manager.writing) {
                conn.tested_after = troubles;
                conn.suspect = true;
                return Ok(conn);
            }
            conn.unusable = true;
        }
    }

    pub(crate) fn target(&self) -> &Target {
        &self.manager.target
    }
}

/// A connection of the pool. It is tested when it comes back unless `suspect` is taken away.
pub(crate) type Lent = PooledConnection<Manager>;

#[derive(Debug, Clone)]
pub(crate) struct Manager {
    target: Target,
    writing: bool,
    troubles: Arc<AtomicU64>,
}

pub(crate) struct Tracked {
    pub(crate) inner: PgConnection,
    pub(crate) suspect: bool,
    unusable: bool,
    /// The number of troubles at the time of its last test.
    tested_after: u64,
}

impl Tracked {
    /// Whether it is alive and, for a writing role, takes writes.
    fn is_usable(&mut self, writing: bool) -> bool {
        is_writable(&mut self.inner).is_ok_and(|writable| writable || !writing)
    }
}

/// Why the pool has no connection to give, a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotMade(String);

impl ManageConnection for Manager {
    type Connection = Tracked;
    type Error = NotMade;

    fn connect(&self) -> Result<Tracked, NotMade> {
        let tested_after = self.troubles.load(Ordering::Relaxed);
        let inner = self.target.connect().map_err(NotMade)?;
        Ok(Tracked { inner, suspect: false, unusable: false, tested_after })
    }

    fn is_valid(&self, conn: &mut Tracked) -> Result<(), NotMade> {
        let asked = diesel::sql_query("select 1").execute(&mut conn.inner);
        asked.map(drop).map_err(|e| NotMade(e.to_string()))
    }

    fn has_broken(&self, conn: &mut Tracked) -> bool {
        if conn.unusable || std::thread::panicking() {
            return true;
        }
        let broken = conn.inner.is_broken() || (conn.suspect && !conn.is_usable(self.writing));
        if broken {
            self.troubles.fetch_add(1, Ordering::Relaxed);
        }
        broken
    }
}
