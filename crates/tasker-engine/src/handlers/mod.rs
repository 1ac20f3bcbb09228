//! The declarative handlers: `http`, `jq`, `sql`, `command` and `sleep`.
