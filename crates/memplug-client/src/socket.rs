//! Where machines are found.
//!
//! The command and every program look in the same places, in the same order.

use std::env;
use std::path::PathBuf;

/// `$MEMPLUG_SOCKET`; else `memplug.sock` in `$XDG_RUNTIME_DIR`; else `/run/memplug.sock`.
pub fn default_socket() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    match (set("MEMPLUG_SOCKET"), set("XDG_RUNTIME_DIR")) {
        (Some(path), _) => path.into(),
        (None, Some(directory)) => PathBuf::from(directory).join("memplug.sock"),
        (None, None) => "/run/memplug.sock".into(),
    }
}
