//! Texts in which there is no secret: prose, code, and what looks as if drawn by chance.

use super::made::drawn;

const HEX: &str = "0123456789abcdef";
const BASE64: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";

/// Nothing is found here, whatever is looked for.
pub fn plain() -> [(&'static str, &'static str); 6] {
    [
        ("prose", PROSE),
        ("German", GERMAN),
        ("Rust", RUST),
        ("Python", PYTHON),
        ("TypeScript", TYPESCRIPT),
        ("Go", GO),
    ]
}

/// Nothing is found here by what is looked for by default: hashes, ids, images.
pub fn pages() -> Vec<(&'static str, String)> {
    let mut pages: Vec<(&'static str, String)> = plain().map(|(name, text)| (name, text.to_owned())).into();
    pages.push((
        "Cargo.lock",
        many(60, |seed| {
            let sum = drawn(HEX, 64, seed);
            format!("[[package]]\nname = \"secret-token{seed}\"\nversion = \"1.0.{seed}\"\nchecksum = \"{sum}\"\n\n")
        }),
    ));
    pages.push((
        "package-lock.json",
        many(60, |seed| {
            let sum = drawn(BASE64, 86, seed);
            let sha1 = drawn(HEX, 40, seed);
            format!(
                "\"node_modules/keytoken-{seed}\": {{\n  \"version\": \"2.{seed}.1\",\n  \"resolved\": \
             \"https://registry.npmjs.org/k/-/k-2.{seed}.1.tgz#{sha1}\",\n  \"integrity\": \"sha512-{sum}==\"\n}},\n"
            )
        }),
    ));
    pages.push((
        "go.sum",
        many(60, |seed| {
            format!("github.com/a/auth v1.{seed}.0 h1:{}=\n", drawn(BASE64, 43, seed))
        }),
    ));
    pages.push((
        "git log",
        many(60, |seed| {
            let (commit, tree) = (drawn(HEX, 40, seed), drawn(HEX, 7, seed + 1000));
            format!("commit {commit}\nAuthor: A <a@example.net>\n\n    auth: rotate the signing key ({tree})\n\n")
        }),
    ));
    pages.push((
        "UUIDs",
        many(80, |seed| {
            let h = |count, part| drawn(HEX, count, seed * 7 + part);
            format!(
                "request_id={}-{}-4{}-a{}-{} key-id: {}\n",
                h(8, 0),
                h(4, 1),
                h(3, 2),
                h(3, 3),
                h(12, 4),
                h(32, 5)
            )
        }),
    ));
    pages.push((
        "image",
        format!(
            "![a](data:image/png;base64,iVBORw0KGgo{}==)\n",
            drawn(BASE64, 60_000, 1)
        ),
    ));
    pages.push((
        "long words",
        drawn(
            "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-",
            60_000,
            2,
        ),
    ));
    pages.push(("hexadecimal digits", drawn(HEX, 60_000, 3)));
    pages.push(("digits", drawn("0123456789", 60_000, 4)));
    pages.push(("certificate", {
        let lines = many(30, |seed| format!("{}\n", drawn(BASE64, 64, seed)));
        format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA{} me@host\n", drawn(BASE64, 43, 9))
    }));
    pages.push((
        "ids of models and calls",
        many(40, |seed| {
            let id = |count| {
                drawn(
                    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                    count,
                    seed,
                )
            };
            format!(
                "chatcmpl-{} call_{} toolu_{} msg_{} resp_{} fp_{} req_{} asst_{} file-{} run_{}\n",
                id(29),
                id(24),
                id(24),
                id(24),
                drawn(HEX, 48, seed),
                drawn(HEX, 10, seed),
                id(24),
                id(24),
                id(24),
                id(24)
            )
        }),
    ));
    pages
}

fn many(count: u64, one: impl Fn(u64) -> String) -> String {
    (1..=count).map(one).collect()
}

const PROSE: &str = "\
The secret of a good password is its length, not the number of marks in it. When the registrar asked for a token of goodwill, the \
key to the archive was handed over, and the bearer of the letter signed for it; nobody thought to ask for his authorization. \
\"Token,\" she said: \"a thing that stands for another.\" On the desk lay an API reference, opened at the page on credentials: the \
client ID goes in the header, the client secret does not go anywhere near the browser. Risk-averse readers may skip to chapter \
12. The task-list held 1,284 entries (from SK to AK), the disk-image another 300; AKIA is not a word in any language I know, and \
neither is ghp_. We met at 10:30, at gate B7, flight LH4711, seat 23A; the booking code was X7K2PQ. In 1913, 1,024 copies were \
printed; ISBN 978-3-16-148410-0. Her e-mail, jane.doe@example.com, still works. Write to https://example.com/path?query=1#top or \
call +49 30 1234567. The password: unknown to everyone but the night watchman, who had forgotten it. Secret key: none. He wrote \
\"pwd\" and the machine answered /home/ada/projects. Basic rules apply: a sk- prefix, then letters. Keys: two. Auth: later.\n";

const GERMAN: &str = "\
Das Passwort: steht auf dem Zettel unter der Tastatur, wo es alle suchen würden. Der Schlüssel lag im Blumentopf – „geheim“, wie \
er sagte, und doch wußte es die ganze Straße. Überprüfen Sie das Token=Wert-Paar, bevor Sie fortfahren; größere Änderungen bedürfen \
der Zustimmung. Schöne Grüße aus Köln, 50667. 密码:请不要告诉任何人。パスワードは忘れました。 Пароль: забыт. كلمة السر\n";

const RUST: &str = r##"
/// Reads the secret from the environment.
pub fn api_key(name: &str) -> Result<Secret, Missing> {
    let token = std::env::var(name).map_err(|_| Missing::new(name))?;
    let secret: Secret = Secret::new(token);
    let password = config.password.clone().unwrap_or_default();
    let url = format!("postgres://{user}:{password}@{host}:{port}/{database}");
    let header = format!("Authorization: Bearer {}", secret.expose());
    let auth_key = AuthKey::from(&header[7..]);
    const TOKEN_LENGTH: usize = 49;
    static KEY_PREFIX: &str = "cq-";
    assert_eq!(hash, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    match key { Key::Public(key) => key.len(), Key::Private { secret_key: Some(k), .. } => k.len(), _ => 0x5f3759df }
}
"##;

const PYTHON: &str = r#"
import os, hashlib
from getpass import getpass

API_KEY = os.environ["OPENAI_API_KEY"]
SECRET_KEY = os.getenv("DJANGO_SECRET_KEY", default=None)
password = getpass("Password: ")
token = request.headers.get("Authorization", "").removeprefix("Bearer ")
client = OpenAI(api_key=API_KEY, base_url="http://localhost:8080/v1")
headers = {"Authorization": f"Bearer {token}", "x-api-key": api_key, "api-key": settings.azure_api_key}
def login(username: str, password: str, *, secret_token: str | None = None) -> Session:
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 600_000)
    engine = create_engine("postgresql+psycopg://%s:%s@%s/%s" % (username, password, host, db))
    return Session(password=password, token=secret_token, key=digest.hex())
"#;

const TYPESCRIPT: &str = r#"
import { randomBytes } from "node:crypto";
const apiKey = process.env.ANTHROPIC_API_KEY ?? "";
export const accessToken: string | undefined = session?.accessToken;
const password = form.elements.namedItem("password") as HTMLInputElement;
const res = await fetch(`https://${user}:${password}@api.example.com/v1`, {
  headers: { Authorization: `Bearer ${accessToken}`, "X-Secret-Token": secretToken },
});
if (!apiKey.startsWith("sk-")) throw new Error("API key: must begin with sk-");
export type Credentials = { password: string; apiKey: string; token?: string; secret: Uint8Array };
const cssModule = "task-list_sk-spinner__3xYzQ button--key-primary token-operator";
"#;

const GO: &str = r#"
package auth

const tokenPrefix = "ghp_"

type Config struct {
	Password    string `json:"password" yaml:"password"`
	SecretToken string `json:"secret_token,omitempty"`
	APIKey      Secret `env:"API_KEY,required"`
}

func (c *Config) Header() string { return "Authorization: Bearer " + c.SecretToken }

func dial(user, password string) error {
	dsn := fmt.Sprintf("amqp://%s:%s@localhost:5672/", user, password)
	key := sha256.Sum256([]byte(password))
	token := base64.StdEncoding.EncodeToString(key[:])
	return connect(dsn, token)
}
"#;
