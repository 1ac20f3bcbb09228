//! The log for programs: JSON in one line or several, and logfmt.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use super::{LogFormat, mask::Mask};

/// Writes events in one of the formats for programs.
pub(crate) struct Lines {
    pub(crate) format: LogFormat,
    pub(crate) mask: Mask,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields { mask: &self.mask, found: Map::new() };
        fields.found.insert("timestamp".into(), timestamp.into());
        fields.found.insert("level".into(), event.metadata().level().as_str().into());
        fields.found.insert("target".into(), event.metadata().target().into());
        event.record(&mut fields);
        let line = match self.format {
            LogFormat::Logfmt => logfmt(&fields.found),
            LogFormat::PrettyJson => serde_json::to_string_pretty(&fields.found).map_err(|_| fmt::Error)?,
            LogFormat::Json | LogFormat::Text => {
                serde_json::to_string(&fields.found).map_err(|_| fmt::Error)?
            }
        };
        writeln!(writer, "{line}")
    }
}

struct Fields<'a> {
    mask: &'a Mask,
    found: Map<String, Value>,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let value = self.mask.covers(field.name()).map_or_else(|| value.into(), Value::from);
        self.found.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

/// `key=value` with a space between; a value that could be taken for two is quoted.
fn logfmt(fields: &Map<String, Value>) -> String {
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"=\"\\".contains(c);
    let pairs = fields.iter().map(|(key, value)| match value.as_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => format!("{key}={text}"),
        _ => format!("{key}={value}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn logfmt_quotes_what_could_be_taken_for_two() {
        let fields = json!({ "a": "x", "b": "x y", "c": "k=v", "d": "", "e": 3, "f": "line\nline" });
        let line = super::logfmt(fields.as_object().unwrap());
        assert_eq!(line, r#"a=x b="x y" c="k=v" d="" e=3 f="line\nline""#);
    }
}
