//! Which names a program may call: jq's, without those that look outside of the program.
//!
//! Left out are the environment, the system's clock and time zone, input and output, and `halt`, which
//! would end the process. `now` is the instant of the claim. `$ENV` and module imports do not exist.

use jaq_core::{
    DataT, Exn, Lut, Native, ValXs,
    box_iter::box_once,
    data::HasLut,
    load::parse::Def,
    native::{Fun, bome, v},
};
use jaq_json::{Num, Val};

use super::{
    json,
    meter::Meter,
    rewrite::{PRODUCT, STEP},
};

/// What programs compute with.
pub(crate) struct Kind;

/// What native functions can reach during a run.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) lut: &'a Lut<Kind>,
    pub(crate) meter: &'a Meter,
}

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

impl<'a> HasLut<'a, Kind> for Data<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

/// Definitions in jq that are left out, as they call functions that are.
const UNDEFINED: &[&str] = &["halt", "halt_error", "debug", "stderr"];

/// Functions that are left out, or replaced by [`own`] ones of the same name.
const REPLACED: &[&str] =
    &["env", "now", "halt", "debug_empty", "stderr_empty", "localtime", "strflocaltime", "fromjson", "range"];

pub(crate) fn defs() -> impl Iterator<Item = Def<&'static str>> {
    let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    all.filter(|def| !UNDEFINED.contains(&def.name))
}

pub(crate) fn funs() -> impl Iterator<Item = Fun<Kind>> {
    let all = jaq_core::funs::<Kind>().chain(jaq_std::funs::<Kind>()).chain(jaq_json::funs::<Kind>());
    all.filter(|(name, ..)| !REPLACED.contains(name)).chain(own())
}

fn own() -> [Fun<Kind>; 5] {
    let step = Native::<Kind>::new(|cv| match cv.0.data().meter.step(&cv.1) {
        true => box_once(Ok(cv.1)),
        false => halt(),
    });
    let step = step
        .with_paths(|cv| match cv.0.data().meter.step(&cv.1.0) {
            true => box_once(Ok(cv.1)),
            false => box_once(Err(Exn::halt(1))),
        })
        .with_update(|cv, f| match cv.0.data().meter.step(&cv.1) {
            true => f(cv.1),
            false => halt(),
        });
    [
        (STEP, v(0), step),
        (PRODUCT, v(2), Native::<Kind>::new(product)),
        ("now", v(0), Native::<Kind>::new(|cv| box_once(Ok(Val::from(cv.0.data().meter.now))))),
        ("fromjson", v(0), Native::<Kind>::new(|cv| bome(json::parse(&cv.1)))),
        ("range", v(3), Native::<Kind>::new(range)),
    ]
}

/// The end of a program that no `try` catches.
fn halt<'a>() -> ValXs<'a, Val> {
    box_once(Err(Exn::halt(1)))
}

type Cv<'a> = jaq_core::Cv<'a, Kind>;

/// `*`, which for a string and a number repeats the string; and that without bound.
fn product(mut cv: Cv<'_>) -> ValXs<'_, Val> {
    let (r, l) = (cv.0.pop_var(), cv.0.pop_var());
    let length = match (&l, &r) {
        (Val::TStr(s) | Val::BStr(s), Val::Num(n)) | (Val::Num(n), Val::TStr(s) | Val::BStr(s)) => {
            s.len().saturating_mul(times(n))
        }
        _ => 0,
    };
    if cv.0.data().meter.allows_length(length) { bome(l * r) } else { halt() }
}

fn times(n: &Num) -> usize {
    match n {
        Num::Int(i) => usize::try_from(*i).unwrap_or(0),
        Num::BigInt(_) => usize::MAX,
        // jq refuses to repeat a string by these.
        Num::Float(_) | Num::Dec(_) => 0,
    }
}

/// `range($from; $to; $by)`, where each number is a step of the program.
fn range(mut cv: Cv<'_>) -> ValXs<'_, Val> {
    let (by, to, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
    let meter = cv.0.data().meter;
    let zero = Val::from(0_isize);
    let mut next = Some(from);
    Box::new(std::iter::from_fn(move || {
        let value = next.take()?;
        let inside = if by > zero {
            value < to
        } else if by < zero {
            value > to
        } else {
            value != to
        };
        if !inside {
            return None;
        }
        if !meter.step(&value) {
            return Some(Err(Exn::halt(1)));
        }
        match value.clone() + by.clone() {
            Ok(sum) => next = Some(sum),
            Err(e) => return Some(Err(Exn::from(e))),
        }
        Some(Ok(value))
    }))
}
