//! The command line: one file per command.

pub mod check;
pub mod key;
pub mod prices;
pub mod migrate;
pub mod route;
pub mod schema;

use crate::server::{self, ServeOptions};
use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// An LLM gateway: one API in front of every model provider.
#[derive(Debug, Parser)]
#[command(name = "cirque", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve clients.
    Serve {
        /// Configuration file; without it, the embedded quickstart.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Take the listeners over from the running process (zero-downtime upgrade): start this one, then send SIGQUIT to the old one.
        #[arg(long)]
        upgrade: bool,
    },
    /// Report everything that is wrong with configuration files.
    Check {
        /// Files to check.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Look at the file only: not at secrets, certificates and other files it names (for CI).
        #[arg(long)]
        file_only: bool,
    },
    /// About the configuration format.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// About where requests go.
    Route {
        #[command(subcommand)]
        command: RouteCommand,
    },
    /// About what models cost.
    Prices {
        #[command(subcommand)]
        command: prices::PricesCommand,
    },
    /// About virtual keys.
    Key {
        #[command(subcommand)]
        command: key::KeyCommand,
    },
    /// Bring the database of the store up to date: before the first start, and before a new version.
    Migrate(migrate::MigrateArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    /// Say which rules hold for a request and where it would go. Exit status: 0 decided, 1 refused, 2 unreadable.
    Explain(route::ExplainArgs),
}

/// Run the command of this process.
pub fn run() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("cirque: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { config, upgrade } => server::run(&ServeOptions { config, upgrade })?,
        Command::Check { files, file_only } => {
            if !check::run(&files, file_only)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Config {
            command: ConfigCommand::Schema,
        } => schema::run()?,
        Command::Route {
            command: RouteCommand::Explain(args),
        } => return route::run(&args),
        Command::Prices { command } => return prices::run(&command),
        Command::Key { command } => key::run(&command)?,
        Command::Migrate(args) => return migrate::run(&args),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cirque", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}
