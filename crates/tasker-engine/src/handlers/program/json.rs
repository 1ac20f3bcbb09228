//! Between JSON values and the values that programs compute with.

use jaq_core::ValR;
use jaq_json::{Error, Num, Val};
use serde::Deserialize;
use serde_json::{Map, Number, Value};

/// What one job may give back, counted in bytes of text and a few for every value.
pub(crate) const MAX_RESULT: usize = 16 * 1024 * 1024;
/// PostgreSQL, `serde_json` and people all stop reading near here.
const MAX_DEPTH: usize = 120;
/// Up to here every integer has its own float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A JSON value for a program. Integers stay integers, whatever their size.
pub(crate) fn from_json(value: &Value) -> Val {
    // A JSON value always has a counterpart, so the error has no way to happen.
    Val::deserialize(value).unwrap_or_default()
}

/// `fromjson`. The parser of `serde_json` stops at a depth of 128 where that of jaq would overflow the
/// stack, and the text may come from anywhere.
pub(crate) fn parse(text: &Val) -> ValR<Val> {
    match text {
        Val::TStr(s) | Val::BStr(s) => serde_json::from_slice::<Value>(s)
            .map(|value| from_json(&value))
            .map_err(|e| Error::str(format_args!("cannot parse the text as JSON: {e}"))),
        Val::Null | Val::Bool(_) | Val::Num(_) | Val::Arr(_) | Val::Obj(_) => {
            Err(Error::typ(text.clone(), "string"))
        }
    }
}

/// Turns outputs into JSON until `left` bytes are used up.
pub(crate) struct Writer {
    left: usize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { left: MAX_RESULT }
    }

    /// The JSON value. Floats without a fraction become integers, as jq prints them; what is not a
    /// finite number becomes null, as JSON has no word for it.
    pub(crate) fn value(&mut self, value: &Val) -> Result<Value, String> {
        self.at(value, 0)
    }

    fn at(&mut self, value: &Val, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("gave a value that is nested more than {MAX_DEPTH} deep"));
        }
        self.spend(8)?;
        Ok(match value {
            Val::Null => Value::Null,
            Val::Bool(b) => Value::Bool(*b),
            Val::Num(n) => number(n),
            Val::TStr(s) => Value::String(self.text(s)?),
            Val::BStr(_) => return Err("gave bytes, which are not JSON".into()),
            Val::Arr(a) => Value::Array(a.iter().map(|v| self.at(v, depth + 1)).collect::<Result<_, _>>()?),
            Val::Obj(o) => {
                let mut object = Map::new();
                for (key, value) in o.iter() {
                    object.insert(self.key(key)?, self.at(value, depth + 1)?);
                }
                Value::Object(object)
            }
        })
    }

    fn key(&mut self, key: &Val) -> Result<String, String> {
        match key {
            Val::TStr(s) => self.text(s),
            Val::Null | Val::Bool(_) | Val::Num(_) | Val::BStr(_) | Val::Arr(_) | Val::Obj(_) => {
                Err("gave an object with a key that is not a string".into())
            }
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Result<String, String> {
        self.spend(bytes.len())?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), String> {
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| format!("gave more than {MAX_RESULT} bytes of output"))?;
        Ok(())
    }
}

/// A text as it is, any other value as JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(n: &Num) -> Value {
    match n {
        Num::Int(i) => Value::from(*i as i64),
        // Above i64 there is one more exact home, u64; beyond it a float is the best that JSON tools share.
        Num::BigInt(i) => match u64::try_from(&**i) {
            Ok(i) => Value::from(i),
            Err(_) => float(i.to_string().parse().unwrap_or(f64::NAN)),
        },
        Num::Float(f) => float(*f),
        Num::Dec(text) => float(text.parse().unwrap_or(f64::NAN)),
    }
}

fn float(f: f64) -> Value {
    if f.fract() == 0.0 && f.abs() <= EXACT {
        return Value::from(f as i64);
    }
    Number::from_f64(f).map_or(Value::Null, Value::Number)
}
