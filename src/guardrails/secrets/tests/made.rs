//! Secrets that are nobody's, one or more for each form.
//!
//! The one idea: what stands in this file is only what they begin with, in two parts; the rest is drawn when the tests run.

use super::super::Kind;

const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const UPPER: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ALNUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BECH32: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";

/// A secret in a text.
pub struct Case {
    pub kind: Kind,
    pub before: String,
    pub secret: String,
    pub after: &'static str,
    /// Where in it the part begins that is drawn.
    pub body: usize,
    /// The shortest part of it that its form takes; none where a shorter one is another's.
    pub least: Option<usize>,
    /// No longer one is taken.
    pub fixed: bool,
    /// Nothing but its being a word tells where it begins.
    pub word: bool,
}

impl Case {
    /// All of it.
    pub fn text(&self) -> String {
        format!("{}{}{}", self.before, self.secret, self.after)
    }

    fn least(mut self, least: usize) -> Self {
        self.least = Some(least);
        self.fixed = false;
        self
    }

    fn any_length(mut self) -> Self {
        self.least = None;
        self.fixed = false;
        self
    }

    fn within(mut self, before: &str, after: &'static str) -> Self {
        self.before = before.to_owned();
        self.after = after;
        self.word = false;
        self
    }

    fn open_ended(mut self) -> Self {
        self.fixed = false;
        self
    }
}

/// So many characters of an alphabet, by a seed; the first two a letter and a digit, where it has them, so that none is words by chance.
pub fn drawn(alphabet: &str, count: usize, seed: u64) -> String {
    let alphabet = alphabet.as_bytes();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        // Knuth's linear congruential generator; the high bits are the good ones.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let mut text: Vec<u8> = (0..count).map(|_| alphabet[next() % alphabet.len()]).collect();
    for (at, wanted) in [(0, b'b'), (1, b'7'), (2, b'K')] {
        if alphabet.contains(&wanted) && at < count {
            text[at] = wanted;
        }
    }
    String::from_utf8(text).unwrap()
}

/// Letters and digits.
pub fn letters(count: usize, seed: u64) -> String {
    drawn(ALNUM, count, seed)
}

fn case(kind: Kind, head: [&str; 2], body: &str) -> Case {
    let head = head.concat();
    Case {
        kind,
        before: "it is ".to_owned(),
        secret: format!("{head}{body}"),
        after: " now",
        body: head.len(),
        least: Some(head.len() + body.len()),
        fixed: true,
        word: true,
    }
}

/// One of each form at least.
pub fn cases() -> Vec<Case> {
    [cloud(), code(), models(), messages(), everybody()]
        .into_iter()
        .flatten()
        .collect()
}

fn cloud() -> Vec<Case> {
    let aws = drawn(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/",
        40,
        3,
    );
    let secret_key = || case(Kind::AwsSecretKey, ["", ""], &aws);
    vec![
        case(Kind::AwsAccessKey, ["AK", "IA"], &drawn(UPPER, 16, 1)),
        case(Kind::AwsAccessKey, ["AS", "IA"], &drawn(UPPER, 16, 2)),
        secret_key().within("aws_secret_access_key = ", "\n"),
        secret_key().within("AWS_SECRET_ACCESS_KEY=", "\n"),
        secret_key().within("\"SecretAccessKey\": \"", "\""),
        secret_key().within("the secret key: ", " "),
        case(Kind::BedrockKey, ["AB", "SKQmVkcm9ja0FQSUtleS"], &letters(110, 4)).least(22 + 80),
        case(Kind::GoogleApiKey, ["AI", "za"], &letters(35, 5)),
        case(Kind::GoogleApiKey, ["AQ", ".Ab8"], &letters(46, 6)).least(6 + 39),
        case(Kind::GoogleOauth, ["GOC", "SPX-"], &letters(28, 7)),
        case(Kind::GoogleOauth, ["ya", "29."], &letters(200, 8)).least(5 + 31),
        case(Kind::GoogleOauth, ["1/", "/0"], &letters(98, 9)).least(4 + 41),
        case(Kind::AzureKey, ["", ""], &letters(86, 10)).within(
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=",
            "==;EndpointSuffix=core.windows.net",
        ),
        case(Kind::AzureKey, ["", ""], &letters(43, 11)).within(
            "Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=",
            "=",
        ),
        case(Kind::AzureKey, ["", ""], &format!("{}%3D", letters(43, 12)))
            .within(
                "https://a.blob.core.windows.net/c?sv=2024-01-01&se=2026-01-01&sig=",
                " ",
            )
            .any_length(),
        case(Kind::DigitaloceanToken, ["dop", "_v1_"], &drawn(HEX, 64, 13)),
        case(Kind::CloudflareToken, ["cfu", "t_"], &letters(48, 14)).least(5 + 44),
        case(
            Kind::CloudflareToken,
            ["v1.", "0-"],
            &format!("{}-{}", drawn(HEX, 24, 15), drawn(HEX, 146, 16)),
        ),
        case(Kind::DatabricksToken, ["da", "pi"], &drawn(HEX, 32, 17)),
    ]
}

fn code() -> Vec<Case> {
    let github = |head| case(Kind::GithubToken, ["gh", head], &letters(36, 20)).open_ended();
    let gitlab = |head| case(Kind::GitlabToken, ["gl", head], &letters(20, 21)).open_ended();
    vec![
        github("p_"),
        github("o_"),
        github("u_"),
        github("s_"),
        case(Kind::GithubToken, ["gh", "r_"], &letters(76, 22)).least(4 + 36),
        case(
            Kind::GithubToken,
            ["github", "_pat_"],
            &format!("{}_{}", letters(22, 23), letters(59, 24)),
        )
        .least(11 + 36),
        gitlab("pat-"),
        gitlab("dt-"),
        gitlab("rt-"),
        gitlab("cbt-"),
        gitlab("soat-"),
        case(
            Kind::GitlabToken,
            ["gl", "pat-"],
            &format!("{}.01.{}", letters(27, 25), drawn(HEX, 9, 26)),
        )
        .least(6 + 20),
        case(Kind::NpmToken, ["np", "m_"], &letters(36, 27)),
        case(Kind::PypiToken, ["py", "pi-AgEIcHlwaS5vcmc"], &letters(160, 28)).least(8 + 71),
        case(Kind::AgeKey, ["AGE-SEC", "RET-KEY-1"], &drawn(BECH32, 58, 29)),
    ]
}

fn models() -> Vec<Case> {
    let openai = |head, count| case(Kind::OpenaiKey, ["sk", head], &letters(count, 30));
    vec![
        case(Kind::CirqueKey, ["c", "q-"], &letters(49, 31)),
        openai("-proj-", 156).least(8 + 21),
        openai("-svcacct-", 100).least(11 + 21),
        openai("-admin-", 100).least(9 + 21),
        openai("-", 48).least(3 + 32),
        openai("-", 32).open_ended(),
        case(Kind::AnthropicKey, ["sk", "-ant-api03-"], &letters(95, 32)).least(13 + 33),
        case(Kind::AnthropicKey, ["sk", "-ant-oat01-"], &letters(95, 33)).least(13 + 33),
        case(Kind::OpenrouterKey, ["sk", "-or-v1-"], &drawn(HEX, 64, 34)),
        case(Kind::GroqKey, ["gs", "k_"], &letters(52, 35)).least(4 + 48),
        case(Kind::XaiKey, ["xa", "i-"], &letters(80, 36)).least(4 + 70),
        case(Kind::PerplexityKey, ["pp", "lx-"], &letters(48, 37)).least(5 + 40),
        case(Kind::ReplicateKey, ["r", "8_"], &letters(37, 38)),
        case(Kind::NvidiaKey, ["nv", "api-"], &letters(64, 39)).least(6 + 60),
        case(Kind::HuggingfaceToken, ["h", "f_"], &letters(34, 40)).least(3 + 30),
        case(Kind::HuggingfaceToken, ["api", "_org_"], &letters(34, 41)).least(8 + 30),
    ]
}

fn messages() -> Vec<Case> {
    let number = |count, seed| drawn(DIGITS, count, seed);
    let slack = |head| {
        case(
            Kind::SlackToken,
            ["xo", head],
            &format!("{}-{}-{}", number(12, 50), number(12, 51), letters(24, 52)),
        )
    };
    let discord = format!(
        "{}.{}.{}",
        concat!("MTAy", "NDU2Nzg5MDEyMzQ1Njc4"),
        letters(6, 53),
        letters(38, 54)
    );
    vec![
        slack("xb-").any_length(),
        slack("xp-").any_length(),
        case(Kind::SlackToken, ["xoxe.", "xoxp-1-"], &letters(146, 55))
            .any_length()
            .within("it is ", " now"),
        case(
            Kind::SlackToken,
            ["xap", "p-1-"],
            &format!("{}-{}-{}", drawn(UPPER, 11, 56), number(13, 57), drawn(HEX, 64, 58)),
        ),
        case(
            Kind::SlackWebhook,
            ["T", ""],
            &format!("{}/B{}/{}", drawn(UPPER, 10, 59), drawn(UPPER, 10, 60), letters(24, 61)),
        )
        .within("https://hooks.slack.com/services/", " ")
        .any_length(),
        Case {
            body: 24,
            ..case(Kind::DiscordToken, ["", ""], &discord).least(24 + 1 + 6 + 1 + 27)
        },
        case(
            Kind::DiscordWebhook,
            ["", ""],
            &format!("{}/{}", number(18, 62), letters(68, 63)),
        )
        .within("https://discord.com/api/webhooks/", "")
        .least(18 + 1 + 60),
        case(Kind::TelegramToken, [&number(10, 64), ":AA"], &letters(33, 65)),
        case(
            Kind::SendgridKey,
            ["S", "G."],
            &format!("{}.{}", letters(22, 66), letters(43, 67)),
        ),
        case(Kind::TwilioKey, ["S", "K"], &drawn(HEX, 32, 68)),
        case(Kind::MailgunKey, ["ke", "y-"], &drawn(HEX, 32, 69)),
        case(
            Kind::MailgunKey,
            ["", ""],
            &format!("{}-{}-{}", drawn(HEX, 32, 70), drawn(HEX, 8, 71), drawn(HEX, 8, 72)),
        ),
        case(Kind::StripeKey, ["sk", "_live_"], &letters(24, 73)).least(8 + 16),
        case(Kind::StripeKey, ["rk", "_test_"], &letters(99, 74)).least(8 + 16),
        case(Kind::StripeKey, ["wh", "sec_"], &letters(32, 75)).open_ended(),
        case(Kind::ShopifyToken, ["shp", "at_"], &drawn(HEX, 32, 76)),
        case(Kind::ShopifyToken, ["shp", "ss_"], &drawn(HEX, 32, 77)),
    ]
}

fn everybody() -> Vec<Case> {
    let jwt = format!("{}.eyJ{}.{}", letters(33, 80), letters(120, 81), letters(43, 82));
    let password = |count, seed| case(Kind::UrlPassword, ["", ""], &letters(count, seed)).any_length();
    let bearer = |seed| case(Kind::Authorization, ["", ""], &letters(40, seed)).any_length();
    let assigned = |seed| case(Kind::Assignment, ["", ""], &letters(24, seed)).any_length();
    vec![
        case(Kind::Jwt, ["ey", "J"], &jwt).least(3 + 33 + 4 + 120 + 1 + 16),
        case(Kind::PrivateKey, ["-----BE", "GIN PRIVATE KEY-----\n"], &private_key())
            .within("it is ", " now")
            .any_length(),
        case(
            Kind::PrivateKey,
            ["-----BE", "GIN EC PRIVATE KEY-----\n"],
            &letters(64, 83),
        )
        .within("it is ", "\n")
        .any_length(),
        password(12, 84).within("postgres://app:", "@db:5432/app"),
        password(20, 85).within("redis://:", "@cache"),
        password(9, 86).within("amqps://a-user:", "@10.0.0.1/vhost"),
        password(30, 87).within("mongodb+srv://me:", "@cluster0.abcde.mongodb.net/"),
        password(16, 88).within("https://me:", "@git.internal/x.git"),
        bearer(89).within("Authorization: Bearer ", "\n"),
        bearer(90).within("'authorization': 'token ", "'"),
        bearer(91).within("authorization: basic ", "\r\n"),
        case(Kind::Authorization, ["", ""], &format!("{}==", letters(34, 79)))
            .any_length()
            .within("Authorization: Basic ", "\n"),
        bearer(92).within("with bearer ", " "),
        assigned(93).within("SECRET_TOKEN=", "\n"),
        assigned(94).within("api_key: ", "\n"),
        assigned(95).within("\"client_secret\": \"", "\""),
        assigned(96).within("db_password = '", "'"),
        assigned(97).within("config['api_key'] = \"", "\""),
    ]
}

fn private_key() -> String {
    let lines: Vec<String> = (0..5).map(|seed| letters(64, 100 + seed)).collect();
    format!("{}\n{}", lines.join("\n"), concat!("-----E", "ND PRIVATE KEY-----"))
}
