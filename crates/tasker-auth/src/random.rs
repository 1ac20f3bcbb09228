//! Random bytes of the operating system, as text.

/// `N` random bytes in hexadecimal.
///
/// # Panics
/// Where the operating system has no randomness to give; nothing secret can be made then.
pub(crate) fn hex<const N: usize>() -> String {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    to_hex(&bytes)
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _writing_to_a_string_succeeds = write!(text, "{byte:02x}");
        text
    })
}
