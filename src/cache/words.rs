//! Words by which a question shows that its answer changes with time, or is about the asker.
//!
//! Whole words and pairs of them, in English, German, French and Spanish; no grammar, no allocation worth the name. The one idea:
//! a word found wrongly costs a call, a word missed serves yesterday's answer, so the lists lean towards finding. Words that say
//! something else in another of the languages, and often (`hier`, `actual`), count only in a pair.

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The answer changes with time.
    pub time: bool,
    /// It is about the asker.
    pub person: bool,
}

/// The answer changes with time.
#[rustfmt::skip]
const TIME: &[&str] = &[
    "today", "todays", "tonight", "tomorrow", "yesterday", "now", "nowadays", "current", "currently", "latest", "newest", "recent",
    "recently", "presently", "upcoming", "weather", "forecast", "news", "headlines", "breaking",
    "heute", "heutige", "heutigen", "heutiger", "heutiges", "gestern", "vorgestern", "morgen", "übermorgen", "jetzt", "aktuell",
    "aktuelle", "aktuellen", "aktueller", "aktuelles", "aktuellste", "aktuellsten", "derzeit", "derzeitige", "derzeitigen", "momentan",
    "gerade", "neueste", "neuesten", "neuester", "neuestes", "neuste", "neusten", "neustes", "kürzlich", "neulich", "wetter", "nachrichten",
    "wettervorhersage",
    "aujourd", "demain", "maintenant", "actuel", "actuelle", "actuels", "actuelles", "actuellement", "récent", "récente", "récents",
    "récentes", "récemment", "dernier", "dernière", "derniers", "dernières", "météo", "actualité", "actualités",
    "hoy", "mañana", "ayer", "ahora", "actualmente", "actualidad", "reciente", "recientes", "recientemente", "último", "última", "últimos",
    "últimas", "clima", "noticias",
];

/// The same, of two words in a row.
#[rustfmt::skip]
const TIME_PAIRS: &[(&str, &str)] = &[
    ("this", "week"), ("this", "weekend"), ("this", "month"), ("this", "year"), ("this", "morning"), ("this", "afternoon"),
    ("this", "evening"), ("this", "quarter"), ("this", "season"), ("last", "week"), ("last", "weekend"), ("last", "month"),
    ("last", "year"), ("last", "night"), ("next", "week"), ("next", "weekend"), ("next", "month"), ("next", "year"), ("what", "time"),
    ("what", "day"), ("what", "date"), ("what", "year"), ("the", "moment"), ("up", "to"), ("so", "far"), ("as", "of"), ("days", "ago"),
    ("weeks", "ago"), ("hours", "ago"), ("stock", "price"), ("share", "price"), ("exchange", "rate"),
    ("diese", "woche"), ("dieser", "woche"), ("dieses", "jahr"), ("diesem", "jahr"), ("diesen", "monat"), ("diesem", "monat"),
    ("letzte", "woche"), ("letzter", "woche"), ("letzten", "monat"), ("letztes", "jahr"), ("nächste", "woche"), ("nächsten", "monat"),
    ("nächstes", "jahr"), ("wie", "spät"), ("viel", "uhr"), ("im", "moment"), ("zur", "zeit"),
    ("cette", "semaine"), ("ce", "mois"), ("cette", "année"), ("ce", "soir"), ("ce", "matin"), ("ce", "moment"), ("quelle", "heure"),
    ("quel", "jour"), ("hier", "soir"), ("hier", "matin"), ("d", "hier"), ("semaine", "prochaine"), ("mois", "prochain"),
    ("esta", "semana"), ("este", "mes"), ("este", "año"), ("esta", "noche"), ("esta", "tarde"), ("qué", "hora"), ("que", "hora"),
    ("qué", "día"), ("semana", "pasada"), ("mes", "pasado"), ("año", "pasado"), ("actual", "presidente"), ("presidente", "actual"),
    ("precio", "actual"), ("versión", "actual"), ("estado", "actual"), ("situación", "actual"),
];

/// The asker's …
#[rustfmt::skip]
const OWN: &[&str] = &[
    "my", "our", "mein", "meine", "meinen", "meiner", "meinem", "meines", "unser", "unsere", "unseren", "unserer", "mon", "ma", "mes",
    "notre", "nos", "mi", "mis", "nuestro", "nuestra", "nuestros", "nuestras",
];

/// … things whose state only the application knows.
#[rustfmt::skip]
const THINGS: &[&str] = &[
    "order", "orders", "account", "accounts", "invoice", "invoices", "bill", "bills", "subscription", "password", "payment", "payments",
    "balance", "address", "appointment", "appointments", "booking", "bookings", "reservation", "ticket", "tickets", "delivery", "package",
    "parcel", "shipment", "refund", "contract", "claim", "profile", "name", "birthday", "age", "phone", "number", "email", "emails", "mail",
    "mails", "inbox", "calendar", "meeting", "meetings", "schedule", "salary", "tax", "taxes", "insurance", "loan", "mortgage", "card",
    "doctor", "medication", "prescription", "symptoms", "diagnosis", "location", "history", "usage", "plan", "credits",
    "bestellung", "bestellungen", "konto", "rechnung", "rechnungen", "abo", "abonnement", "passwort", "zahlung", "guthaben", "kontostand",
    "adresse", "termin", "termine", "buchung", "reservierung", "lieferung", "paket", "sendung", "erstattung", "vertrag", "profil",
    "geburtstag", "telefonnummer", "handynummer", "nummer", "kalender", "gehalt", "steuer", "steuern", "versicherung", "kredit", "karte",
    "arzt", "rezept", "kundennummer",
    "commande", "commandes", "compte", "facture", "factures", "mot", "paiement", "solde", "rendez", "réservation", "billet", "livraison",
    "colis", "remboursement", "contrat", "nom", "anniversaire", "téléphone", "numéro", "courriel", "calendrier", "salaire", "impôts",
    "assurance", "prêt", "carte", "médecin", "ordonnance",
    "pedido", "pedidos", "cuenta", "factura", "facturas", "suscripción", "contraseña", "pago", "pagos", "saldo", "dirección", "cita",
    "citas", "reserva", "billete", "entrega", "paquete", "envío", "reembolso", "contrato", "perfil", "nombre", "cumpleaños", "teléfono",
    "número", "correo", "calendario", "salario", "impuestos", "seguro", "préstamo", "tarjeta", "médico", "receta",
];

/// Words between `my` and the thing: `my last two orders`.
const BETWEEN: u8 = 3;

/// Longer words are in no list, in bytes.
const LONGEST: usize = 24;

/// Bit n of a byte's mask: a word of the list begins with that byte and has n bytes. Nearly all words end here.
type Masks = [u32; 256];

const fn mark(mut masks: Masks, word: &str) -> Masks {
    let bytes = word.as_bytes();
    #[allow(clippy::indexing_slicing, reason = "at compile time")]
    {
        masks[bytes[0] as usize] |= 1 << bytes.len();
    }
    masks
}

const fn of_list(mut masks: Masks, mut words: &[&str]) -> Masks {
    while let [first, rest @ ..] = words {
        masks = mark(masks, first);
        words = rest;
    }
    masks
}

/// Of the first or the second words of pairs.
const fn of_pairs(mut masks: Masks, mut pairs: &[(&str, &str)], second: bool) -> Masks {
    while let [first, rest @ ..] = pairs {
        masks = mark(masks, if second { first.1 } else { first.0 });
        pairs = rest;
    }
    masks
}

const NONE: Masks = [0; 256];
static TIME_MASKS: Masks = of_list(NONE, TIME);
static OWN_MASKS: Masks = of_list(NONE, OWN);
static THING_MASKS: Masks = of_list(NONE, THINGS);
static FIRST_MASKS: Masks = of_pairs(NONE, TIME_PAIRS, false);
static SECOND_MASKS: Masks = of_pairs(NONE, TIME_PAIRS, true);
/// Of words that mean something wherever they stand.
static ANY_MASKS: Masks = of_pairs(of_list(of_list(NONE, TIME), OWN), TIME_PAIRS, false);

fn may_be(masks: &Masks, first: u8, length: usize) -> bool {
    let mask = masks.get(usize::from(first)).copied().unwrap_or_default();
    length <= LONGEST && (mask >> length) & 1 == 1
}

/// The words so far.
#[derive(Default)]
struct Reader {
    found: Found,
    /// The last word, if it may be the first of a pair.
    before: String,
    /// Words that may still come between an [`OWN`] and its thing.
    owned: u8,
    /// A word in small letters.
    small: String,
}

impl Reader {
    /// Letters and digits of ASCII.
    fn ascii(&mut self, word: &[u8]) {
        let Some(first) = word.first().map(u8::to_ascii_lowercase) else {
            return;
        };
        let alone = self.owned == 0 && self.before.is_empty();
        if word.len() > LONGEST || (alone && !may_be(&ANY_MASKS, first, word.len())) {
            self.before.clear();
            self.owned = self.owned.saturating_sub(1);
            return;
        }
        let mut small = std::mem::take(&mut self.small);
        small.clear();
        small.extend(word.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        self.word(&small);
        self.small = small;
    }

    /// A word in small letters.
    fn word(&mut self, word: &str) {
        let Some(first) = word.as_bytes().first().copied() else {
            return;
        };
        let may_be = |masks| may_be(masks, first, word.len());
        let among = |masks, words: &[&str]| may_be(masks) && words.contains(&word);
        let pair = !self.before.is_empty() && may_be(&SECOND_MASKS);
        self.found.time |= among(&TIME_MASKS, TIME) || (pair && TIME_PAIRS.contains(&(self.before.as_str(), word)));
        self.found.person |= self.owned > 0 && among(&THING_MASKS, THINGS);
        self.owned = match among(&OWN_MASKS, OWN) {
            true => BETWEEN,
            false => self.owned.saturating_sub(1),
        };
        self.before.clear();
        if may_be(&FIRST_MASKS) {
            self.before.push_str(word);
        }
    }

    /// What stands between words.
    fn gap(&mut self, byte: u8) {
        if matches!(byte, b'.' | b'?' | b'!' | b';' | b'\n') {
            self.owned = 0;
            self.before.clear();
        }
    }
}

/// Look through a text.
pub fn found(text: &str) -> Found {
    let mut reader = Reader::default();
    let mut rest = text;
    while let Some(first) = rest.as_bytes().first().copied() {
        let end = rest.bytes().position(|byte| !byte.is_ascii_alphanumeric());
        let (word, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        if behind.bytes().next().is_none_or(|byte| byte.is_ascii()) {
            reader.ascii(word.as_bytes());
            if word.is_empty() {
                reader.gap(first);
            }
            rest = behind.get(usize::from(word.is_empty())..).unwrap_or_default();
        } else {
            rest = beyond_ascii(rest, &mut reader);
        }
    }
    reader.found.person |= has_address(text) || has_telephone(text);
    reader.found
}

/// A word, or what stands between words, that is not all ASCII; what is behind it.
fn beyond_ascii<'t>(text: &'t str, reader: &mut Reader) -> &'t str {
    let end = text
        .char_indices()
        .find(|(_, letter)| !letter.is_alphanumeric())
        .map_or(text.len(), |(at, letter)| if at == 0 { letter.len_utf8() } else { at });
    let (word, behind) = text.split_at_checked(end).unwrap_or((text, ""));
    if word.len() > LONGEST * 2 || !word.chars().all(char::is_alphanumeric) {
        reader.before.clear();
        reader.owned = reader.owned.saturating_sub(1);
    } else {
        reader.word(&word.to_lowercase());
    }
    behind
}

/// An e-mail address: letters on both sides of an `@`, and a dot behind it.
fn has_address(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'@', bytes).any(|at| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let host = bytes.get(at + 1..).unwrap_or_default();
        let end = host
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'.' | b'-'));
        let host = host.get(..end.unwrap_or(host.len())).unwrap_or_default();
        let dot = memchr::memchr(b'.', host);
        before.is_some_and(u8::is_ascii_alphanumeric)
            && dot.is_some_and(|dot| dot > 0 && host.get(dot + 1).is_some_and(u8::is_ascii_alphanumeric))
    })
}

/// A telephone number with its country: a plus and nine digits or more, spaces and the like between them.
fn has_telephone(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'+', bytes).any(|at| {
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let number = rest
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'(' | b')' | b'/' | b'.'));
        rest.first().is_some_and(u8::is_ascii_digit) && number.filter(|byte| byte.is_ascii_digit()).count() >= 9
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changes_with_time() {
        for text in [
            "What's the weather like?",
            "Who won the match yesterday",
            "LATEST iPhone?",
            "which films come out this week?",
            "What time is it in Tokyo?",
            "Wie wird das Wetter?",
            "Was kostet Gold heute?",
            "Was passiert übermorgen in Berlin?",
            "Wie spät ist es?",
            "Quel est le cours de l'or aujourd'hui ?",
            "les dernières nouvelles",
            "¿Qué hora es?",
            "¿Qué pasó ayer?",
            "el presidente actual de Perú",
        ] {
            assert!(found(text).time, "{text}");
        }
        for text in [
            "What is the capital of France?",
            "Explain todayish naming",
            "Was steht hier?",
            "What is the actual meaning of entropy?",
            "snow, knowledge, renowned",
            "Translate: the week has seven days",
            "",
        ] {
            assert!(!found(text).time, "{text}");
        }
    }

    #[test]
    fn what_is_about_the_asker() {
        for text in [
            "Where is my order?",
            "where are my last two orders",
            "Wo ist meine Bestellung 17?",
            "où est ma commande ?",
            "¿dónde está mi pedido?",
            "reset the password of jane.doe@example.com please",
            "call +49 170 123 45 67",
        ] {
            assert!(found(text).person, "{text}");
        }
        for text in [
            "How do I center my div?",
            "It is my. Order of magnitude?",
            "order of my integral equation solver routine account",
            "email @ home",
            "a@b",
            "1 + 1234",
            "decorators like @foo.bar",
        ] {
            assert!(!found(text).person, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_through(text in "\\PC{0,200}") {
            let _ = found(&text);
        }

        #[test]
        fn wherever_it_stands(before in "[a-z ]{0,40}", after in "[a-z ]{0,40}") {
            let text = format!("{before} TODAY {after}");
            prop_assert!(found(&text).time);
        }
    }
}
