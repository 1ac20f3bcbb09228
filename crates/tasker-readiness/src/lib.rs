//! tasker-readiness
