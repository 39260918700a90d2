//! Personal data with a form: addresses, numbers of people, of accounts, of telephones.
//!
//! Not names, places or dates of birth: those take a model, and are not claimed. The one idea: a kind is claimed only where a check digit
//! or an unmistakable form carries it; where the bare form is a number like any other, a word before it must say what it is. What has
//! next to no false alarms is on by default; who asks for a national number besides gets it bare, as often as its check digit lets a
//! random one pass (mostly one in ten or eleven of that length).

mod rules;
#[cfg(test)]
mod tests;
mod valid;

use super::scan::Scanner;
use super::{CONTEXT, Detector, Finding};
use crate::glob;
use std::ops::Range;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $label:literal,)*) => {
        /// A kind of personal data.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All there are. Of findings that begin at one place, the earlier here counts.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// As written: `email`, `us_itin`, …
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// What its findings are called, and what stands in their place: `EMAIL`, `US_ITIN`, …
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$kind => $label,)*
                }
            }
        }
    };
}

kinds! {
    /// An e-mail address.
    Email "email" "EMAIL",
    /// The number of a payment card: issuer, length and Luhn.
    Card "card" "CARD",
    /// A bank account, ISO 13616.
    Iban "iban" "IBAN",
    /// An American social security number, with separators or with a word before it.
    Ssn "ssn" "SSN",
    /// An address of IP version 4 or 6, with its zone or its prefix length.
    Ip "ip" "IP",
    /// An address of a network card.
    Mac "mac" "MAC",
    /// A wallet of Bitcoin, Litecoin, Dogecoin, Dash, Tron or Ethereum.
    Crypto "crypto" "CRYPTO_WALLET",
    /// A Mexican's CURP.
    MxCurp "mx_curp" "MX_CURP",
    /// An Italian's codice fiscale.
    ItFiscalCode "it_fiscal_code" "IT_FISCAL_CODE",
    /// A South Korean's resident registration number, with its dash.
    KrRrn "kr_rrn" "KR_RRN",
    /// A mainland Chinese resident's number.
    CnId "cn_id" "CN_ID",
    /// A Swiss AHV number.
    ChAhv "ch_ahv" "CH_AHV",
    /// An Indian goods and services tax number.
    InGstin "in_gstin" "IN_GSTIN",
    /// A Hong Kong identity card.
    HkId "hk_id" "HK_ID",
    /// An American health insurance number (Medicare beneficiary identifier).
    UsMbi "us_mbi" "US_MBI",
    /// An American taxpayer's number for who has no social security number.
    UsItin "us_itin" "US_ITIN",
    /// An American passport's number, with a word before it.
    UsPassport "us_passport" "US_PASSPORT",
    /// An American bank's routing number (ABA).
    UsRouting "us_bank_routing" "US_BANK_ROUTING",
    /// An American health care provider's number.
    UsNpi "us_npi" "US_NPI",
    /// An American prescriber's DEA number.
    UsDea "us_dea" "US_DEA",
    /// A Canadian's social insurance number.
    CaSin "ca_sin" "CA_SIN",
    /// A Brazilian's tax number.
    BrCpf "br_cpf" "BR_CPF",
    /// A Brazilian company's number.
    BrCnpj "br_cnpj" "BR_CNPJ",
    /// A Chilean's RUT.
    ClRut "cl_rut" "CL_RUT",
    /// An English NHS number.
    UkNhs "uk_nhs" "UK_NHS",
    /// A British national insurance number.
    UkNino "uk_nino" "UK_NINO",
    /// A Spaniard's NIF, or a foreigner's NIE.
    EsNif "es_nif" "ES_NIF",
    /// A Frenchman's NIR.
    FrNir "fr_nir" "FR_NIR",
    /// A German's tax identification number.
    DeTaxId "de_tax_id" "DE_TAX_ID",
    /// A Dutch burgerservicenummer.
    NlBsn "nl_bsn" "NL_BSN",
    /// A Belgian's national register number.
    BeRrn "be_rrn" "BE_RRN",
    /// A Pole's PESEL.
    PlPesel "pl_pesel" "PL_PESEL",
    /// A Finn's henkilötunnus.
    FiHetu "fi_hetu" "FI_HETU",
    /// A Swede's personnummer.
    SePersonnummer "se_personnummer" "SE_PERSONNUMMER",
    /// A Norwegian's fødselsnummer.
    NoFnr "no_fnr" "NO_FNR",
    /// A Turk's kimlik number.
    TrKimlik "tr_kimlik" "TR_KIMLIK",
    /// An Indian's Aadhaar.
    InAadhaar "in_aadhaar" "IN_AADHAAR",
    /// An Indian's permanent account number.
    InPan "in_pan" "IN_PAN",
    /// An Australian business number.
    AuAbn "au_abn" "AU_ABN",
    /// An Australian company number.
    AuAcn "au_acn" "AU_ACN",
    /// An Australian tax file number.
    AuTfn "au_tfn" "AU_TFN",
    /// An Australian Medicare card.
    AuMedicare "au_medicare" "AU_MEDICARE",
    /// A Singaporean's NRIC or a foreigner's FIN.
    SgNric "sg_nric" "SG_NRIC",
    /// A Thai's number.
    ThId "th_id" "TH_ID",
    /// A Japanese individual number.
    JpMyNumber "jp_my_number" "JP_MY_NUMBER",
    /// A South African's number.
    ZaId "za_id" "ZA_ID",
    /// An American social security number in nine digits that nothing says anything about.
    SsnBare "ssn_bare" "SSN",
    /// A telephone number: with its country, as Americans write theirs, with a trunk 0 and groups, or with a word beside it.
    Phone "phone" "PHONE",
}

impl Kind {
    /// What is looked for where nothing is said: what has next to no false alarms in prose, code and data.
    pub const DEFAULT: &[Self] = &[
        Self::Email,
        Self::Card,
        Self::Iban,
        Self::Ssn,
        Self::Ip,
        Self::Mac,
        Self::Crypto,
        Self::MxCurp,
        Self::ItFiscalCode,
        Self::KrRrn,
        Self::CnId,
        Self::ChAhv,
        Self::InGstin,
        Self::Phone,
    ];
}

/// The longest value that may be allowed, in bytes.
const ALLOWED_LENGTH: usize = 1024;

/// Finds personal data.
#[derive(Debug)]
pub struct Pii {
    scanner: Scanner,
    /// Kinds of the scanner's rules.
    kinds: Vec<Kind>,
    /// In lower case.
    allow: Vec<String>,
}

impl Pii {
    /// Look for these kinds; `allow` are values that are no findings, as [`glob`] patterns, whatever their case.
    ///
    /// # Errors
    /// No kinds; a value that is empty, allows everything or is longer than 1 KiB.
    pub fn new(kinds: &[Kind], allow: &[String]) -> Result<Self, String> {
        if kinds.is_empty() {
            return Err("no kinds to detect".to_owned());
        }
        if let Some(bad) = allow.iter().find(|value| value.trim_matches('*').is_empty()) {
            return Err(format!("`{bad}` would allow nothing or everything"));
        }
        if allow.iter().any(|value| value.len() > ALLOWED_LENGTH) {
            return Err(format!("a value that is allowed is longer than {ALLOWED_LENGTH} bytes"));
        }
        // In the order of `ALL`, whatever the operator's: it says which of two kinds counts.
        let wanted = Kind::ALL.iter().filter(|kind| kinds.contains(kind));
        let rules: Vec<_> = wanted
            .flat_map(|kind| rules::of(*kind).into_iter().map(|rule| (*kind, rule)))
            .collect();
        let (kinds, rules) = rules.into_iter().unzip();
        Ok(Self {
            scanner: Scanner::new(rules)?,
            kinds,
            allow: allow.iter().map(|value| value.to_lowercase()).collect(),
        })
    }

    fn allowed(&self, value: &str) -> bool {
        if self.allow.is_empty() {
            return false;
        }
        let value = value.to_ascii_lowercase();
        self.allow.iter().any(|pattern| glob::fits(pattern, &value))
    }
}

impl Detector for Pii {
    fn scan(&self, text: &str, from: usize, found: &mut Vec<Finding>) {
        self.scanner.scan(text, from, &|_| true, &mut |rule, span| {
            let Some(kind) = self.kinds.get(rule) else { return };
            let named = self.scanner.rules().get(rule).is_some_and(|rule| rule.group);
            let Some(span) = standing(*kind, named, text, span) else {
                return;
            };
            if !self.allowed(text.get(span.clone()).unwrap_or_default()) {
                found.push(Finding {
                    span,
                    label: kind.label(),
                });
            }
        });
    }

    fn open(&self, text: &str, from: usize) -> usize {
        self.scanner.open(text, from)
    }
}

/// What of a finding what stands around it leaves. Looks back [`CONTEXT`] bytes at most, and ahead only over what its own pattern would
/// go on with: that is not cut off from it.
fn standing(kind: Kind, named: bool, text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let value = bytes.get(span.clone())?;
    let before = bytes.get(span.start.saturating_sub(CONTEXT)..span.start)?;
    let behind = bytes.get(span.end..)?;
    let stands = match kind {
        Kind::Ip if value.contains(&b':') => {
            if before.last() == Some(&b':') && value.contains(&b'.') {
                // The version 4 address at its end stands all the same.
                let colon = value.iter().rposition(|byte| *byte == b':')?;
                return Some(span.start + colon + 1..span.end);
            }
            !within(before, behind) && !slice(before)
        }
        Kind::Ip => named || value.contains(&b'/') || !version(before) && !dotted(before, value, behind),
        Kind::Mac => {
            let separator = value.iter().copied().find(|byte| !byte.is_ascii_hexdigit());
            let more = behind.first().copied() == separator && behind.get(1).is_some_and(u8::is_ascii_hexdigit);
            before.last().copied() != separator && !more
        }
        Kind::Email | Kind::Crypto => true,
        _ if named => true,
        // The digits behind a decimal point are no number of anybody.
        _ if matches!(before, [.., b'0'..=b'9', b'.']) => false,
        // A place on earth: +340308-1181434.
        _ if value.first().is_some_and(u8::is_ascii_digit) && before.last() == Some(&b'+') => false,
        Kind::Phone if value.first() == Some(&b'0') => !series(before, behind),
        Kind::Ssn if value.get(3) == Some(&b' ') => !matches!(before, [.., b'0'..=b'9', b' ']),
        _ => true,
    };
    stands.then_some(span)
}

/// Whether an IPv6 address is a part of something longer with colons, which does not parse.
fn within(before: &[u8], behind: &[u8]) -> bool {
    let more = match behind {
        [b':' | b'.', next, ..] => next.is_ascii_hexdigit() || *next == b':',
        _ => false,
    };
    more || matches!(before.last(), Some(b':'))
}

/// Whether four numbers are some of more with dots between, as object identifiers are; an address may have one behind that begins
/// like no identifier.
fn dotted(before: &[u8], value: &[u8], behind: &[u8]) -> bool {
    let more = matches!(behind, [b'.', b'0'..=b'9', ..]);
    let large = value.iter().position(|byte| *byte == b'.') == Some(3);
    before.last() == Some(&b'.') || more && !large
}

/// Whether groups of digits go on before or behind: bytes in hex, columns, days.
fn series(before: &[u8], behind: &[u8]) -> bool {
    let more = matches!(behind, [b' ' | b'.' | b'-' | b'/', b'0'..=b'9', ..]);
    let bytes = match before {
        [.., a, b, b' '] => {
            a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && (a.is_ascii_digit() || b.is_ascii_digit())
        }
        _ => false,
    };
    let part = matches!(before.last(), Some(b'+' | b'-' | b'/' | b'.' | b'_'));
    more || bytes || part || matches!(before, [.., b'0'..=b'9', b' ' | b':'])
}

/// Whether it is what stands in the brackets of an expression: `a[1::200]`.
fn slice(before: &[u8]) -> bool {
    match before {
        [.., owner, b'['] => owner.is_ascii_alphanumeric() || matches!(owner, b'_' | b')' | b']'),
        _ => false,
    }
}

/// Whether four numbers are called a version or a chapter: `version 10.1.2.3`, `Chrome/120.0.0.0`.
fn version(before: &[u8]) -> bool {
    const WORDS: [&[u8]; 9] = [
        b"ersion",
        b"section",
        b"ections",
        b"release",
        b"chapter",
        b"clause",
        b"build",
        b"firmware",
        b"ver",
    ];
    if let [.., letter, b'/'] = before {
        return letter.is_ascii_alphabetic();
    }
    // In JSON no more of it is in sight.
    if before.eq_ignore_ascii_case(b"sion\": \"") {
        return true;
    }
    let letters = before
        .iter()
        .rposition(u8::is_ascii_alphabetic)
        .map_or(0, |last| last + 1);
    let word = before.get(..letters).unwrap_or_default().to_ascii_lowercase();
    WORDS.iter().any(|one| word.ends_with(one))
}
