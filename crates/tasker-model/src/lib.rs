//! tasker-model
