//! The command line: one file per command.

mod audit;
mod budget;
mod cache;
pub mod check;
mod client;
mod download;
pub mod key;
pub mod migrate;
mod models;
pub mod prices;
pub mod route;
pub mod schema;
mod secret;
mod tenants;
mod usage;

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
    /// About the files of the built-in sentence encoder.
    Models {
        #[command(subcommand)]
        command: models::ModelsCommand,
    },
    /// Bring the database of the store up to date: before the first start, and before a new version.
    Migrate(migrate::MigrateArgs),
    /// About virtual keys: of a running gateway, or made for a file (`new`, `hash`).
    #[command(subcommand)]
    Key(KeyCommand),
    /// About teams of a running gateway.
    #[command(subcommand)]
    Team(tenants::TenantCommand),
    /// About projects of a running gateway.
    #[command(subcommand)]
    Project(tenants::TenantCommand),
    /// About users of a running gateway.
    #[command(subcommand)]
    User(tenants::TenantCommand),
    /// About organisations of a running gateway.
    #[command(subcommand)]
    Organisation(tenants::TenantCommand),
    /// About credentials of providers that a gateway's store keeps sealed (`store:NAME`).
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// How much of the budgets of a running gateway is spent.
    #[command(subcommand)]
    Budget(budget::StandingCommand),
    /// How full the limits of a running gateway are.
    #[command(subcommand)]
    Limit(budget::StandingCommand),
    /// What was used and what it cost.
    Usage(usage::UsageArgs),
    /// What a running gateway keeps of answers, and what that saved.
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    /// Who changed what.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

// Parsed once; what a variant takes does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Subcommand)]
enum KeyCommand {
    #[command(flatten)]
    Offline(key::KeyCommand),
    #[command(flatten)]
    Running(tenants::KeyCommand),
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
        Command::Models { command } => return models::run(&command),
        Command::Migrate(args) => return migrate::run(&args),
        Command::Key(KeyCommand::Offline(command)) => key::run(&command)?,
        Command::Key(KeyCommand::Running(command)) => return tenants::key(&command),
        Command::Team(command) => return tenants::tenant("teams", &command),
        Command::Project(command) => return tenants::tenant("projects", &command),
        Command::User(command) => return tenants::tenant("users", &command),
        Command::Organisation(command) => return tenants::tenant("organisations", &command),
        Command::Secret(command) => return secret::run(&command),
        Command::Budget(command) => return budget::budgets(&command),
        Command::Limit(command) => return budget::limits(&command),
        Command::Usage(args) => return usage::usage(&args),
        Command::Cache(command) => return cache::cache(&command),
        Command::Audit(command) => return audit::audit(&command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "cirque", &mut std::io::stdout());
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests;
