//! tasker-state-machine
