//! jq programs: compiled once, run under a budget, from and to `serde_json` values.
//!
//! Start at [`evaluator`], which runs jobs of programs on their own threads; [`meter`] holds the
//! budget, [`rewrite`] puts it into each program, [`builtins`] says which names a program may call.

pub(crate) mod builtins;
pub(crate) mod evaluator;
pub(crate) mod json;
pub(crate) mod meter;
pub(crate) mod rewrite;

use jaq_core::{
    Compiler, Ctx, Exn, Vars,
    compile::Undefined,
    load::{
        Arena, File, Lexer, Loader, Parser,
        lex::Token,
        parse::{Def, Term},
        span,
    },
};
use jaq_json::Val;

use self::{
    builtins::{Data, Kind},
    meter::Meter,
};

/// No program's text is longer. Together with the stack of the evaluator's threads this bounds how
/// deep a program can be nested.
pub(crate) const MAX_SOURCE: usize = 8 * 1024;

/// The name under which the program's text is compiled. It is legal jq, so a program that calls it
/// calls itself, which costs what any recursion costs.
const MAIN: &str = "__main__";

/// A compiled jq program. Compiling and running belong on a thread of the [`evaluator`].
pub(crate) struct Program {
    filter: jaq_core::Filter<Kind>,
}

/// How a run of a program ended, if not with an output.
pub(crate) enum Stop {
    /// `error(value)`, or an operation that jq refuses.
    Error(Val),
    /// The budget, which the meter knows more about, is spent.
    Halted,
}

impl Program {
    /// Compiles a program; a mistake is a sentence with its position.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!(
                "a jq program may have at most {MAX_SOURCE} bytes, this has {}",
                source.len()
            ));
        }
        let main = Def { name: MAIN, args: Vec::new(), body: parse(source)? };
        let defs = builtins::defs().map(shortened).chain([main]).map(rewrite::metered);
        let arena = Arena::default();
        let call = File { code: MAIN, path: () };
        let modules = Loader::new(defs).load(&arena, call).map_err(|_| internal())?;
        let compiled = Compiler::default().with_funs(builtins::funs()).compile(modules);
        let filter = compiled.map_err(|errors| {
            let first = errors.into_iter().flat_map(|(_, errors)| errors).next();
            first.map_or_else(internal, |(name, kind)| undefined(source, name, &kind))
        })?;
        Ok(Self { filter })
    }

    /// The outputs for an input, computed one after another as they are asked for.
    pub(crate) fn run<'a>(
        &'a self,
        input: Val,
        meter: &'a Meter,
    ) -> impl Iterator<Item = Result<Val, Stop>> + 'a {
        let data = Data { lut: &self.filter.lut, meter };
        let context = Ctx::<Kind>::new(data, Vars::new([]));
        self.filter.id.run((context, input)).map(|output| output.map_err(stop))
    }
}

/// The definitions live for ever, the program's own only as long as its text.
fn shortened<'s>(def: Def<&'static str>) -> Def<&'s str> {
    def
}

fn stop(exception: Exn<'_, Val>) -> Stop {
    match exception.get_err() {
        Ok(error) => Stop::Error(error.into_val()),
        Err(_) => Stop::Halted,
    }
}

fn parse(source: &str) -> Result<Term<&str>, String> {
    let tokens = Lexer::new(source).lex().map_err(|errors| {
        let first = errors.into_iter().next();
        first.map_or_else(internal, |(expected, at)| expected_at(source, expected.as_str(), at))
    })?;
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        let first = errors.into_iter().next();
        first.map_or_else(internal, |(expected, found)| {
            let at = found.map_or(&source[source.len()..], |Token(text, _)| text);
            expected_at(source, expected.as_str(), at)
        })
    })
}

fn expected_at(source: &str, expected: &str, at: &str) -> String {
    let expected = if expected.is_empty() { "the end" } else { expected };
    let found = if at.is_empty() { "the end".into() } else { format!("`{}`", first_word(at)) };
    format!("expected {expected} but found {found} at {}", position(source, at))
}

fn undefined(source: &str, name: &str, kind: &Undefined) -> String {
    let arity = if let Undefined::Filter(arity) = kind { format!("/{arity}") } else { String::new() };
    format!("undefined {} `{name}{arity}` at {}", kind.as_str(), position(source, name))
}

fn internal() -> String {
    "the jq program does not compile".into()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| !c.is_whitespace()).take(20).collect()
}

/// `line 1, column 5`, both counted from 1 and in characters.
fn position(source: &str, part: &str) -> String {
    let offset = span(source, part).start.min(source.len());
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}")
}
