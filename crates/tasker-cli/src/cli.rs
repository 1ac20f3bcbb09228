//! The command line: which commands there are and the flags that all of them take.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        check, completions, config, database, explain, graph, migrate, pg, prune, queue, run, step, submit,
        task, token, worker,
    },
    database::DatabaseArgs,
    settings::ConfigArgs,
};

/// Durable workflows on PostgreSQL: run, submit, watch and repair them
#[derive(Debug, Parser)]
#[command(name = "tasker", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) database: DatabaseArgs,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Write JSON to stdout, one value a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
    /// Say what caused an error, too
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Install, remove or check the schema
    Migrate(migrate::Args),
    /// Submit tasks of a YAML workflow and run them to their end
    Run(run::Args),
    /// Submit tasks of a YAML workflow
    Submit(submit::Args),
    /// Run steps of built-in handlers until told to stop
    Worker(worker::Args),
    /// List, show and operate on tasks: cancel, retry, resolve, pause and more
    #[command(subcommand)]
    Task(task::Action),
    /// Operate on one step: cancel, retry, reset, resolve, skip, limit and more
    #[command(subcommand)]
    Step(step::Action),
    /// List, pause and resume queues and namespaces
    #[command(subcommand)]
    Queue(queue::Action),
    /// Issue, list and take back API tokens
    #[command(subcommand)]
    Token(token::Action),
    /// Say why steps are not running, since when, and what would change it
    Explain(explain::Args),
    /// Delete finished tasks that are older than a policy, batch by batch
    Prune(prune::Args),
    /// Check workflows without running them, in every environment that they have
    Check(check::Args),
    /// Draw a workflow
    Graph(graph::Args),
    /// Write a handler, subscriber, authenticator or coordinator for a program of your own
    #[command(subcommand)]
    Generate(tasker_generate::Generate),
    /// List, check and migrate the databases of the configuration
    #[command(subcommand)]
    Database(database::Action),
    /// Look after the private PostgreSQL cluster
    #[command(subcommand)]
    Pg(pg::Action),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(config::Action),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;

    /// Every `tasker …` of the pages is a command line that this program takes.
    #[test]
    fn the_documentation_shows_commands_that_there_are() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let names = ["tasker", "cargo run -p tasker-cli --"];
        let shown = tasker_testkit::docs::commands(&root, &names);
        assert!(shown.len() > 20, "only {} commands were found", shown.len());
        let refused = shown.iter().filter_map(|s| {
            let words = ["tasker"].into_iter().chain(s.words.iter().map(String::as_str));
            let error = Cli::try_parse_from(words).err()?;
            // A page that names a group of verbs, such as `tasker task`, means all of them.
            let group = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                || error.kind() == ErrorKind::MissingRequiredArgument && verb(&s.words);
            (error.use_stderr() && !group).then(|| format!("{}:{}: {:?}: {error}", s.page, s.line, s.words))
        });
        assert_eq!(refused.collect::<Vec<_>>(), [""; 0]);
    }

    /// Whether the words are a verb alone, as prose names it.
    fn verb(words: &[String]) -> bool {
        let found = words.iter().try_fold(Cli::command(), |at, word| at.find_subcommand(word).cloned());
        found.is_some_and(|verb| !verb.has_subcommands())
    }

    /// Whatever stands on the command line, it is taken or refused; it never ends in a panic.
    #[test]
    fn no_command_line_panics() {
        const WORDS: [&str; 40] = [
            "migrate",
            "run",
            "submit",
            "worker",
            "task",
            "step",
            "explain",
            "prune",
            "graph",
            "pg",
            "list",
            "show",
            "cancel",
            "retry",
            "resolve",
            "--at",
            "--json",
            "--older-than",
            "--batch",
            "--lease",
            "--max-in-flight",
            "--state",
            "--limit",
            "--input",
            "--result",
            "--",
            "-",
            "-v",
            "--actor",
            "",
            "1",
            "-1",
            "9223372036854775808",
            "1e308d",
            "NaNs",
            "infd",
            "30d",
            "2026-02-30T25:61:61Z",
            "\u{202e}\u{0}",
            "é\u{301}µs",
        ];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let words: Vec<&str> = (0..rng.usize(..7)).map(|_| WORDS[rng.usize(..WORDS.len())]).collect();
            if let Err(error) = Cli::try_parse_from(["tasker"].iter().chain(&words)) {
                assert!(!error.to_string().is_empty(), "{words:?}");
            }
        }
    }
}
