//! tasker-testkit
