//! The checked expression: one small tree per type, so that a node knows what its operands give.
//!
//! Not how it comes about ([`super::check`]) nor what it gives ([`super::eval`]). The idea: types are settled at load, so
//! evaluation matches on nodes and never on types, except where metadata or claims are read, whose types the request
//! decides ([`Any`]).

use super::clock::{Field, Window, Zone};
use super::facts::{Map, Need, Word};
use regex::Regex;

/// Why an expression gave nothing. The rule then does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A key that is not in the map.
    #[error("no such key")]
    NoKey,
    /// The client set no limit on output tokens.
    #[error("the client gave no max_tokens")]
    NoMaxTokens,
    /// A value of another type than the expression needs.
    #[error("a value of the wrong type")]
    WrongType,
    /// A number out of range.
    #[error("a number out of range")]
    Overflow,
    /// A division by zero.
    #[error("a division by zero")]
    DivisionByZero,
    /// A string that is no number.
    #[error("a string that is no number")]
    NotANumber,
    /// A place outside the list.
    #[error("a place outside the list")]
    OutOfList,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cmp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Cmp {
    /// The one that holds exactly where this does not (on values that are ordered).
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Eq => Self::Ne,
            Self::Ne => Self::Eq,
            Self::Lt => Self::Ge,
            Self::Le => Self::Gt,
            Self::Gt => Self::Le,
            Self::Ge => Self::Lt,
        }
    }

    /// The same with its sides exchanged.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            same => same,
        }
    }
}

/// Arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

/// How a string is looked for in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Find {
    Starts,
    Ends,
    Contains,
}

/// Gives a bool.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bool {
    Const(bool),
    Stream,
    Need(Need),
    Has(Map, Box<str>),
    HasMaxTokens,
    And(Vec<Bool>),
    Or(Vec<Bool>),
    Not(Box<Bool>),
    If(Box<(Bool, Bool, Bool)>),
    Str(Cmp, Str, Str),
    Int(Cmp, Int, Int),
    Double(Cmp, Double, Double),
    /// Types are compared too: metadata, claims, numbers of different types.
    Any(Cmp, Box<(Any, Any)>),
    InWords(Str, Vec<Box<str>>),
    InValues(Any, Vec<Any>),
    InTags(Str),
    InMap(Map, Str),
    /// In a list that a claim holds.
    InAny(Any, Any),
    Find(Find, Str, Str),
    Matches(Str, Pattern),
    Within(Window),
    /// `exists` (or `all`) of a list, with the element in variable `slot`.
    Each {
        all: bool,
        list: List,
        slot: usize,
        body: Box<Bool>,
    },
    /// Must turn out a bool.
    Get(Box<Any>),
}

/// Gives a string.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Str {
    Lit(Box<str>),
    Word(Word),
    Header(Box<Str>),
    Tag(Box<Int>),
    Var(usize),
    If(Box<(Bool, Str, Str)>),
    /// Must turn out a string.
    Get(Box<Any>),
}

/// Gives an int.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Int {
    Lit(i64),
    Tokens,
    MaxTokens,
    Now,
    Clock(Field, Zone),
    Op(Op, Box<(Int, Int)>),
    Neg(Box<Int>),
    Size(Box<Str>),
    Tags,
    SizeOf(Box<Any>),
    OfDouble(Box<Double>),
    OfStr(Box<Str>),
    OfAny(Box<Any>),
    If(Box<(Bool, Int, Int)>),
    /// Must turn out an int.
    Get(Box<Any>),
}

/// Gives a double.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Double {
    Lit(f64),
    Op(Op, Box<(Double, Double)>),
    Neg(Box<Double>),
    OfInt(Box<Int>),
    OfStr(Box<Str>),
    OfAny(Box<Any>),
    If(Box<(Bool, Double, Double)>),
    /// Must turn out a double.
    Get(Box<Any>),
}

/// Gives a value of whatever type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Any {
    Null,
    Bool(Box<Bool>),
    Int(Int),
    Double(Double),
    Str(Str),
    Get(Map, Str),
    If(Box<(Bool, Any, Any)>),
}

/// A list of strings.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum List {
    Words(Vec<Box<str>>),
    Tags,
    Get(Any),
}

/// A compiled regular expression; equal when written alike.
#[derive(Debug, Clone)]
pub(super) struct Pattern(pub(super) Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
