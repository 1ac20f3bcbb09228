//! The configuration of `http`, and the request that it stands for.

use std::{ops::RangeInclusive, time::Duration};

use reqwest::{
    Client, Method, RequestBuilder, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;

use crate::handlers::config::{Fields, Key, Text, scalar};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The keys of the configuration.
pub(crate) const KEYS: &[Key] = &[
    Key::required("url", Text::Template, "\"http://host/\""),
    Key::optional("method", Text::Template, "\"GET\""),
    Key::optional("params", Text::Template, "{}"),
    Key::optional("headers", Text::Template, "{}"),
    Key::optional("body", Text::Template, "null"),
    Key::optional("text", Text::Template, "\"\""),
    Key::optional("timeout", Text::Template, "1"),
    Key::optional("success", Text::Template, "[200]"),
    Key::optional("output", Text::Program, "\".\""),
    Key::optional("idempotency_header", Text::Literal, "false"),
];

/// A parsed configuration.
pub(crate) struct Config {
    pub(super) url: Url,
    pub(super) success: Vec<RangeInclusive<u16>>,
    pub(super) output: Option<String>,
    method: Method,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    timeout: Duration,
    idempotency_header: Option<HeaderName>,
}

impl Config {
    pub(crate) fn parse(fields: &Fields) -> Result<Self, String> {
        let (content_type, body) = body(fields)?;
        Ok(Self {
            url: url(fields)?,
            success: success(fields)?,
            output: fields.text("output")?.map(str::to_owned),
            method: method(fields)?,
            headers: headers(fields, content_type)?,
            body,
            timeout: fields.duration("timeout")?.unwrap_or(DEFAULT_TIMEOUT),
            idempotency_header: idempotency_header(fields)?,
        })
    }

    /// How messages name the request: nothing of it that may be secret.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, shown(&self.url))
    }

    /// The request. A header of the configuration wins over one that the handler would add.
    pub(super) fn request(mut self, client: &Client, key: &str) -> RequestBuilder {
        if let (Some(name), Ok(key)) = (self.idempotency_header, HeaderValue::from_str(key)) {
            self.headers.entry(name).or_insert(key);
        }
        let request = client.request(self.method, self.url).headers(self.headers).timeout(self.timeout);
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }
}

/// The URL without user, password, fragment and the values of its query.
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // These fail for URLs without a host only, and then there is nothing to take out.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    shown.set_query(None);
    let names: Vec<String> = url.query_pairs().map(|(name, _)| format!("{name}=…")).collect();
    let mark = if names.is_empty() { "" } else { "?" };
    format!("{shown}{mark}{}", names.join("&"))
}

fn url(fields: &Fields) -> Result<Url, String> {
    let parsed = Url::parse(fields.needed_text("url")?).ok();
    let absolute = parsed.filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    let mut url = absolute
        .ok_or_else(|| fields.wrong("url", "an absolute address that begins with http:// or https://"))?;
    let params = params(fields)?;
    if !params.is_empty() {
        url.query_pairs_mut().extend_pairs(params);
    }
    Ok(url)
}

fn params(fields: &Fields) -> Result<Vec<(String, String)>, String> {
    let wrong = || fields.wrong("params", "an object of texts, numbers and lists of these");
    let entries = match fields.value("params") {
        None => return Ok(Vec::new()),
        Some(params) => params.as_object().ok_or_else(wrong)?,
    };
    let mut pairs = Vec::new();
    for (name, value) in entries.iter().filter(|(_, v)| !v.is_null()) {
        for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
            pairs.push((name.clone(), scalar(value).ok_or_else(wrong)?));
        }
    }
    Ok(pairs)
}

fn method(fields: &Fields) -> Result<Method, String> {
    let text = fields.text("method")?.unwrap_or("GET");
    Method::from_bytes(text.to_ascii_uppercase().as_bytes())
        .map_err(|_| fields.wrong("method", "the name of an HTTP method"))
}

fn body(fields: &Fields) -> Result<(Option<HeaderValue>, Option<Vec<u8>>), String> {
    match (fields.value("body"), fields.text("text")?) {
        (Some(_), Some(_)) => Err("`http` takes either `body` or `text`, not both".into()),
        (Some(json), None) => {
            Ok((Some(HeaderValue::from_static("application/json")), Some(json.to_string().into_bytes())))
        }
        (None, Some(text)) => {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            Ok((Some(plain), Some(text.as_bytes().to_vec())))
        }
        (None, None) => Ok((None, None)),
    }
}

fn headers(fields: &Fields, content_type: Option<HeaderValue>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(content_type) = content_type {
        headers.insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in fields.texts("headers")? {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(&value).ok());
        let (header, mut value) = parsed
            .ok_or_else(|| format!("`headers` of `http`: `{name}` is no valid name or has no valid value"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

fn idempotency_header(fields: &Fields) -> Result<Option<HeaderName>, String> {
    let wrong = || fields.wrong("idempotency_header", "the name of a header, or false");
    match fields.value("idempotency_header") {
        None | Some(Value::Bool(true)) => Ok(Some(HeaderName::from_static("idempotency-key"))),
        Some(Value::Bool(false)) => Ok(None),
        Some(Value::String(name)) => HeaderName::from_bytes(name.as_bytes()).map(Some).map_err(|_| wrong()),
        Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(wrong()),
    }
}

fn success(fields: &Fields) -> Result<Vec<RangeInclusive<u16>>, String> {
    let wrong = || fields.wrong("success", "a list of statuses such as 201 and ranges such as \"200-204\"");
    match fields.value("success") {
        None => Ok(vec![200..=226]),
        Some(Value::Array(items)) => items.iter().map(|v| range(v).ok_or_else(wrong)).collect(),
        Some(one) => range(one).map(|r| vec![r]).ok_or_else(wrong),
    }
}

fn range(value: &Value) -> Option<RangeInclusive<u16>> {
    let text = scalar(value)?;
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let range = first.trim().parse().ok()?..=last.trim().parse().ok()?;
    (*range.start() >= 100 && *range.end() <= 599 && !range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(config: Value) -> Result<Config, String> {
        Fields::checked("http", KEYS, &config).and_then(|fields| Config::parse(&fields))
    }

    fn mistake(config: Value) -> String {
        parsed(config).err().expect("a mistake")
    }

    #[test]
    fn the_shown_url_holds_no_secret() {
        let config =
            json!({"url": "https://u:p@h:8443/a?token=1#f", "params": {"q": ["x y", 1], "no": null}});
        let config = parsed(config).expect("it is fine");
        assert_eq!(config.name(), "GET https://h:8443/a?token=…&q=…&q=…");
        assert_eq!(config.url.query(), Some("token=1&q=x+y&q=1"));
    }

    #[test]
    fn a_url_is_absolute() {
        for url in ["", "/a", "host/a", "ftp://h/", "mailto:a@b", "http://"] {
            assert!(mistake(json!({"url": url})).starts_with("`url` of `http` must be an absolute"), "{url}");
        }
    }

    #[test]
    fn success_is_a_list_of_statuses_and_ranges() {
        let ranges = |v: Value| parsed(json!({"url": "http://h", "success": v})).map(|c| c.success);
        assert_eq!(ranges(json!([200, "300-304"])), Ok(vec![200..=200, 300..=304]));
        assert_eq!(ranges(json!(404)), Ok(vec![404..=404]));
        for wrong in [json!([99]), json!(["204-200"]), json!(["2xx"]), json!([null]), json!([70_000])] {
            assert!(ranges(wrong).is_err());
        }
    }

    #[test]
    fn mistakes_do_not_repeat_values() {
        let header = mistake(json!({"url": "http://h", "headers": {"X-Key": "se\ncret"}}));
        assert!(header.contains("X-Key") && !header.contains("cret"), "{header}");
        assert!(mistake(json!({"url": "http://h", "body": 1, "text": "a"})).contains("either"));
        assert!(mistake(json!({"url": "http://h", "method": "A B"})).contains("`method`"));
        assert!(
            mistake(json!({"url": "http://h", "idempotency_header": "a b"})).contains("name of a header")
        );
        assert!(mistake(json!({"url": "http://h", "output": ".["})).contains("`output` of `http`"));
        assert!(mistake(json!({"url": "http://h", "retries": 3})).contains("no key `retries`"));
    }

    #[test]
    fn what_a_template_decides_is_not_checked_before() {
        let config = json!({
            "url": "{{ .context.url }}", "method": "{{ .m }}", "timeout": "${T}", "success": ["{{ .s }}"],
            "headers": {"A": "{{ .a }}"}, "params": "{{ .p }}", "body": {"a": "{{ .b }}"},
        });
        assert!(parsed(config).is_ok());
    }
}
