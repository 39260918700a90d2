//! Expressions as text: where a part begins, what it says, which parts a chain has.
//!
//! The parser gives no spans of whole parts, so a part is written out anew from the tree; spacing and needless
//! parentheses are normalised by that.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

/// The operands of `a && b && c`, however the parser has paired them.
pub(super) fn chain<'e>(expr: &'e IdedExpr, operator: &str) -> Vec<&'e IdedExpr> {
    let (mut parts, mut open) = (Vec::new(), vec![expr]);
    while let Some(part) = open.pop() {
        match &part.expr {
            Expr::Call(call) if call.func_name == operator && call.target.is_none() => {
                open.extend(call.args.iter().rev());
            }
            _ => parts.push(part),
        }
    }
    parts
}

/// Deepest nesting of an expression: brackets, and operators that hang on each other.
const DEEPEST: usize = 40;

/// Where an expression is nested too deeply for a parser that recurses; checked before it sees it. Counts open brackets
/// and, within each, the operators since the last `&&`, `||` or `,`, so it never counts less than the depth of the tree.
pub(super) fn too_deep(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let (mut levels, mut at) = (vec![0usize], 0);
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        match byte {
            b'"' | b'\'' => {
                let raw = at.checked_sub(1).and_then(|before| bytes.get(before));
                at += string_length(rest, byte, matches!(raw, Some(b'r' | b'R')));
                continue;
            }
            b'(' | b'[' | b'{' => levels.push(1),
            b')' | b']' | b'}' if levels.len() > 1 => {
                // What follows hangs on what was inside.
                let inside = levels.pop().unwrap_or(0);
                if let Some(top) = levels.last_mut() {
                    *top += inside.min(1);
                }
            }
            b',' | b'&' | b'|' => {
                if let Some(top) = levels.last_mut() {
                    *top = 0;
                }
            }
            b'+' | b'-' | b'*' | b'/' | b'%' | b'?' | b'.' | b'!' | b'<' | b'>' | b'=' => {
                if let Some(top) = levels.last_mut() {
                    *top += 1;
                }
            }
            _ => {}
        }
        if levels.iter().sum::<usize>() > DEEPEST {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Length of the string literal that `rest` begins with.
fn string_length(rest: &[u8], quote: u8, raw: bool) -> usize {
    let width = if rest.starts_with(&[quote; 3]) { 3 } else { 1 };
    let end = [quote; 3];
    let end = end.get(..width).unwrap_or_default();
    let mut at = width;
    while let Some(&byte) = rest.get(at) {
        if rest.get(at..).is_some_and(|rest| rest.starts_with(end)) {
            return at + width;
        }
        at += if byte == b'\\' && !raw { 2 } else { 1 };
    }
    rest.len()
}

/// Whether a fold is `all` (or `exists`), and its condition; `None` for other folds.
pub(super) fn quantifier(each: &ComprehensionExpr) -> Option<(bool, &IdedExpr)> {
    let Expr::Literal(LiteralValue::Boolean(all)) = &each.accu_init.expr else {
        return None;
    };
    let Expr::Call(step) = &each.loop_step.expr else {
        return None;
    };
    let operator = if *all.inner() {
        operators::LOGICAL_AND
    } else {
        operators::LOGICAL_OR
    };
    match step.args.as_slice() {
        [_, body] if step.func_name == operator && each.iter_var2.is_none() => Some((*all.inner(), body)),
        _ => None,
    }
}

/// Byte offset of the first token of a part.
pub(super) fn start(expr: &IdedExpr, info: &SourceInfo) -> usize {
    let own = info.offset_for(expr.id).map(|(start, _)| start as usize);
    let first = match &expr.expr {
        Expr::Call(call) => call.target.as_deref().or(match call.func_name.as_str() {
            name if infix(name).is_some() || matches!(name, operators::INDEX | operators::CONDITIONAL) => {
                call.args.first()
            }
            _ => None,
        }),
        Expr::Select(select) => Some(&*select.operand),
        Expr::Comprehension(each) => Some(&each.iter_range),
        _ => None,
    };
    match first {
        Some(first) => start(first, info).min(own.unwrap_or(usize::MAX)),
        None => own.unwrap_or(0),
    }
}

fn infix(name: &str) -> Option<(&'static str, u8)> {
    Some(match name {
        operators::LOGICAL_OR => ("||", 1),
        operators::LOGICAL_AND => ("&&", 2),
        operators::EQUALS => ("==", 3),
        operators::NOT_EQUALS => ("!=", 3),
        operators::LESS => ("<", 3),
        operators::LESS_EQUALS => ("<=", 3),
        operators::GREATER => (">", 3),
        operators::GREATER_EQUALS => (">=", 3),
        operators::IN => ("in", 3),
        operators::ADD => ("+", 4),
        operators::SUBSTRACT => ("-", 4),
        operators::MULTIPLY => ("*", 5),
        operators::DIVIDE => ("/", 5),
        operators::MODULO => ("%", 5),
        _ => return None,
    })
}

/// What a part says.
pub(super) fn of(expr: &IdedExpr) -> String {
    let mut out = String::new();
    write(&mut out, expr, 0);
    out
}

/// Binding of everything that needs no parentheses.
const TIGHT: u8 = 7;

fn write(out: &mut String, expr: &IdedExpr, outer: u8) {
    match &expr.expr {
        Expr::Literal(literal) => literal_text(out, literal),
        Expr::Ident(name) => out.push_str(name),
        Expr::Select(select) => {
            out.push_str(if select.test { "has(" } else { "" });
            write(out, &select.operand, TIGHT);
            out.push('.');
            out.push_str(&select.field);
            out.push_str(if select.test { ")" } else { "" });
        }
        Expr::Call(call) => call_text(out, call, outer),
        Expr::List(list) => {
            out.push('[');
            commas(out, list.elements.iter());
            out.push(']');
        }
        Expr::Comprehension(each) => {
            write(out, &each.iter_range, TIGHT);
            match quantifier(each) {
                Some((all, body)) => {
                    out.push_str(if all { ".all(" } else { ".exists(" });
                    out.push_str(&each.iter_var);
                    out.push_str(", ");
                    write(out, body, 0);
                    out.push(')');
                }
                None => out.push_str(".…"),
            }
        }
        Expr::Map(_) | Expr::Struct(_) => out.push_str("{…}"),
        Expr::Unspecified => {}
    }
}

fn call_text(out: &mut String, call: &CallExpr, outer: u8) {
    let name = call.func_name.as_str();
    match (infix(name), call.target.as_deref(), call.args.as_slice()) {
        (Some((sign, binding)), None, [left, right]) => grouped(out, binding, outer, |out| {
            write(out, left, binding);
            out.push(' ');
            out.push_str(sign);
            out.push(' ');
            write(out, right, binding + u8::from(binding > 2));
        }),
        (_, None, [condition, yes, no]) if name == operators::CONDITIONAL => grouped(out, 0, outer, |out| {
            write(out, condition, 1);
            out.push_str(" ? ");
            write(out, yes, 1);
            out.push_str(" : ");
            write(out, no, 0);
        }),
        (_, None, [map, key]) if name == operators::INDEX => {
            write(out, map, TIGHT);
            out.push('[');
            write(out, key, 0);
            out.push(']');
        }
        (_, None, [part]) if matches!(name, operators::LOGICAL_NOT | operators::NEGATE) => {
            out.push_str(if name == operators::NEGATE { "-" } else { "!" });
            write(out, part, 6);
        }
        (_, target, arguments) => {
            if let Some(target) = target {
                write(out, target, TIGHT);
                out.push('.');
            }
            out.push_str(name);
            out.push('(');
            commas(out, arguments.iter());
            out.push(')');
        }
    }
}

fn grouped(out: &mut String, binding: u8, outer: u8, inner: impl FnOnce(&mut String)) {
    let group = binding < outer;
    out.push_str(if group { "(" } else { "" });
    inner(out);
    out.push_str(if group { ")" } else { "" });
}

fn commas<'e>(out: &mut String, parts: impl Iterator<Item = &'e IdedExpr>) {
    for (at, part) in parts.enumerate() {
        out.push_str(if at > 0 { ", " } else { "" });
        write(out, part, 0);
    }
}

fn literal_text(out: &mut String, literal: &LiteralValue) {
    out.push_str(&match literal {
        LiteralValue::Boolean(value) => value.inner().to_string(),
        LiteralValue::Int(value) => value.inner().to_string(),
        LiteralValue::UInt(value) => format!("{}u", value.inner()),
        LiteralValue::Double(value) => format!("{:?}", value.inner()),
        LiteralValue::String(value) => quoted(value.inner()),
        LiteralValue::Null => "null".to_owned(),
        LiteralValue::Bytes(_) => "b\"…\"".to_owned(),
    });
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
