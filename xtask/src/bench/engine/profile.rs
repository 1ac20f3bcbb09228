//! Where the time goes: a flame graph of the worker's process by `perf`, and the statements of the database by
//! `pg_stat_statements`, over one run of W1.

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use diesel::{
    QueryableByName, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{BigInt, Double, Text},
};

use super::{NOTHING, Options, drive, linear};
use crate::{
    bench::{
        flame::Frame,
        server::{Conditions, Database, Server},
    },
    runtime,
};

/// Samples a second.
const FREQUENCY: &str = "1999";

/// How many statements the table shows.
const SHOWN: usize = 16;

/// Parts of the worker's process, outermost first: a sample counts for the first whose name is found in it.
const PARTS: [(&str, &[&str]); 6] = [
    ("the blocking threads: Diesel, libpq, the kernel's sockets", &["diesel"]),
    ("reading and writing JSON", &["serde_json"]),
    ("attempts: handlers and what surrounds them", &["Runner::attempt", "runner::"]),
    ("the worker's decisions", &["worker::core"]),
    ("the rest of the worker", &["tasker_engine"]),
    ("the runtime", &["tokio"]),
];

/// Runs W1 once for each of the two and writes `worker.svg` and `profile.md` into the folder.
pub(super) fn run(options: &Options, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let server = Server::observed(options.database_url.clone())?;
    let conditions = server.conditions()?;
    let worker = worker(&server, options, folder)?;
    let statements = statements(&server, options)?;
    let report = report(&conditions, options, &worker, &statements);
    fs::write(folder.join("profile.md"), &report)?;
    println!("{report}\nThe flame graph is {}.", folder.join("worker.svg").display());
    Ok(())
}

fn drain(database: &Arc<Database>, options: &Options) -> Result<f64> {
    runtime()?.block_on(drive::bulk(database, &linear(4, NOTHING), options.tasks, options.in_flight))
}

fn worker(server: &Server, options: &Options, folder: &Path) -> Result<Frame> {
    let database = Arc::new(server.database("profiled")?);
    let data = folder.join("perf.data");
    let perf = Recording::start(&data)?;
    let took = drain(&database, options);
    perf.stop()?;
    took?;
    let script = Command::new("perf")
        .args(["script", "--no-inline", "-F", "comm,ip,sym", "-i"])
        .arg(&data)
        .output()?;
    let graph = folded(&String::from_utf8_lossy(&script.stdout));
    let _kept_no_longer = fs::remove_file(&data);
    if graph.samples() == 0 {
        bail!("perf recorded nothing; it needs the right to observe its own user's processes");
    }
    let title = format!(
        "worker and submitter, {} workflows of four steps, {} samples",
        options.tasks,
        graph.samples()
    );
    fs::write(folder.join("worker.svg"), graph.svg(&title))?;
    Ok(graph)
}

/// `perf record` on this process.
struct Recording(Child);

impl Recording {
    fn start(data: &Path) -> Result<Self> {
        let mut perf = Command::new("perf");
        perf.args(["record", "-q", "-F", FREQUENCY, "--call-graph", "dwarf,16384", "-p"]);
        perf.arg(std::process::id().to_string()).arg("-o").arg(data);
        let child = perf.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|e| match e.kind() {
            ErrorKind::NotFound => {
                anyhow::anyhow!("The flame graph needs `perf` on the PATH (Debian: linux-perf)")
            }
            _ => e.into(),
        })?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(Self(child))
    }

    fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-INT", &self.0.id().to_string()]).status()?;
        self.0.wait()?;
        Ok(())
    }
}

/// The samples of `perf script`: a line with the thread's name, then its frames from the innermost, then a blank.
fn folded(script: &str) -> Frame {
    let mut graph = Frame::default();
    for sample in script.split("\n\n") {
        let mut lines = sample.lines().filter(|l| !l.trim().is_empty());
        let Some(thread) = lines.next() else { continue };
        let frames: Vec<&str> =
            lines.filter_map(|l| l.trim().split_once(' ')).map(|(_, name)| plain(name)).collect();
        let kept = frames.iter().rev().copied().filter(|name| *name != "[unknown]");
        graph.add(std::iter::once(thread.trim()).chain(kept));
    }
    graph
}

/// A symbol without the hash that the compiler ends it with.
fn plain(name: &str) -> &str {
    name.rsplit_once("::h").filter(|(_, hash)| hash.len() == 16).map_or(name, |(name, _)| name)
}

#[derive(QueryableByName)]
struct Statement {
    #[diesel(sql_type = BigInt)]
    calls: i64,
    #[diesel(sql_type = Double)]
    ms: f64,
    #[diesel(sql_type = BigInt)]
    wal: i64,
    #[diesel(sql_type = Text)]
    query: String,
}

/// What each statement took, those inside of functions too, the most first. A function's time includes what it
/// runs.
fn statements(server: &Server, options: &Options) -> Result<Vec<Statement>> {
    let database = Arc::new(server.database("counted")?);
    let mut conn = database.connect()?;
    conn.batch_execute("create extension if not exists pg_stat_statements").context(
        "The statements are not counted: the server lacks pg_stat_statements, or does not load it (shared_preload_libraries)",
    )?;
    conn.batch_execute("select pg_stat_statements_reset()")?;
    drain(&database, options)?;
    Ok(sql_query(format!(
        "select calls, total_exec_time as ms, wal_bytes::bigint as wal, regexp_replace(query, '\\s+', ' ', 'g') as query
         from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = current_database()
         order by total_exec_time desc limit {SHOWN}"
    ))
    .load(&mut conn)?)
}

fn report(conditions: &Conditions, options: &Options, worker: &Frame, statements: &[Statement]) -> String {
    let steps = (options.tasks * 4) as f64;
    let mut lines = vec![
        format!("# Where the time goes\n\n{}.\n", conditions.sentence()),
        format!(
            "W1: {} workflows of four steps, {} samples of the process.\n",
            options.tasks,
            worker.samples()
        ),
        "| the worker's process | samples |\n|---|---|".into(),
    ];
    let mut seen: Vec<&str> = vec![];
    let mut before = 0.0;
    for (part, names) in PARTS {
        seen.extend(names);
        let so_far = worker.share(&|frame| seen.iter().any(|n| frame.contains(n)));
        lines.push(format!("| {part} | {:.0} % |", (so_far - before) * 100.0));
        before = so_far;
    }
    lines.push(format!("| all else | {:.0} % |", (1.0 - before) * 100.0));
    lines.push("\n| statement; one inside of a function counts for both | calls | µs a step | log, bytes a step |\n|---|---|---|---|".into());
    for s in statements {
        let text: String = s.query.replace('|', "\\|").chars().take(110).collect();
        let (us, wal) = (s.ms * 1_000.0 / steps, s.wal as f64 / steps);
        lines.push(format!("| `{}` | {} | {us:.1} | {wal:.0} |", text.replace('`', "'"), s.calls));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::{folded, plain};

    #[test]
    fn samples_are_read_from_the_outermost_frame() {
        let script = "tokio-rt\n\t  55d0 inner::h0123456789abcdef\n\t  55d1 outer\n\t ffff [unknown]\n\nmain \n\t 1 start\n\n";
        let graph = folded(script);
        assert_eq!(graph.samples(), 2);
        assert!((graph.share(&|n| n == "inner") - 0.5).abs() < 1e-9);
        assert_eq!(plain("a::b::h0123456789abcdef"), "a::b");
        assert_eq!(plain("a::hat"), "a::hat");
    }
}
