//! Puts the meter into a program: jq itself has no bound on loops, recursion or the size of values.
//!
//! Every way to loop passes through the right side of a pipe, the body of a `reduce` or `foreach`, or
//! the body of a definition. Each of these gets a call of [`STEP`] in front, which passes its input on
//! and ends the program when the budget is spent. The shape of the program stays, so that paths,
//! updates and tail calls keep working. `*` becomes a call of [`PRODUCT`], because it repeats strings.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    ops::Math,
    path::{Part, Path},
};

/// Passes its input on and counts a step. No program can write the name.
pub(crate) const STEP: &str = "!step";
/// Multiplies its two arguments. No program can write the name.
pub(crate) const PRODUCT: &str = "!product";
/// A variable that no program can write.
const FACTOR: &str = "$!factor";

type T<'s> = Term<&'s str>;

/// The definition with the meter in it.
pub(crate) fn metered(def: Def<&str>) -> Def<&str> {
    Def { name: def.name, args: def.args, body: stepped(term(def.body)) }
}

fn stepped(body: T<'_>) -> T<'_> {
    let step = Term::Call(STEP, Vec::new());
    Term::BinOp(Box::new(step), BinaryOp::Pipe(None), Box::new(body))
}

fn boxed<'s>(inner: T<'s>) -> Box<T<'s>> {
    Box::new(term(inner))
}

fn all(terms: Vec<T<'_>>) -> Vec<T<'_>> {
    terms.into_iter().map(term).collect()
}

fn term(outer: T<'_>) -> T<'_> {
    match outer {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => outer,
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(part).collect()),
        Term::Arr(inner) => Term::Arr(inner.map(|t| boxed(*t))),
        Term::Obj(entries) => Term::Obj(entries.into_iter().map(|(k, v)| (term(k), v.map(term))).collect()),
        Term::Neg(inner) => Term::Neg(boxed(*inner)),
        Term::BinOp(l, op, r) => operation(term(*l), op, term(*r)),
        Term::Label(name, inner) => Term::Label(name, boxed(*inner)),
        Term::Fold(name, source, bound, body) => Term::Fold(name, boxed(*source), pattern(bound), fold(body)),
        Term::TryCatch(l, r) => Term::TryCatch(boxed(*l), r.map(|t| boxed(*t))),
        Term::IfThenElse(arms, last) => Term::IfThenElse(
            arms.into_iter().map(|(l, r)| (term(l), term(r))).collect(),
            last.map(|t| boxed(*t)),
        ),
        Term::Def(defs, rest) => Term::Def(defs.into_iter().map(metered).collect(), boxed(*rest)),
        Term::Call(name, args) => Term::Call(name, all(args)),
        Term::Path(from, steps) => Term::Path(boxed(*from), path(steps)),
    }
}

fn operation<'s>(l: T<'s>, op: BinaryOp<&'s str>, r: T<'s>) -> T<'s> {
    match op {
        BinaryOp::Pipe(bound) => {
            Term::BinOp(Box::new(l), BinaryOp::Pipe(bound.map(pattern)), Box::new(stepped(r)))
        }
        BinaryOp::Math(Math::Mul) => Term::Call(PRODUCT, vec![l, r]),
        // `l *= r` is by definition `r as $x | l |= . * $x`.
        BinaryOp::UpdateMath(Math::Mul) => {
            let product = Term::Call(PRODUCT, vec![Term::Id, Term::Var(FACTOR)]);
            let update = Term::BinOp(Box::new(l), BinaryOp::Update, Box::new(product));
            let bind = BinaryOp::Pipe(Some(Pattern::Var(FACTOR)));
            Term::BinOp(Box::new(r), bind, Box::new(update))
        }
        BinaryOp::Comma
        | BinaryOp::Alt
        | BinaryOp::Or
        | BinaryOp::And
        | BinaryOp::Math(_)
        | BinaryOp::Cmp(_)
        | BinaryOp::Assign
        | BinaryOp::Update
        | BinaryOp::UpdateMath(_)
        | BinaryOp::UpdateAlt => Term::BinOp(Box::new(l), op, Box::new(r)),
    }
}

/// The first term of a fold is where it starts and runs once, the others run for every element.
fn fold(body: Vec<T<'_>>) -> Vec<T<'_>> {
    let metered = |(i, t)| if i == 0 { term(t) } else { stepped(term(t)) };
    body.into_iter().enumerate().map(metered).collect()
}

fn part<'s>(part: StrPart<&'s str, T<'s>>) -> StrPart<&'s str, T<'s>> {
    match part {
        StrPart::Term(inner) => StrPart::Term(term(inner)),
        StrPart::Str(_) | StrPart::Char(_) => part,
    }
}

fn pattern(bound: Pattern<&str>) -> Pattern<&str> {
    match bound {
        Pattern::Var(_) => bound,
        Pattern::Arr(inner) => Pattern::Arr(inner.into_iter().map(pattern).collect()),
        Pattern::Obj(entries) => {
            Pattern::Obj(entries.into_iter().map(|(k, v)| (term(k), pattern(v))).collect())
        }
    }
}

fn path<'s>(steps: Path<T<'s>>) -> Path<T<'s>> {
    let step = |part| match part {
        Part::Index(i) => Part::Index(term(i)),
        Part::Range(from, to) => Part::Range(from.map(term), to.map(term)),
    };
    Path(steps.0.into_iter().map(|(part, optional)| (step(part), optional)).collect())
}
