//! What sorts of secrets are told apart: one for each that hands them out, or for each form that everybody uses.
//!
//! Not their forms (`rules`).

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident, $name:literal, $label:literal, $default:literal;)*) => {
        /// A sort of secret.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// As written: `aws_access_key`, …
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// Of its findings: `AWS_ACCESS_KEY`, …
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)*
                }
            }

            /// Looked for where nothing else is said: those whose form nothing else has.
            pub const fn is_default(self) -> bool {
                match self {
                    $(Self::$kind => $default,)*
                }
            }
        }
    };
}

kinds! {
    /// AWS: id of an access key. Not the secret half, but what finds it.
    AwsAccessKey, "aws_access_key", "AWS_ACCESS_KEY", true;
    /// AWS: secret access key, where it is called one.
    AwsSecretKey, "aws_secret_key", "AWS_SECRET_KEY", true;
    /// Amazon Bedrock: API key.
    BedrockKey, "bedrock_key", "BEDROCK_KEY", true;
    /// GitHub: personal (classic and fine-grained), OAuth, app and refresh tokens.
    GithubToken, "github_token", "GITHUB_TOKEN", true;
    /// GitLab: tokens of every sort that begins with `gl…-`.
    GitlabToken, "gitlab_token", "GITLAB_TOKEN", true;
    /// This gateway: virtual key.
    CirqueKey, "virtual_key", "CIRQUE_KEY", true;
    /// OpenAI: keys of projects, service accounts, administrators, users; others (DeepSeek, Moonshot) hand out the last form too.
    OpenaiKey, "openai_key", "OPENAI_KEY", true;
    /// Anthropic: API, administration and OAuth keys.
    AnthropicKey, "anthropic_key", "ANTHROPIC_KEY", true;
    /// OpenRouter.
    OpenrouterKey, "openrouter_key", "OPENROUTER_KEY", true;
    /// Groq.
    GroqKey, "groq_key", "GROQ_KEY", true;
    /// xAI.
    XaiKey, "xai_key", "XAI_KEY", true;
    /// Perplexity.
    PerplexityKey, "perplexity_key", "PERPLEXITY_KEY", true;
    /// Replicate.
    ReplicateKey, "replicate_key", "REPLICATE_KEY", true;
    /// NVIDIA.
    NvidiaKey, "nvidia_key", "NVIDIA_KEY", true;
    /// Hugging Face.
    HuggingfaceToken, "huggingface_token", "HUGGINGFACE_TOKEN", true;
    /// Google: API key (Gemini, Maps, Firebase).
    GoogleApiKey, "google_api_key", "GOOGLE_API_KEY", true;
    /// Google: OAuth client secret, access token, refresh token. The key of a service account is a `private_key`.
    GoogleOauth, "google_oauth", "GOOGLE_OAUTH", true;
    /// Azure: keys in connection strings, signatures of shared access.
    AzureKey, "azure_key", "AZURE_KEY", true;
    /// Slack: tokens of bots, users, apps, configurations.
    SlackToken, "slack_token", "SLACK_TOKEN", true;
    /// Slack: address that posts.
    SlackWebhook, "slack_webhook", "SLACK_WEBHOOK", true;
    /// Discord: token of a bot.
    DiscordToken, "discord_token", "DISCORD_TOKEN", true;
    /// Discord: address that posts.
    DiscordWebhook, "discord_webhook", "DISCORD_WEBHOOK", true;
    /// Telegram: token of a bot.
    TelegramToken, "telegram_token", "TELEGRAM_TOKEN", true;
    /// Stripe: secret and restricted keys, signing secret of webhooks.
    StripeKey, "stripe_key", "STRIPE_KEY", true;
    /// npm.
    NpmToken, "npm_token", "NPM_TOKEN", true;
    /// PyPI.
    PypiToken, "pypi_token", "PYPI_TOKEN", true;
    /// SendGrid.
    SendgridKey, "sendgrid_key", "SENDGRID_KEY", true;
    /// Twilio: id of an API key.
    TwilioKey, "twilio_key", "TWILIO_KEY", true;
    /// Mailgun: what the same could be is a hash that is called a key.
    MailgunKey, "mailgun_key", "MAILGUN_KEY", false;
    /// DigitalOcean.
    DigitaloceanToken, "digitalocean_token", "DIGITALOCEAN_TOKEN", true;
    /// Shopify.
    ShopifyToken, "shopify_token", "SHOPIFY_TOKEN", true;
    /// Databricks.
    DatabricksToken, "databricks_token", "DATABRICKS_TOKEN", true;
    /// Cloudflare: the forms with a prefix (since 2026), and keys of the origin's certificate authority.
    CloudflareToken, "cloudflare_token", "CLOUDFLARE_TOKEN", true;
    /// age: identity.
    AgeKey, "age_key", "AGE_KEY", true;
    /// A JSON Web Token that is signed.
    Jwt, "jwt", "JWT", true;
    /// A private key in PEM, from its first line to its last.
    PrivateKey, "private_key", "PRIVATE_KEY", true;
    /// The password in an address: `postgres://user:password@host`.
    UrlPassword, "url_password", "URL_PASSWORD", true;
    /// What stands in `Authorization: Bearer …` and `Basic …`.
    Authorization, "authorization", "AUTHORIZATION", true;
    /// What is given a name that secrets have: `password = "…"`, `API_KEY: …`. Finds what looks like one too.
    Assignment, "assignment", "SECRET", false;
}
