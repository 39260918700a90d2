//! The conversation as this API wants it: a system prompt apart, turns of user and assistant that alternate, a user's first,
//! results right behind the calls they answer and before anything else in their turn.
//!
//! Messages whose parts are all left out vanish, so that what stands on both sides of them is one turn. A system message within
//! the conversation stays where it is for models that take it there, which is behind a user's turn and before the assistant's
//! (build-with-claude/mid-conversation-system-messages, read 2026-11); else it moves to the system prompt and is named.

use super::content::{At, Blocks, Place};
use crate::wire::canonical::{Cache, Part, Request, Role, Thinking};
use crate::wire::json::JsonWriter;
use crate::wire::messages::blocks::write_text;

/// What stands in for a user where a conversation begins with the assistant.
const OPENING: &str = "[The conversation begins with your message.]";

/// A part and where it stands.
type Piece<'r> = (&'r Part<'r>, At);

/// One turn.
#[derive(Debug)]
struct Turn<'r> {
    place: Place,
    pieces: Vec<Piece<'r>>,
}

/// The conversation, ordered.
#[derive(Debug, Default)]
pub struct Turns<'r> {
    system: Vec<(&'r str, Option<Cache>)>,
    turns: Vec<Turn<'r>>,
}

impl<'r> Turns<'r> {
    /// Order a request's messages.
    /// `in_place`: the model takes system messages within the conversation.
    pub fn of(request: &'r Request<'r>, in_place: bool, blocks: &mut Blocks) -> Self {
        let mut all = Self::default();
        for (index, message) in request.messages.iter().enumerate() {
            if message.name.is_some() {
                blocks.dropped.push(format!("messages[{index}].name"));
            }
            let place = match message.role {
                Role::System | Role::Developer => {
                    all.system(index, &message.parts, in_place, blocks);
                    continue;
                }
                Role::User => Place::User,
                Role::Assistant => Place::Assistant,
            };
            all.message(index, &message.parts, place, blocks);
        }
        for turn in &mut all.turns {
            if turn.place == Place::User {
                turn.pieces
                    .sort_by_key(|(part, _)| !matches!(part, Part::ToolResult(_)));
            }
        }
        all
    }

    fn system(&mut self, message: usize, parts: &'r [Part<'r>], in_place: bool, blocks: &mut Blocks) {
        let behind = self.turns.last().map(|turn| turn.place);
        let stays = in_place && matches!(behind, Some(Place::User | Place::System));
        if behind.is_some() && !stays {
            blocks.dropped.push(moved(message));
        }
        for (part, piece) in parts.iter().enumerate() {
            let at = At {
                message,
                part,
                inner: None,
            };
            match piece {
                Part::Text { text, .. } if text.trim().is_empty() => {}
                Part::Text { .. } if stays => self.push(Place::System, (piece, at)),
                Part::Text { text, cache, .. } => self.system.push((text, *cache)),
                _ => blocks
                    .dropped
                    .push(format!("messages[{message}].content[{part}] (in a system message)")),
            }
        }
    }

    fn push(&mut self, place: Place, piece: Piece<'r>) {
        match self.turns.last_mut() {
            Some(turn) if turn.place == place => turn.pieces.push(piece),
            _ => self.turns.push(Turn {
                place,
                pieces: vec![piece],
            }),
        }
    }

    /// A user speaks on after a system message: that one cannot stay between them.
    fn move_up(&mut self, blocks: &mut Blocks) {
        let Some(turn) = self.turns.pop_if(|turn| turn.place == Place::System) else {
            return;
        };
        for (part, at) in turn.pieces {
            if let Part::Text { text, cache, .. } = part {
                blocks.dropped.push(moved(at.message));
                self.system.push((text, *cache));
            }
        }
    }

    fn message(&mut self, message: usize, parts: &'r [Part<'r>], place: Place, blocks: &mut Blocks) {
        let calls = place == Place::Assistant && parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        for (part, piece) in parts.iter().enumerate() {
            let at = At {
                message,
                part,
                inner: None,
            };
            // Blanks before a call were the model's own words, and are taken; what it thought is bound to them.
            let own_blank = calls && matches!(piece, Part::Text { text, .. } if !text.is_empty());
            if !own_blank && !blocks.takes(piece, place, at) {
                continue;
            }
            if place == Place::User {
                self.move_up(blocks);
            }
            self.push(place, (piece, at));
        }
    }

    /// Nothing but a system prompt, or not even that.
    pub fn nothing_said(&self) -> bool {
        self.turns.is_empty()
    }

    /// There is no system prompt.
    pub fn no_system(&self) -> bool {
        self.system.is_empty()
    }

    /// The assistant's turn that is to be continued was made without thinking, which a model told to think refuses: its
    /// answer is begun already, or its calls are being answered.
    pub fn continues_without_thinking(&self) -> bool {
        let mut back = self.turns.iter().rev().filter(|turn| turn.place != Place::System);
        let continued = match back.next() {
            Some(last) if last.place == Place::Assistant => Some(last),
            Some(last) if matches!(last.pieces.first(), Some((Part::ToolResult(_), _))) => back.next(),
            _ => None,
        };
        continued.is_some_and(|turn| !matches!(turn.pieces.first(), Some((Part::Thinking(Thinking { .. }), _))))
    }

    /// `"system":[…]`, if there is any; `note`: one more text behind it.
    pub fn write_system(&self, note: Option<&str>, json: &mut JsonWriter) {
        if (self.system.is_empty() || self.nothing_said()) && note.is_none() {
            return;
        }
        json.key("system").array(|json| {
            if !self.nothing_said() {
                for (text, cache) in &self.system {
                    write_text(text, &[], *cache, true, json);
                }
            }
            if let Some(note) = note {
                write_text(note, &[], None, true, json);
            }
        });
    }

    /// `"messages":[…]`; `mark`: a cache marker for the last block.
    pub fn write(&self, mark: Option<Cache>, blocks: &mut Blocks, json: &mut JsonWriter) {
        json.key("messages").begin_array();
        if self.nothing_said() {
            blocks
                .dropped
                .push("messages (a system prompt alone is sent as the user's)");
            said(json, |json| {
                for (text, cache) in &self.system {
                    write_text(text, &[], *cache, true, json);
                }
            });
        } else if self.turns.first().is_some_and(|turn| turn.place == Place::Assistant) {
            blocks
                .dropped
                .push("messages[0] (an assistant's first message needs a user's before it)");
            said(json, |json| write_text(OPENING, &[], None, true, json));
        }
        let last_turn = self.turns.len().saturating_sub(1);
        for (number, turn) in self.turns.iter().enumerate() {
            let last_piece = turn.pieces.len().saturating_sub(1);
            json.begin_object();
            json.field("role", role(turn.place));
            json.key("content").begin_array();
            for (index, (part, at)) in turn.pieces.iter().enumerate() {
                let last = number == last_turn && index == last_piece;
                let mark = mark.filter(|_| last);
                match part {
                    // The API refuses an answer begun with blanks at its end.
                    Part::Text { text, cache, .. } if last && turn.place == Place::Assistant => {
                        write_text(text.trim_end(), &[], cache.or(mark), true, json);
                    }
                    part => blocks.write(part, turn.place, *at, mark, json),
                }
            }
            json.end_array();
            json.end_object();
        }
        json.end_array();
    }
}

fn role(place: Place) -> &'static str {
    match place {
        Place::User | Place::Inner => "user",
        Place::Assistant => "assistant",
        Place::System => "system",
    }
}

fn moved(message: usize) -> String {
    format!("messages[{message}] (position of a system message)")
}

fn said(json: &mut JsonWriter, blocks: impl FnOnce(&mut JsonWriter)) {
    json.object(|json| {
        json.field("role", "user");
        json.key("content").array(blocks);
    });
}
