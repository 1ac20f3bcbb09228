//! Marked points before and after every commit of the engine, for tests that end the process there.
//!
//! They exist only with the feature `failpoints`; without it [`around`] is the work and nothing else. What
//! happens at a point is said by whoever installs a [`Hook`]: the library reads no environment.

/// Where the points stand: each is reached as `NAME.before` and `NAME.after`.
pub const POINTS: [&str; 11] = [
    "register",
    "exchange",
    "complete",
    "fail",
    "release",
    "renew",
    "end_worker",
    "submit",
    "prune",
    // A transactional step: the whole of it, and its handler's part.
    "transaction",
    "writes",
];

/// Whether the points are compiled in.
pub const COMPILED: bool = cfg!(feature = "failpoints");

/// Called on the thread that reaches a point, with the point's name and `before` or `after`.
pub type Hook = Box<dyn Fn(&'static str, &'static str) + Send + Sync>;

#[cfg(feature = "failpoints")]
static HOOK: std::sync::OnceLock<Hook> = std::sync::OnceLock::new();

/// Installs the hook of this process, once. Without the feature nothing will ever call it.
pub fn install(hook: Hook) {
    #[cfg(feature = "failpoints")]
    let _the_first_stays = HOOK.set(hook);
    #[cfg(not(feature = "failpoints"))]
    drop(hook);
}

#[cfg(feature = "failpoints")]
pub(crate) fn around<T>(name: &'static str, work: impl FnOnce() -> T) -> T {
    let reach = |when| {
        if let Some(hook) = HOOK.get() {
            hook(name, when);
        }
    };
    reach("before");
    let done = work();
    reach("after");
    done
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn around<T>(_name: &'static str, work: impl FnOnce() -> T) -> T {
    work()
}
