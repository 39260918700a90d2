//! One HTTP client for all commands that speak to a running gateway's admin API, and what they have in common: where it is,
//! who asks, how errors are told, exit statuses.
//!
//! The token never stands on a command line, where other users and the shell's history see it. Exit status: 0 done, 1 the
//! gateway refused, 2 what was written cannot be read, 3 the gateway cannot be asked or cannot do it now.

use crate::config::{BaseUrl as WrittenUrl, Host, SecretRef};
use crate::providers::Body;
use crate::secret::Secret;
use crate::upstream::address::{AddressBook, AddressKey};
use crate::upstream::exchange::{Exchange, Fault, Transport};
use crate::upstream::site::BaseUrl;
use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pingora::http::RequestHeader;
use serde_json::Value;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the admin listener is when nothing is said.
const USUAL_ADDRESS: &str = "http://127.0.0.1:8081";
/// Longest wait for an answer, and for the next piece of a long one.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer that is read at once.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;
/// What stays as it is in a segment of a path and in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where the gateway is and how answers are shown.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct AdminArgs {
    /// The gateway's admin listener. Default: the environment variable CIRQUE_ADMIN_URL, else http://127.0.0.1:8081.
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// Where the operator's token is: env:NAME or file:PATH, never the token itself. Default env:CIRQUE_ADMIN_TOKEN.
    #[arg(long, value_name = "REFERENCE")]
    pub token: Option<String>,
    /// Print JSON instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What happened, and what to do.
    pub text: String,
    /// Exit status.
    pub status: u8,
}

impl Trouble {
    /// What was written cannot be read.
    pub fn input(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 2,
        }
    }

    /// The gateway cannot be asked.
    pub fn unreachable(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            status: 3,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::unreachable(error.to_string())
    }
}

/// Run a command's questions to their end and turn trouble into text and an exit status.
pub fn run<F: Future<Output = Result<ExitCode, Trouble>>>(
    args: &AdminArgs,
    command: impl FnOnce(Client) -> F,
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let client = Client::new(args).await?;
        command(client).await
    });
    Ok(done.unwrap_or_else(|trouble: Trouble| {
        eprintln!("cirque: {trouble}");
        ExitCode::from(trouble.status)
    }))
}

/// Asks one gateway.
pub struct Client {
    transport: Arc<Transport>,
    book: AddressBook,
    url: BaseUrl,
    token: Option<Secret>,
    /// Print JSON.
    pub json: bool,
}

impl Client {
    async fn new(args: &AdminArgs) -> Result<Self, Trouble> {
        let written = args.admin.clone().or_else(|| std::env::var("CIRQUE_ADMIN_URL").ok());
        let written = written.unwrap_or_else(|| USUAL_ADDRESS.to_owned());
        let parsed = WrittenUrl::parse(&written)
            .map_err(|(message, remedy)| Trouble::input(format!("the admin address: {message}; {remedy}")))?;
        let token = token(args.token.as_deref())?;
        if token.is_some() && !parsed.https && !parsed.is_loopback() {
            eprintln!("cirque: warning: the token travels unencrypted to another machine; use https://, or a tunnel");
        }
        let url = BaseUrl {
            tls: parsed.https,
            host: match parsed.host {
                Host::Name(name) => name,
                Host::Address(address, _) => address.to_string(),
            },
            port: parsed.port,
            path: parsed.path,
        };
        let book = AddressBook::new(AddressKey {
            base: url.clone(),
            connect_timeout: Duration::from_secs(5),
            http2: false,
            authorities: Vec::new(),
            probe: None,
            allow_link_local: true,
        });
        book.refresh()
            .await
            .map_err(|error| Trouble::unreachable(format!("{}: {error}", url.host)))?;
        Ok(Self {
            transport: Arc::new(Transport::new(1)),
            book,
            url,
            token,
            json: args.json,
        })
    }

    /// A question with a JSON answer.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let mut exchange = self.send(method, path, body).await?;
        let answer = tokio::time::timeout(PATIENCE, exchange.read_all(LARGEST_ANSWER)).await;
        let answer = answer.map_err(|_| self.silent())?.map_err(|fault| self.fault(&fault))?;
        let answer = answer.map_err(|_| Trouble::unreachable("the answer is absurdly large"))?;
        let status = exchange.status();
        exchange.release().await;
        let read: Option<Value> = serde_json::from_slice(&answer).ok();
        match read {
            Some(answer) if status.is_success() => Ok(answer),
            answer => Err(refused(status, answer.as_ref())),
        }
    }

    /// As [`Client::ask`], of what only looks.
    pub async fn get(&self, path: &str) -> Result<Value, Trouble> {
        self.ask(Method::GET, path, None).await
    }

    /// Write a long answer as it comes; `told` hears of every piece's length. How many bytes.
    pub async fn download(&self, path: &str, out: &mut impl Write, mut told: impl FnMut(u64)) -> Result<u64, Trouble> {
        let mut exchange = self.send(Method::GET, path, None).await?;
        let status = exchange.status();
        if !status.is_success() {
            let answer = tokio::time::timeout(PATIENCE, exchange.read_all(1 << 20)).await;
            let answer = answer.ok().and_then(Result::ok).and_then(Result::ok);
            let read: Option<Value> = answer.and_then(|answer| serde_json::from_slice(&answer).ok());
            return Err(refused(status, read.as_ref()));
        }
        let (mut all, mut piece) = (0, BytesMut::new());
        loop {
            let more = tokio::time::timeout(PATIENCE, exchange.read(&mut piece)).await;
            if !more.map_err(|_| self.silent())?.map_err(|fault| self.fault(&fault))? {
                return Ok(all);
            }
            out.write_all(&piece)?;
            let length = u64::try_from(piece.len()).unwrap_or_default();
            all += length;
            told(length);
            piece.clear();
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Exchange, Trouble> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let head = || self.head(&method, path);
        let deadline = Instant::now() + PATIENCE;
        let body = Body::whole(body);
        let sent = self.transport.send_to(&self.book, &head, &body, deadline);
        let sent = tokio::time::timeout(PATIENCE, sent).await.map_err(|_| self.silent())?;
        sent.map_err(|fault| self.fault(&fault))
    }

    fn head(&self, method: &Method, path: &str) -> Result<Box<RequestHeader>, Fault> {
        let wrong = |error: Box<pingora::Error>| Fault::Malformed(error.etype.as_str().to_owned());
        let path = format!("{}{path}", self.url.path);
        let mut head = RequestHeader::build_no_case(method.clone(), path.as_bytes(), Some(6)).map_err(wrong)?;
        head.insert_header(header::HOST, self.url.authority()).map_err(wrong)?;
        let json = HeaderValue::from_static("application/json");
        head.insert_header(header::CONTENT_TYPE, json).map_err(wrong)?;
        let agent = HeaderValue::from_static(concat!("cirque/", env!("CARGO_PKG_VERSION")));
        head.insert_header(header::USER_AGENT, agent).map_err(wrong)?;
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| Fault::Malformed("the token has characters no header has".to_owned()))?;
            value.set_sensitive(true);
            head.insert_header(header::AUTHORIZATION, value).map_err(wrong)?;
        }
        Ok(Box::new(head))
    }

    fn fault(&self, fault: &Fault) -> Trouble {
        let at = self.url.authority();
        Trouble::unreachable(match fault {
            Fault::Connect(_) | Fault::ConnectTimeout | Fault::Unresolved => format!(
                "no gateway answers at {at}: is it running, and is this its `admin.listen`? Name another with --admin or CIRQUE_ADMIN_URL"
            ),
            Fault::Truncated(_) => {
                format!("{at} broke off in the middle of its answer: what was read is not all; try again")
            }
            Fault::Disconnected(_) | Fault::Malformed(_) => format!("{at} gave no HTTP answer ({fault})"),
        })
    }

    fn silent(&self) -> Trouble {
        let seconds = PATIENCE.as_secs();
        Trouble::unreachable(format!(
            "{} did not answer within {seconds} seconds",
            self.url.authority()
        ))
    }
}

/// The operator's token, if there is one: some gateways want none.
fn token(reference: Option<&str>) -> Result<Option<Secret>, Trouble> {
    let Some(reference) = reference else {
        return Ok(std::env::var("CIRQUE_ADMIN_TOKEN")
            .ok()
            .map(Secret::new)
            .filter(|token| !token.expose().is_empty()));
    };
    // Not through clap, whose message would repeat what may be the token itself.
    let parsed = SecretRef::parse(reference).map_err(|_| {
        Trouble::input("--token takes env:NAME or file:PATH, never the token itself (its text is not repeated here)")
    })?;
    parsed
        .read()
        .map(Some)
        .map_err(|problem| Trouble::input(format!("--token: {problem}")))
}

/// What the gateway said, and what to do about it.
fn refused(status: StatusCode, answer: Option<&Value>) -> Trouble {
    let error = answer.and_then(|answer| answer.get("error"));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(super::route::plain);
    let mut said = text(error.and_then(|error| error.get("message")))
        .unwrap_or_else(|| format!("the answer has the status {status} and is none of the admin API"));
    let problems = error
        .and_then(|error| error.get("problems")?.as_array())
        .into_iter()
        .flatten();
    for problem in problems {
        let path = text(problem.get("path")).unwrap_or_default();
        let message = text(problem.get("message")).unwrap_or_default();
        said.push_str(&format!("\n  {path}: {message}"));
    }
    if status == StatusCode::UNAUTHORIZED {
        said.push_str("\n  set CIRQUE_ADMIN_TOKEN to an operator's token, or name where it is: --token file:PATH");
    }
    let now = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let status = match status {
        _ if now => 3,
        StatusCode::BAD_REQUEST => 2,
        _ => 1,
    };
    Trouble { text: said, status }
}

/// One segment of a path.
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

/// A path with those parameters that have a value.
pub fn with_query<'a>(path: &str, parameters: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let mut out = path.to_owned();
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(name);
            out.push('=');
            out.push_str(&segment(&value));
        }
    }
    out
}

/// Items of a list, page by page, at most `most`; whether there were more.
pub async fn pages(client: &Client, path: &str, most: usize) -> Result<(Vec<Value>, bool), Trouble> {
    let mut items = Vec::new();
    let mut cursor = None;
    loop {
        let mut page = client.get(&with_query(path, [("cursor", cursor.take())])).await?;
        let next = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
            items.extend(more);
        }
        if items.len() >= most || next.is_none() {
            let more = items.len() > most || next.is_some();
            items.truncate(most);
            return Ok((items, more));
        }
        cursor = next;
    }
}

/// A text of an answer, safe for a terminal; `-` when there is none.
pub fn cell(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => super::route::plain(text),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) => {
            let texts: Vec<String> = items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), super::route::plain))
                .collect();
            texts.join(", ")
        }
        Some(other) => super::route::plain(&other.to_string()),
    }
}

/// Columns as wide as their widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|&name| name.to_owned()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut out = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Print, to standard output.
pub fn print(text: &str) -> Result<(), Trouble> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Print JSON for programs.
pub fn print_json(value: &Value) -> Result<(), Trouble> {
    print(&format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_and_queries_are_encoded() {
        assert_eq!(segment("a/b c@d"), "a%2Fb%20c%40d");
        let path = with_query(
            "/x",
            [("a", Some("1,2".to_owned())), ("b", None), ("c", Some("&".to_owned()))],
        );
        assert_eq!(path, "/x?a=1%2C2&c=%26");
    }

    #[test]
    fn errors_are_told_with_their_parts_and_remedy() {
        let answer = json!({"error": {"code": "invalid_request", "message": "two things\u{1b}[31m",
            "problems": [{"path": "settings.a", "message": "no"}, {"path": "name", "message": "bad"}]}});
        let trouble = refused(StatusCode::BAD_REQUEST, Some(&answer));
        assert_eq!(trouble.text, "two things\\u{1b}[31m\n  settings.a: no\n  name: bad");
        assert_eq!(trouble.status, 2);
        for (status, exit) in [(401, 1), (403, 1), (404, 1), (409, 1), (429, 3), (500, 3), (503, 3)] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refused(status, Some(&answer)).status, exit, "{status}");
        }
        assert!(
            refused(StatusCode::UNAUTHORIZED, None)
                .text
                .contains("CIRQUE_ADMIN_TOKEN")
        );
    }

    #[test]
    fn a_token_on_the_command_line_is_refused_and_not_repeated() {
        let trouble = token(Some("super-secret-token")).unwrap_err();
        assert!(!trouble.text.contains("super-secret"), "{trouble}");
        assert!(token(Some("env:CIRQUE_TEST_SURELY_UNSET")).is_err());
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![
            vec!["a".to_owned(), "1".to_owned()],
            vec!["longer".to_owned(), String::new()],
        ];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME    N\na       1\nlonger\n");
        assert_eq!(cell(&json!({"a": {"b": ["x", 1]}}), "/a/b"), "x, 1");
        assert_eq!(cell(&json!({"a": "x\ny"}), "/a"), "x\\u{a}y");
        assert_eq!(cell(&json!({}), "/a"), "-");
    }
}
