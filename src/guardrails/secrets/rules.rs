//! The forms of secrets.
//!
//! Not what finds them (`scan`). The one idea: most of those who hand out secrets begin them with something that nothing else begins
//! with; where they do not, what stands before counts. Of rules that find at the same place the first counts: those of one vendor stand
//! before those of everybody.
//!
//! Where the form was read is said with it (read 2026-11-22). `Observed`: its vendor says nothing about it that could be read; it is as
//! keys look, and as other scanners take them. Lengths leave room: what grows by a few characters is still found. A fixed alphabet
//! that may end in `-` or `.` ends here on a letter or digit, so that the end of a sentence does not belong to it.

use super::Kind;
use super::checks;
use crate::guardrails::scan::Rule;

/// A form.
pub struct Form {
    /// Whose.
    pub kind: Kind,
    /// How it is found.
    pub rule: Rule,
}

type Words = &'static [&'static str];
type Check = fn(&str) -> bool;

/// The whole match, as a word.
const fn word(kind: Kind, words: Words, pattern: &'static str, valid: Check) -> Form {
    form(kind, words, pattern, valid, false, true)
}

/// Group 1 of a match.
const fn part(kind: Kind, words: Words, pattern: &'static str, valid: Check) -> Form {
    form(kind, words, pattern, valid, true, true)
}

const fn form(kind: Kind, words: Words, pattern: &'static str, valid: Check, group: bool, word: bool) -> Form {
    let rule = Rule {
        label: kind.label(),
        pattern,
        group,
        word,
        valid: Some(valid),
        prefilter: Some(words),
    };
    Form { kind, rule }
}

/// All of them but the long ones (`long`), those of one vendor first.
pub const FORMS: &[&[Form]] = &[CLOUD, CODE, MODELS, MESSAGES, SERVICES, EVERYBODY];

const CLOUD: &[Form] = &[
    // Observed. Prefixes: "Understanding unique ID prefixes", docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, as
    // copied by hackingthe.cloud (aws/general-knowledge/iam-key-identifiers).
    word(
        Kind::AwsAccessKey,
        &["AKIA", "ASIA", "ABIA", "ACCA", "A3T"],
        r"(?:AKIA|ASIA|ABIA|ACCA|A3T[0-9A-Z])[0-9A-Z]{16}",
        checks::random,
    ),
    // Observed: 40 characters of base 64. The form alone is that of any hash: only where it is called one.
    form(
        Kind::AwsSecretKey,
        &["secret"],
        r#"(?i:secret[ _-]?(?:access[ _-]?)?key)["']?\s{0,8}(?:=>|:=|=|:|,)\s{0,8}["']?([0-9A-Za-z+/]{40})\b{end-half}"#,
        checks::aws_secret,
        true,
        false,
    ),
    // Observed. The base 64 is that of `BedrockAPIKey-…`.
    word(
        Kind::BedrockKey,
        &["ABSKQmVkcm9ja0FQSUtleS"],
        "ABSKQmVkcm9ja0FQSUtleS[0-9A-Za-z+/]{80,280}",
        checks::random,
    ),
    // learn.microsoft.com "sit-defn-google-api-key" (Microsoft's, of Google's keys): `AIza` and 35 characters.
    word(Kind::GoogleApiKey, &["AIza"], "AIza[0-9A-Za-z_-]{35}", checks::secret),
    // Observed: keys of Vertex AI and of Gemini since 2025.
    word(
        Kind::GoogleApiKey,
        &["AQ.Ab8"],
        r"AQ\.Ab8[0-9A-Za-z_-]{38,60}[0-9A-Za-z_]",
        checks::secret,
    ),
    // Observed.
    word(
        Kind::GoogleOauth,
        &["GOCSPX-"],
        "GOCSPX-[0-9A-Za-z_-]{28}",
        checks::random,
    ),
    word(
        Kind::GoogleOauth,
        &["ya29."],
        r"ya29\.[0-9A-Za-z_-]{30,480}[0-9A-Za-z_]",
        checks::secret,
    ),
    word(
        Kind::GoogleOauth,
        &["1//0"],
        "1//0[0-9A-Za-z_-]{40,120}[0-9A-Za-z_]",
        checks::secret,
    ),
    // MicrosoftDocs/azure-docs, articles/storage/common/storage-configure-connection-string.md; the key is 64 bytes in base 64.
    part(
        Kind::AzureKey,
        &["AccountKey="],
        "AccountKey=([0-9A-Za-z+/]{86})",
        checks::random,
    ),
    // learn.microsoft.com "ServiceBusConnectionStringProperties": the member's name; 32 bytes in base 64 observed.
    part(
        Kind::AzureKey,
        &["SharedAccessKey="],
        "SharedAccessKey=([0-9A-Za-z+/]{43})",
        checks::random,
    ),
    // Observed: signature of a shared access, 32 bytes in base 64, escaped.
    form(
        Kind::AzureKey,
        &["sig="],
        "[&?]sig=([0-9A-Za-z%]{43,70}%3[Dd])",
        checks::secret,
        true,
        false,
    ),
    // GitLab's analyzers/secrets, merge request 178 (the prefixes); 64 hexadecimal digits observed.
    word(
        Kind::DigitaloceanToken,
        &["dop_v1_", "doo_v1_", "dor_v1_"],
        "do[opr]_v1_[0-9a-f]{64}",
        checks::random,
    ),
    // developers.cloudflare.com/fundamentals/api/get-started/token-formats: 40 characters and a checksum.
    word(
        Kind::CloudflareToken,
        &["cfk_", "cfut_", "cfat_"],
        "cf(?:k|ut|at)_[0-9A-Za-z]{44,56}",
        checks::secret,
    ),
    // Observed.
    word(
        Kind::CloudflareToken,
        &["v1.0-"],
        r"v1\.0-[0-9a-f]{24}-[0-9a-f]{146}",
        checks::random,
    ),
    // Observed.
    word(Kind::DatabricksToken, &["dapi"], "dapi[0-9a-f]{32}", checks::secret),
];

const CODE: &[Form] = &[
    // github.blog/changelog/2021-03-31-authentication-token-format-updates-are-generally-available: prefixes, [A-Za-z0-9_], up to 255.
    word(
        Kind::GithubToken,
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"],
        "gh[oprsu]_[0-9A-Za-z_]{36,251}",
        checks::secret,
    ),
    // Observed: 22 characters, `_`, 59.
    word(
        Kind::GithubToken,
        &["github_pat_"],
        "github_pat_[0-9A-Za-z_]{36,244}",
        checks::secret,
    ),
    // docs.gitlab.com, doc/security/tokens/index.md "Token prefixes"; `glwt-`, `glrtr-` observed. After them 20 characters or more, with
    // `.` in tokens that say where they belong.
    word(
        Kind::GitlabToken,
        &[
            "glpat-", "gloas-", "gldt-", "glrt-", "glrtr-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-",
            "glsoat-", "glffct-", "glwt-",
        ],
        "gl(?:pat|oas|dt|rtr?|cbt|ptt|ft|imt|agent|soat|ffct|wt)-[0-9A-Za-z_.=-]{19,299}[0-9A-Za-z_=]",
        checks::secret,
    ),
    // gitlab-org/gitlab merge request 258832 (tried with tokens of npm's): `npm_` and 36 letters or digits.
    word(Kind::NpmToken, &["npm_"], "npm_[0-9A-Za-z]{36}", checks::secret),
    // warehouse.readthedocs.io/development/token-scanning.html: the base 64 of a macaroon for pypi.org, 70 characters at least; of
    // test.pypi.org observed.
    word(
        Kind::PypiToken,
        &["pypi-AgE"],
        "pypi-AgE[0-9A-Za-z_-]{70,480}[0-9A-Za-z_]",
        checks::secret,
    ),
    // github.com/C2SP/C2SP age.md: Bech32 of 32 bytes, in capitals; `PQ` observed.
    word(
        Kind::AgeKey,
        &["AGE-SECRET-KEY-"],
        "AGE-SECRET-KEY-(?:PQ-)?1[02-9AC-HJ-NP-Z]{58}",
        checks::random,
    ),
];

const MODELS: &[Form] = &[
    // `src/auth/token.rs`: 43 random characters and 6 of a checksum. Its form only: with one character mistyped most of it still leaks.
    word(Kind::CirqueKey, &["cq-"], "cq-[0-9A-Za-z]{49}", checks::random),
    // Observed; openrouter.ai/docs/guides/features/guardrails/secret-formats lists them (OpenRouter's, of others' keys).
    word(
        Kind::OpenaiKey,
        &["sk-proj-", "sk-svcacct-", "sk-admin-"],
        "sk-(?:proj|svcacct|admin)-[0-9A-Za-z_-]{20,250}[0-9A-Za-z_]",
        checks::secret,
    ),
    word(
        Kind::AnthropicKey,
        &["sk-ant-"],
        "sk-ant-[a-z]{2,8}[0-9]{2}-[0-9A-Za-z_-]{32,250}[0-9A-Za-z_]",
        checks::secret,
    ),
    word(
        Kind::OpenrouterKey,
        &["sk-or-v1-"],
        "sk-or-v1-[0-9a-f]{64}",
        checks::random,
    ),
    // Observed: 48 characters (OpenAI's old ones, Moonshot), 51 (with `T3BlbkFJ`), 32 hexadecimal digits (DeepSeek).
    word(Kind::OpenaiKey, &["sk-"], "sk-[0-9A-Za-z]{32,64}", checks::secret),
    // Observed, all of them.
    word(Kind::GroqKey, &["gsk_"], "gsk_[0-9A-Za-z]{48,56}", checks::secret),
    word(Kind::XaiKey, &["xai-"], "xai-[0-9A-Za-z]{70,90}", checks::secret),
    word(
        Kind::PerplexityKey,
        &["pplx-"],
        "pplx-[0-9A-Za-z]{40,60}",
        checks::secret,
    ),
    word(Kind::ReplicateKey, &["r8_"], "r8_[0-9A-Za-z]{37}", checks::secret),
    word(
        Kind::NvidiaKey,
        &["nvapi-"],
        "nvapi-[0-9A-Za-z_-]{59,79}[0-9A-Za-z_]",
        checks::secret,
    ),
    // Observed: 34 letters. huggingface.co/docs/hub/security-tokens does not say.
    word(
        Kind::HuggingfaceToken,
        &["hf_"],
        "hf_[0-9A-Za-z]{30,40}",
        checks::letters,
    ),
    word(
        Kind::HuggingfaceToken,
        &["api_org_"],
        "api_org_[0-9A-Za-z]{30,40}",
        checks::letters,
    ),
];

const MESSAGES: &[Form] = &[
    // Observed; docs.slack.dev/authentication/tokens tells the sorts apart, not their forms.
    word(
        Kind::SlackToken,
        &["xox"],
        "xox[a-z](?:[.]xox[a-z])?-[0-9]{1,14}-[0-9A-Za-z-]{15,300}[0-9A-Za-z]",
        checks::secret,
    ),
    word(
        Kind::SlackToken,
        &["xapp-"],
        "xapp-[0-9]-[0-9A-Z]{8,14}-[0-9]{8,14}-[0-9a-f]{64}",
        checks::random,
    ),
    // api.slack.com/messaging/webhooks (as in docs.slack.dev/tools/java-slack-sdk/guides/incoming-webhooks).
    part(
        Kind::SlackWebhook,
        &["hooks.slack"],
        r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([0-9A-Z]{8,14}/[0-9A-Za-z]{6,20}/[0-9A-Za-z]{16,64})",
        checks::last_part,
    ),
    // Observed: the number of the bot in base 64, a time, a signature.
    word(
        Kind::DiscordToken,
        &["."],
        r"[MNO][0-9A-Za-z]{23,25}\.[0-9A-Za-z_-]{6}\.[0-9A-Za-z_-]{26,37}[0-9A-Za-z_]",
        checks::discord,
    ),
    // Observed (getsentry's and Discord's own addresses: discord.com/api/webhooks/<number>/<token>).
    part(
        Kind::DiscordWebhook,
        &["/api/webhooks/"],
        r"discord(?:app)?\.com/api/webhooks/([0-9]{17,20}/[0-9A-Za-z_-]{59,79}[0-9A-Za-z_])",
        checks::last_part,
    ),
    // Observed; core.telegram.org/bots shows `110201543:AAHd…`, 35 characters behind the colon.
    word(
        Kind::TelegramToken,
        &[":AA"],
        "[0-9]{8,10}:AA[0-9A-Za-z_-]{33}",
        checks::telegram,
    ),
    // twilio.com/docs/sendgrid/ui/account-and-settings/api-keys: 69 characters; its three parts observed.
    word(
        Kind::SendgridKey,
        &["SG."],
        r"SG\.[0-9A-Za-z_-]{22}\.[0-9A-Za-z_-]{43}",
        checks::secret,
    ),
    // twilio.com/docs/glossary/what-is-a-sid: two letters and 32 hexadecimal digits; `SK` are keys.
    word(Kind::TwilioKey, &["SK"], "SK[0-9a-f]{32}", checks::secret),
    // Observed. documentation.mailgun.com/docs/mailgun/api-reference/authentication does not say.
    word(Kind::MailgunKey, &["key-"], "key-[0-9a-f]{32}", checks::random),
    word(
        Kind::MailgunKey,
        &["-"],
        "[0-9a-f]{32}-[0-9a-f]{8}-[0-9a-f]{8}",
        checks::random,
    ),
];

const SERVICES: &[Form] = &[
    // gitlab-org/gitlab issue 458019, in Stripe's words: `(sk|rk)_live_[0-9a-z]{10,128}`. Those for tests count too.
    word(
        Kind::StripeKey,
        &["sk_live_", "rk_live_", "sk_test_", "rk_test_"],
        "[rs]k_(?:live|test)_[0-9A-Za-z]{16,128}",
        checks::secret,
    ),
    // Observed.
    word(
        Kind::StripeKey,
        &["whsec_"],
        "whsec_[0-9A-Za-z+/]{32,64}",
        checks::secret,
    ),
    // shopify.dev/changelog "length-of-the-shopify-access-token-is-increasing", "app-secret-key-length-has-increased": 38 characters.
    word(
        Kind::ShopifyToken,
        &["shpat_", "shpca_", "shppa_", "shpss_"],
        "shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",
        checks::random,
    ),
];

const EVERYBODY: &[Form] = &[
    // RFC 3986, 3.2.1. The password only: what it is for stays readable. From the colon on: any word might be a scheme.
    form(
        Kind::UrlPassword,
        &["://"],
        r#"://[^\s:/@?#"'<>`]{0,64}:([^\s/@?#"'<>`]{1,200})@[0-9A-Za-z\[]"#,
        checks::url_password,
        true,
        false,
    ),
    // RFC 6750, RFC 7617; `token` as GitHub has it.
    part(
        Kind::Authorization,
        &["authorization"],
        r#"(?i:authorization["']?\s{0,4}[:=,]\s{0,4}["']?(?:bearer|basic|token)) {1,4}([0-9A-Za-z._~+/=-]{15,400}[0-9A-Za-z_=])"#,
        checks::credential,
    ),
    part(
        Kind::Authorization,
        &["bearer "],
        r"(?i:bearer) {1,4}([0-9A-Za-z._~+/=-]{23,400}[0-9A-Za-z_=])",
        checks::credential,
    ),
    // A name, a sign, a value in quotes: a password may be anything.
    form(
        Kind::Assignment,
        &["pass", "pwd"],
        r#"(?i:pass(?:word|wd|phrase|code)?|pwd)[0-9A-Za-z_]{0,20}["'\]]{0,2}\s{0,4}(?:=>|:=|={1,3}|:)\s{0,4}["'`]([!-!#-&(-_a-~]{6,200})["'`]"#,
        checks::password,
        true,
        false,
    ),
    // The same in other quotes or none: it has to look like one.
    form(
        Kind::Assignment,
        &["secret", "token", "key", "pass", "pwd", "credential"],
        r#"(?i:secret|token|(?:api|access|private|auth|signing|encryption|master|account)[ _-]?key|pass(?:word|wd|phrase|code)?|pwd|credentials?)[0-9A-Za-z_]{0,20}["'\]]{0,2}\s{0,4}(?:=>|:=|={1,3}|:)\s{0,4}["'`]?([0-9A-Za-z_.~+/=!@#$%^*-]{9,299}[0-9A-Za-z_=!])\b{end-half}"#,
        checks::assigned,
        true,
        false,
    ),
];
