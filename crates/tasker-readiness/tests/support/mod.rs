//! What several tests use.

#![allow(unused_imports, reason = "each test binary uses its part")]

pub(crate) use tasker_testkit::cases::*;
