//! The commands that speak to a running gateway, against one that listens; and what clap makes of all of them.

use super::*;
use std::path::Path;

/// Run a command against an admin listener.
fn run(address: std::net::SocketAddr, token: &Path, command: &str) -> ExitCode {
    let url = format!("http://{address}");
    let reference = format!("file:{}", token.display());
    let mut arguments = vec!["cirque"];
    arguments.extend(command.split_whitespace());
    arguments.extend(["--admin", &url, "--token", &reference]);
    execute(Cli::parse_from(arguments).command).unwrap()
}

#[test]
fn commands_do_what_they_say() {
    let (address, token) = crate::admin::serving();
    let folder = std::env::temp_dir().join(format!("cirque-cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let secret = folder.join("token");
    std::fs::write(&secret, token).unwrap();
    let csv = folder.join("usage.csv");
    let notes = folder.join("audit.ndjson");
    let (refused, done) = (ExitCode::from(1), ExitCode::SUCCESS);
    for (command, expected) in [
        (
            "team create ops --organisation search-org --budget 250/month --limit requests=5/1m",
            done,
        ),
        ("team create ops", refused),
        ("project create deploy --team ops --description x", done),
        ("user create bob@example.com --team ops", done),
        (
            "key create bot --team ops --project deploy --user bob@example.com --tag a --metadata a=b",
            done,
        ),
        ("key list --team ops --json", done),
        ("key list --state live", done),
        ("key show bot", done),
        ("key show nobody", refused),
        ("key update bot --tag b --unset metadata", done),
        ("key update bot --revision 1 --tag c", refused),
        ("key update bot --expires tomorrow", ExitCode::from(2)),
        ("key rotate bot --overlap 1h", done),
        ("key disable bot", done),
        ("key enable bot", done),
        ("key revoke bot", done),
        ("team disable ops", done),
        ("team enable ops", done),
        ("team delete ops", refused),
        ("team delete ops --force", done),
        ("key delete bot", done),
        ("organisation list --prefix search", done),
        ("budget list --team search", done),
        ("limit list --json", done),
        (
            "usage --by team,model --bucket day --from 2026-01-01 --to 2027-01-01",
            done,
        ),
        ("usage --by nothing", ExitCode::from(2)),
        ("usage recompute --from 2026-01-01 --to 2027-01-01 --dry-run", done),
        ("audit list --limit 5", done),
        ("audit verify", done),
        ("cache stats --by team", done),
        ("cache stats --json", done),
        ("cache list --team search --limit 1", done),
        ("cache show 01010101010101010101010101010101", done),
        ("cache show 0101", refused),
        (
            "cache wrong 01010101010101010101010101010101.02020202020202020202020202020202",
            done,
        ),
        ("cache wrong xyz", ExitCode::from(2)),
        (
            "cache delete 01010101010101010101010101010101 03030303030303030303030303030303",
            done,
        ),
        ("cache delete 01010101010101010101010101010101", refused),
        ("cache delete", ExitCode::from(2)),
        ("cache delete --team zebra", done),
        ("cache purge", ExitCode::from(2)),
        ("cache purge --yes", done),
        ("cache warm /nowhere/at/all.jsonl", ExitCode::from(2)),
        ("secret list", done),
        ("secret reseal", refused),
        ("secret delete nothing", refused),
    ] {
        assert_eq!(run(address, &secret, command), expected, "{command}");
    }
    let export = format!("usage export --from 2026-01-01 --to 2027-01-01 --out {}", csv.display());
    assert_eq!(run(address, &secret, &export), done);
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.lines().count() == 7 && text.ends_with("end\n"), "{text}");
    assert_eq!(
        run(address, &secret, &format!("audit export --out {}", notes.display())),
        done
    );
    let text = std::fs::read_to_string(&notes).unwrap();
    assert!(text.contains("\"key.rotate\"") && !text.contains("PLAINTEXT"), "{text}");
    // Not built in: refused, and nothing is left of it.
    let parquet = folder.join("usage.parquet");
    let export = format!("usage export --format parquet --out {}", parquet.display());
    assert_eq!(run(address, &secret, &export), ExitCode::from(3));
    std::fs::write(&secret, "the-wrong-token-the-wrong-token-the").unwrap();
    assert_eq!(run(address, &secret, "key list"), refused);
    let left = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(left, 3, "the token and two exports");
}

#[test]
fn clap_finds_nothing_wrong() {
    Cli::command().debug_assert();
    for command in ["key", "team", "usage", "audit", "cache"] {
        let about = Cli::command()
            .find_subcommand(command)
            .unwrap()
            .get_about()
            .unwrap()
            .to_string();
        assert!(!about.contains("Where the gateway is"), "{command}: {about}");
    }
}
