//! The patterns of every kind, with what is asked of what they match.
//!
//! Not what the checks are (`valid`). The one idea: a pattern only cuts a candidate out; whether it is one its validator says. Between a
//! word and the number it names stand words from a short list and a few signs, never anything at all: what may follow such a word is
//! held back in a stream.

use super::super::scan::Rule;
use super::Kind;
use super::valid::{americas, europe, money, net, pacific, phone};

/// Countries and the length of their IBANs (registry of SWIFT, release 99).
const IBAN: &str = concat!(
    "(?i)(?:",
    r"NO\d\d(?:[ -]?[A-Z\d]{4}){2}[ -]?[A-Z\d]{3}",
    r"|BE\d\d(?:[ -]?[A-Z\d]{4}){3}",
    r"|(?:DK|FI|FK|FO|GL|NL|SD)\d\d(?:[ -]?[A-Z\d]{4}){3}[ -]?[A-Z\d]{2}",
    r"|(?:MK|SI)\d\d(?:[ -]?[A-Z\d]{4}){3}[ -]?[A-Z\d]{3}",
    r"|(?:AT|BA|EE|KZ|LT|LU|MN|XK)\d\d(?:[ -]?[A-Z\d]{4}){4}",
    r"|(?:CH|HR|LI|LV)\d\d(?:[ -]?[A-Z\d]{4}){4}[ -]?[A-Z\d]",
    r"|(?:BG|BH|CR|DE|GB|GE|IE|ME|RS|VA)\d\d(?:[ -]?[A-Z\d]{4}){4}[ -]?[A-Z\d]{2}",
    r"|(?:AE|GI|IL|IQ|OM|SO|TL)\d\d(?:[ -]?[A-Z\d]{4}){4}[ -]?[A-Z\d]{3}",
    r"|(?:AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG)\d\d(?:[ -]?[A-Z\d]{4}){5}",
    r"|(?:LY|PT|ST)\d\d(?:[ -]?[A-Z\d]{4}){5}[ -]?[A-Z\d]",
    r"|(?:IS|TR)\d\d(?:[ -]?[A-Z\d]{4}){5}[ -]?[A-Z\d]{2}",
    r"|(?:BI|DJ|FR|GR|IT|MC|MR|SM)\d\d(?:[ -]?[A-Z\d]{4}){5}[ -]?[A-Z\d]{3}",
    r"|(?:AL|AZ|BY|CY|DO|GT|HN|HU|LB|NI|PL|SV)\d\d(?:[ -]?[A-Z\d]{4}){6}",
    r"|(?:BR|EG|PS|QA|UA)\d\d(?:[ -]?[A-Z\d]{4}){6}[ -]?[A-Z\d]",
    r"|(?:JO|KW|MU|YE)\d\d(?:[ -]?[A-Z\d]{4}){6}[ -]?[A-Z\d]{2}",
    r"|(?:MT|SC)\d\d(?:[ -]?[A-Z\d]{4}){6}[ -]?[A-Z\d]{3}",
    r"|LC\d\d(?:[ -]?[A-Z\d]{4}){7}",
    r"|RU\d\d(?:[ -]?[A-Z\d]{4}){7}[ -]?[A-Z\d]",
    ")",
);

/// What may stand between a word and its number.
macro_rules! named {
    ($words:literal, $number:literal) => {
        concat!(
            "(?i)(?:",
            $words,
            r")(?:[ _.,:-]{0,2}(?:number|num|no|nr|id|code|is|was|ending|us|me|my)){0,4}[ :=#?.,'\x22\n\t-]{1,6}(",
            $number,
            ")"
        )
    };
}

/// An IPv6 address as candidate: two colons at least.
macro_rules! ipv6 {
    ($behind:literal) => {
        concat!(
            r"(?:(?:[\dA-Fa-f]{1,4}:[\dA-Fa-f]{0,4}:|::)[\dA-Fa-f:.]{0,37}[\dA-Fa-f:]|[\dA-Fa-f]{1,4}::|::)",
            $behind
        )
    };
}

/// A telephone number's digits and what separates them.
macro_rules! dial {
    ($before:literal, $behind:literal) => {
        concat!($before, r"(?:\+\(?|\()?\d[\d ().\/-]{5,20}\d", $behind)
    };
}

/// A rule of whole words.
const fn rule(label: &'static str, pattern: &'static str, valid: fn(&str) -> bool) -> Rule {
    Rule {
        label,
        pattern,
        group: false,
        word: true,
        valid: Some(valid),
        prefilter: None,
    }
}

/// A rule whose finding is group 1; what stands around it names it.
const fn beside(label: &'static str, pattern: &'static str, valid: fn(&str) -> bool) -> Rule {
    Rule {
        group: true,
        ..rule(label, pattern, valid)
    }
}

/// With literals of which every match holds one.
const fn with(rule: Rule, prefilter: &'static [&'static str]) -> Rule {
    Rule {
        prefilter: Some(prefilter),
        ..rule
    }
}

/// For patterns that say all there is to say.
const fn always(_: &str) -> bool {
    true
}

/// The rules of a kind; of those that match from one place the first counts.
pub fn of(kind: Kind) -> Vec<Rule> {
    match kind {
        Kind::Email | Kind::Ip | Kind::Mac => machines(kind),
        Kind::Card | Kind::Iban | Kind::Crypto | Kind::UsRouting => money_of(kind),
        Kind::Phone => phones(),
        _ => people(kind),
    }
}

fn machines(kind: Kind) -> Vec<Rule> {
    let label = kind.label();
    match kind {
        Kind::Email => vec![with(
            rule(
                label,
                r"[A-Za-z0-9_+][A-Za-z0-9._%+'-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]{0,38}\.){1,4}(?:xn--[A-Za-z0-9-]{1,40}[A-Za-z0-9]|[A-Za-z]{2,24})",
                net::email,
            ),
            &["@"],
        )],
        Kind::Ip => vec![
            rule(label, ipv6!(r"%[0-9A-Za-z]{1,15}"), net::ipv6),
            rule(label, ipv6!(r"/\d{1,3}"), net::ipv6),
            rule(label, ipv6!(""), net::ipv6),
            rule(label, r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}/\d{1,2}", net::ipv4),
            rule(label, r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", net::ipv4),
            // Called one, it may be as short as a version.
            beside(
                label,
                r"(?i)(?:ip|ipv4|[a-z]{1,12}_ip|ip address|ip addr|remote_addr)(?: is| was)?[ :=\x22]{1,4}(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})",
                net::ipv4_named,
            ),
            // By itself `::` is punctuation.
            beside(
                label,
                r"(?i)(?:(?:ipv6|unspecified) |(?:src|dst|source|destination|addr|address|bind|listen|host|ip|ipv6|gateway)=)(::)",
                always,
            ),
        ],
        _ => vec![
            rule(label, r"[\dA-Fa-f]{2}(?:[:-][\dA-Fa-f]{2}){5}", net::mac),
            rule(label, r"[\dA-Fa-f]{4}\.[\dA-Fa-f]{4}\.[\dA-Fa-f]{4}", net::mac),
        ],
    }
}

fn money_of(kind: Kind) -> Vec<Rule> {
    let label = kind.label();
    match kind {
        Kind::Card => vec![
            rule(label, r"\d{14,16}", money::card),
            rule(label, r"\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{3}", money::card_named),
            rule(label, r"\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}", money::card),
            rule(label, r"\d{4}[ -]\d{6}[ -]\d{4,5}", money::card),
            beside(
                label,
                named!(
                    "cards?|cc|visa|mastercard|amex|american express|maestro|discover|diners|jcb|unionpay",
                    r"\d[\d -]{10,21}\d"
                ),
                money::card_named,
            ),
        ],
        Kind::Iban => vec![rule(label, IBAN, money::iban)],
        Kind::Crypto => vec![
            with(rule(label, "0x[0-9A-Fa-f]{40}", money::ethereum), &["0x"]),
            with(
                rule(label, "(?:bc1|ltc1|BC1|LTC1)[02-9A-Za-z]{11,71}", money::bech32),
                &["bc1", "ltc1"],
            ),
            rule(label, "[13DLMTX79A][1-9A-HJ-NP-Za-km-z]{25,34}", money::base58check),
        ],
        _ => vec![rule(label, r"\d{4}-\d{4}-\d|\d{9}", money::routing)],
    }
}

fn phones() -> Vec<Rule> {
    let label = Kind::Phone.label();
    vec![
        // With an extension first: of two that begin at one place the first counts.
        rule(
            label,
            r"(?:\+?\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]\d{4} ?(?i:x|ext\.? ?)\d{1,6}",
            phone::american,
        ),
        rule(
            label,
            r"\+\(?\d[\d ().\/-]{6,20}\d ?(?i:x|ext\.? ?)\d{1,6}",
            phone::international,
        ),
        rule(label, r"\+\(?\d[\d ().\/-]{6,20}\d", phone::international),
        rule(
            label,
            r"(?:\d{1,3}[.-]|1 )?\(\d{3}\)[ .-]?\d{3}[ .-]\d{4}",
            phone::american,
        ),
        rule(label, r"(?:\d{1,3}[.-])?\d{3}[.-]\d{3}[.-]\d{4}", phone::american),
        beside(
            label,
            named!(
                "(?:tele|cell|mobile)?phone|tel|telephone|mobile|mob|cell|(?:tele)?fax|desk|landline|whatsapp|hotline|gsm|handy|sms",
                r"(?:\+\(?|\()?\d[\d ().\/-]{5,20}\d"
            ),
            phone::named,
        ),
        beside(
            label,
            dial!(
                "(?i)(?:call|calling|dial|text|texting|ring|reach|reached|message|messages|contact|answering|answer|write)(?: (?:me|us|him|her|them|back|again|now|my|number)){0,3}(?: (?:at|on|to|via|me|us|him|her|them|back))[ :]{1,2}(",
                ")"
            ),
            phone::named,
        ),
        rule(label, r"00\d[\d .\/-]{6,20}\d", phone::dialled),
        rule(label, r"\(?0\d{1,4}\)?(?:[ .\/-]\d{2,8}){1,4}", phone::trunk),
        rule(label, r"1[3-9]\d-\d{4}-\d{4}", phone::chinese),
        // In one piece it is like any other number of eleven digits: 16 GiB are 17179869184 bytes.
        beside(label, named!("number", r"1[3-9]\d{9}"), phone::chinese),
        // Letterheads put the word behind. This rule also is in progress over all that `standing` looks ahead at.
        beside(
            label,
            dial!("(", r")[ -]{1,2}(?i:\(?(?:office|fax|mobile|cell|home|work|desk|tel))"),
            phone::named,
        ),
    ]
}

fn people(kind: Kind) -> Vec<Rule> {
    let label = kind.label();
    let one = |pattern, valid| vec![rule(label, pattern, valid)];
    match kind {
        Kind::Ssn => vec![
            rule(label, r"\d{3}[ .-]\d{2}[ .-]\d{4}", americas::ssn),
            beside(
                label,
                named!(
                    "ssn|social security|social insurance|social",
                    r"\d{3}[ .-]?\d{2}[ .-]?\d{4}"
                ),
                americas::ssn,
            ),
        ],
        Kind::SsnBare => one(r"\d{9}|\d{3}-\d{6}|\d{5}-\d{4}", americas::ssn),
        Kind::UsItin => one(r"9\d{2}[ -]?\d{2}[ -]?\d{4}", americas::itin),
        Kind::UsNpi => one(r"[12]\d{9}|[12]\d{3}[ -]\d{3}[ -]\d{3}", americas::npi),
        Kind::UsDea => one("(?i)[ABCDEFGHJKLMPRSTUX][A-Z9]\\d{7}", americas::dea),
        Kind::UsMbi => one(
            r"[1-9][AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d-?[AC-HJKMNP-RT-Y][AC-HJKMNP-RT-Y\d]\d-?[AC-HJKMNP-RT-Y]{2}\d{2}",
            always,
        ),
        Kind::UsPassport => vec![beside(label, named!("passport", r"[A-Z]?\d{8,9}"), passport)],
        Kind::CaSin => one(r"\d{3}[ -]\d{3}[ -]\d{3}|\d{9}", americas::ca_sin),
        Kind::BrCpf => one(r"\d{3}\.\d{3}\.\d{3}-\d{2}|\d{11}", americas::br_cpf),
        Kind::BrCnpj => one(r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}|\d{14}", americas::br_cnpj),
        Kind::ClRut => one(r"\d{1,2}\.\d{3}\.\d{3}-[\dKk]|\d{7,8}-[\dKk]", americas::cl_rut),
        Kind::MxCurp => one(
            r"[A-Z][AEIOUX][A-Z]{2}\d{6}[HMX][A-Z]{2}[B-DF-HJ-NP-TV-Z]{3}[A-Z\d]\d",
            americas::mx_curp,
        ),
        Kind::InAadhaar => one(r"\d{4}[ -]\d{4}[ -]\d{4}|\d{12}", pacific::in_aadhaar),
        Kind::InPan => one(r"[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]", always),
        Kind::InGstin => one(r"\d{2}[A-Z]{5}\d{4}[A-Z][1-9A-Z]Z[\dA-Z]", pacific::in_gstin),
        Kind::AuAbn => one(r"\d{2} \d{3} \d{3} \d{3}|\d{11}", pacific::au_abn),
        Kind::AuAcn => one(r"\d{3} \d{3} \d{3}|\d{9}", pacific::au_acn),
        Kind::AuTfn => one(r"\d{3}[ -]\d{3}[ -]\d{3}|\d{9}", pacific::au_tfn),
        Kind::AuMedicare => one(r"\d{4}[ -]\d{5}[ -]\d|\d{10,11}", pacific::au_medicare),
        Kind::SgNric => one(r"(?i)[STFGM]\d{7}[A-Z]", pacific::sg_nric),
        Kind::KrRrn => one(r"\d{6}-[1-8]\d{6}", pacific::kr_rrn),
        Kind::CnId => one(r"[1-8]\d{16}[\dXx]", pacific::cn_id),
        Kind::ThId => one(r"\d-\d{4}-\d{5}-\d{2}-\d|\d{13}", pacific::th_id),
        Kind::JpMyNumber => one(r"\d{4}[ -]\d{4}[ -]\d{4}|\d{12}", pacific::jp_my_number),
        Kind::HkId => one(r"[A-Z]{1,2}\d{6}\([\dA]\)", pacific::hk_id),
        Kind::ZaId => one(r"\d{13}", pacific::za_id),
        _ => europeans(kind),
    }
}

fn europeans(kind: Kind) -> Vec<Rule> {
    let label = kind.label();
    let one = |pattern, valid| vec![rule(label, pattern, valid)];
    match kind {
        Kind::UkNhs => one(r"\d{3}[ -]\d{3}[ -]\d{4}|\d{10}", europe::uk_nhs),
        Kind::UkNino => one(
            r"(?i)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]",
            europe::uk_nino,
        ),
        Kind::EsNif => one(r"(?i)(?:\d{8}|[XYZ]-?\d{7})-?[A-HJ-NP-TV-Z]", europe::es_nif),
        Kind::ItFiscalCode => one(
            r"(?i)[A-Z]{6}[\dLMNP-V]{2}[A-EHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]",
            europe::it_fiscal_code,
        ),
        Kind::PlPesel => one(r"\d{11}", europe::pl_pesel),
        Kind::FiHetu => one(r"(?i)\d{6}[-+A-FU-Y]\d{3}[\dA-Y]", europe::fi_hetu),
        Kind::SePersonnummer => one(r"\d{6}(?:\d{2})?[-+]\d{4}|\d{12}|\d{10}", europe::se_personnummer),
        Kind::NoFnr => one(r"\d{6} ?\d{5}", europe::no_fnr),
        Kind::DeTaxId => one(r"\d{2} \d{3} \d{3} \d{3}|\d{11}", europe::de_tax_id),
        Kind::FrNir => one(
            r"[12] ?\d{2} ?\d{2} ?(?:\d{2}|2[ABab]) ?\d{3} ?\d{3} ?\d{2}",
            europe::fr_nir,
        ),
        Kind::NlBsn => one(r"\d{4}\.\d{2}\.\d{3}|\d{9}", europe::nl_bsn),
        Kind::BeRrn => one(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}|\d{11}", europe::be_rrn),
        Kind::ChAhv => one(r"756\.\d{4}\.\d{4}\.\d{2}|756\d{10}", europe::ch_ahv),
        Kind::TrKimlik => one(r"\d{11}", europe::tr_kimlik),
        _ => Vec::new(),
    }
}

/// Nine characters, the first perhaps a letter.
fn passport(text: &str) -> bool {
    text.len() == 9
}
