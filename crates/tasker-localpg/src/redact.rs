//! Hides passwords in database URLs and in text that quotes them.

const HIDDEN: &str = "***";

/// The same text with each password replaced by `***`.
///
/// It knows the three places where libpq takes one: `postgres://user:secret@host`, the query
/// parameter `?password=secret`, and `password=secret` in a key=value connection string. Text
/// around a URL stays as it is, so a whole error message can be passed through.
///
/// ```
/// use tasker_localpg::redact_url;
/// assert_eq!(redact_url("postgres://ann:pw@db/app"), "postgres://ann:***@db/app");
/// assert_eq!(redact_url("host=db password='p w' user=ann"), "host=db password=*** user=ann");
/// ```
pub fn redact_url(text: &str) -> String {
    redact_parameters(&redact_authorities(text))
}

/// `scheme://user:secret@` becomes `scheme://user:***@`.
fn redact_authorities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        rest = match credentials(after) {
            Some((user, end)) => {
                out.push_str(user);
                out.push(':');
                out.push_str(HIDDEN);
                &after[end..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

/// The user of `user:secret@…` and where the `@` stands.
///
/// A password may hold an unescaped `/`, `?`, `@` or space: libpq would not take it, but what a
/// person mistyped must not stand in a log either. So the last `@` of the word counts, and where
/// the word has none and no port explains its colon, the last one of the line.
fn credentials(text: &str) -> Option<(&str, usize)> {
    let line = text.lines().next()?.split("://").next()?;
    let word = line.split([' ', '\t', '"']).next()?;
    let (user, after) = word.split_once(':')?;
    let port = after.split(['/', '?', ',']).next()?;
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
    let end = match word.rfind('@') {
        None if !is_port => line.rfind('@')?,
        found => found?,
    };
    (user.len() < end).then_some((user, end))
}

/// `password=secret` becomes `password=***`, in any letter case, quoted or not.
fn redact_parameters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find_key(rest) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str(HIDDEN);
        rest = &after[value_len(after)..];
    }
    out.push_str(rest);
    out
}

/// Where the value after the next `password =` starts.
fn find_key(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(found) = lower[from..].find("password") {
        let end = from + found + "password".len();
        let after = lower[end..].trim_start();
        if let Some(value) = after.strip_prefix('=') {
            return Some(text.len() - value.trim_start_matches(' ').len());
        }
        from = end;
    }
    None
}

/// The length of a value: to the closing quote, or to the first character that ends a bare one.
fn value_len(text: &str) -> usize {
    let quoted = text.starts_with('\'');
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(usize::from(quoted)) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\'' if quoted => return at + 1,
            '&' | '#' if !quoted => return at,
            _ if !quoted && c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}
