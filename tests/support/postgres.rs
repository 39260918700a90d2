//! PostgreSQL for tests: a server of our own on a free port, gone when the test process is.
//!
//! A shell keeps it: when its standard input closes, because this process ended in whatever way, it stops the server and
//! removes its folder. `CIRQUE_TEST_POSTGRES` names a server to use instead, except by tests that kill theirs; one with pgvector is
//! named by `CIRQUE_TEST_PGVECTOR`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where Debian keeps its programs, newest first, and the search path.
const FOLDERS: [&str; 6] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/local/bin",
    "/usr/bin",
];

/// Programs within `.tools/pgvector`.
const BUNDLED: &str = "pgserver/pginstall/bin";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Keeps the server until standard input closes. `$1`: programs, `$2`: data, `$3`: port.
const KEEPER: &str = r#"
trap '' INT TERM HUP
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 -o "-p $3 -k $2 -h 127.0.0.1 -c fsync=off -c max_connections=100 -c shared_buffers=64MB" start >"$2/start" 2>&1 \
  && echo ready || { echo failed; cat "$2/start" "$2/log" >&2; }
cat >/dev/null
"$1/pg_ctl" -D "$2/data" -m immediate stop >/dev/null 2>&1
rm -rf "$2"
"#;

/// A server of our own.
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    keepers: Vec<Child>,
}

impl Postgres {
    /// Make and start one; none, with a message, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let Some(programs) = installed() else {
            eprintln!("SKIPPED: PostgreSQL (initdb) is not installed and CIRQUE_TEST_POSTGRES is not set");
            return None;
        };
        Some(Self::made(programs.to_owned(), next_folder()))
    }

    /// The same, with the extension `vector`: Debian's, or what `scripts/setup.sh stores` put into `.tools/pgvector`.
    pub fn with_vector() -> Option<Self> {
        let has = |folder: &&Path| {
            let version = folder.parent().and_then(Path::file_name).unwrap_or_default();
            let shared = Path::new("/usr/share/postgresql").join(version);
            folder.join("initdb").exists() && shared.join("extension/vector.control").exists()
        };
        if let Some(programs) = FOLDERS.iter().map(Path::new).find(has) {
            return Some(Self::made(programs.to_owned(), next_folder()));
        }
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/pgvector");
        if !tools.join(BUNDLED).join("initdb").exists() {
            eprintln!(
                "SKIPPED: no PostgreSQL with pgvector: run `scripts/setup.sh stores` (x86-64 Linux), or install Debian's"
            );
            return None;
        }
        // The account that PostgreSQL runs as may not be let into where we are: it gets its own.
        let folder = next_folder();
        run(as_postgres("mkdir").arg("-m").arg("700").arg(&folder));
        run(Command::new("cp").arg("-r").arg(&tools).arg(folder.join("programs")));
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(&folder));
        }
        Some(Self::made(folder.join("programs").join(BUNDLED), folder))
    }

    fn made(programs: PathBuf, folder: PathBuf) -> Self {
        if !folder.exists() {
            run(as_postgres("mkdir").arg("-m").arg("700").arg(&folder));
        }
        let made = as_postgres(programs.join("initdb").to_str().unwrap())
            .args([
                "-U",
                "cirque",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
            ])
            .arg(folder.join("data"))
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "initdb failed");
        let mut server = Self {
            programs,
            folder,
            port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(),
            keepers: Vec::new(),
        };
        server.up();
        server
    }

    /// Start it (again) and wait until it takes connections.
    pub fn up(&mut self) {
        let keeper = as_postgres("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&self.programs)
            .arg(&self.folder)
            .arg(self.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut keeper = keeper.unwrap();
        let mut answer = String::new();
        BufReader::new(keeper.stdout.take().unwrap())
            .read_line(&mut answer)
            .unwrap();
        self.keepers.push(keeper);
        assert_eq!(answer.trim(), "ready", "PostgreSQL did not start");
    }

    /// End it as a power cut would: the server and all its processes get SIGKILL.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        let pid: i32 = pid.lines().next().unwrap().parse().unwrap();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let all = std::iter::once(pid).chain(children.split_whitespace().filter_map(|child| child.parse().ok()));
        for process in all {
            drop(
                Command::new("kill")
                    .args(["-KILL", &process.to_string()])
                    .stderr(Stdio::null())
                    .status(),
            );
        }
        // Its port is free once it is gone; a leftover of its lock file is dealt with by the next start.
        super::eventually("PostgreSQL is gone", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port))
                .is_err()
                .then_some(())
        });
    }

    /// Address of the database that is always there.
    pub fn url(&self) -> String {
        format!("postgres://cirque@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        for keeper in &mut self.keepers {
            drop(keeper.stdin.take());
        }
        for keeper in &mut self.keepers {
            drop(keeper.wait());
        }
    }
}

fn installed() -> Option<&'static Path> {
    let mut folders = FOLDERS.iter().map(Path::new);
    folders.find(|folder| folder.join("initdb").exists())
}

fn next_folder() -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!("/tmp/cirque-pg-{}-{number}", std::process::id()))
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &str) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid",
            "postgres",
            "--regid",
            "postgres",
            "--clear-groups",
            "--",
            program,
        ])
        .current_dir("/tmp");
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|owner| owner.uid() == 0)
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// Address of a server that all tests of this process share; none where there is no PostgreSQL.
pub fn shared() -> Option<&'static str> {
    static SHARED: OnceLock<Option<(String, Option<Postgres>)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| match std::env::var("CIRQUE_TEST_POSTGRES") {
        Ok(url) => Some((url, None)),
        Err(_) => Postgres::start().map(|server| (server.url(), Some(server))),
    });
    shared.as_ref().map(|(url, _)| url.as_str())
}

/// Address of a server with the extension `vector` that all tests of this process share; none, with a message, where there is none.
pub fn shared_with_vector() -> Option<&'static str> {
    static SHARED: OnceLock<Option<(String, Option<Postgres>)>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| match std::env::var("CIRQUE_TEST_PGVECTOR") {
        Ok(url) => Some((url, None)),
        Err(_) => Postgres::with_vector().map(|server| (server.url(), Some(server))),
    });
    shared.as_ref().map(|(url, _)| url.as_str())
}

/// Make an empty database on a server. Its address.
pub async fn fresh_database(server: &str) -> String {
    use sqlx::Connection as _;
    let name = format!("cirque_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let mut connection = sqlx::PgConnection::connect(server).await.unwrap();
    let make = format!("CREATE DATABASE {name}");
    sqlx::query(sqlx::AssertSqlSafe(make))
        .execute(&mut connection)
        .await
        .unwrap();
    let (base, query) = server.split_once('?').unwrap_or((server, ""));
    let base = base.rsplit_once('/').map_or(base, |(base, _)| base);
    format!("{base}/{name}?{query}")
}
