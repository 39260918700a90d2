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

/// Whether any word of a list begins with a byte and has a length: bit n of a byte's mask. Most words end here.
const fn masks(lists: &[&[&str]]) -> [u32; 256] {
    let mut masks = [0; 256];
    let mut list = 0;
    while list < lists.len() {
        #[allow(clippy::indexing_slicing, reason = "at compile time")]
        let words = lists[list];
        let mut at = 0;
        while at < words.len() {
            #[allow(clippy::indexing_slicing, reason = "at compile time")]
            let word = words[at].as_bytes();
            #[allow(clippy::indexing_slicing, reason = "at compile time")]
            {
                masks[word[0] as usize] |= 1 << word.len();
            }
            at += 1;
        }
        list += 1;
    }
    masks
}

static TIME_MASKS: [u32; 256] = masks(&[TIME]);
static OWN_MASKS: [u32; 256] = masks(&[OWN]);
static THING_MASKS: [u32; 256] = masks(&[THINGS]);

/// First words of pairs.
static FIRST_MASKS: [u32; 256] = {
    let mut masks = [0; 256];
    let mut at = 0;
    while at < TIME_PAIRS.len() {
        #[allow(clippy::indexing_slicing, reason = "at compile time")]
        let word = TIME_PAIRS[at].0.as_bytes();
        #[allow(clippy::indexing_slicing, reason = "at compile time")]
        {
            masks[word[0] as usize] |= 1 << word.len();
        }
        at += 1;
    }
    masks
};

fn may_be(masks: &[u32; 256], word: &str) -> bool {
    let first = word.as_bytes().first().copied().unwrap_or_default();
    masks
        .get(usize::from(first))
        .is_some_and(|mask| mask >> word.len() & 1 == 1)
}

/// The words so far.
#[derive(Default)]
struct Reader {
    found: Found,
    /// The last word, if it may be the first of a pair.
    before: String,
    /// Words that may still come between an [`OWN`] and its thing.
    owned: u8,
}

impl Reader {
    fn word(&mut self, word: &str) {
        if word.is_empty() || word.len() > LONGEST {
            self.before.clear();
            return;
        }
        let among = |masks, words: &[&str]| may_be(masks, word) && words.contains(&word);
        self.found.time |=
            among(&TIME_MASKS, TIME) || (!self.before.is_empty() && TIME_PAIRS.contains(&(self.before.as_str(), word)));
        self.found.person |= self.owned > 0 && among(&THING_MASKS, THINGS);
        self.owned = match among(&OWN_MASKS, OWN) {
            true => BETWEEN,
            false => self.owned.saturating_sub(1),
        };
        self.before.clear();
        if may_be(&FIRST_MASKS, word) {
            self.before.push_str(word);
        }
    }

    /// A sentence is over.
    fn stop(&mut self) {
        self.owned = 0;
        self.before.clear();
    }
}

/// Look through a text.
pub fn found(text: &str) -> Found {
    let mut reader = Reader::default();
    let mut word = String::with_capacity(LONGEST * 2);
    for letter in text.chars() {
        // The rest of a very long word is as little in a list as its beginning.
        let room = word.len() <= LONGEST;
        if letter.is_ascii_alphanumeric() {
            if room {
                word.push(letter.to_ascii_lowercase());
            }
        } else if !letter.is_ascii() && letter.is_alphanumeric() {
            if room {
                word.extend(letter.to_lowercase());
            }
        } else {
            reader.word(&word);
            word.clear();
            if matches!(letter, '.' | '?' | '!' | ';' | '\n') {
                reader.stop();
            }
        }
    }
    reader.word(&word);
    reader.found.person |= has_address(text) || has_telephone(text);
    reader.found
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
