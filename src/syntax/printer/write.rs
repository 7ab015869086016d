//! A tree as a text that parses to it, not laid out yet.

use crate::syntax::ast::{
    Ast, BinaryOp, CaptureKind, Clause, Constant, Expr, ExprKind, Glob, GlobKind, Item, OptionValue, Part,
    Statement, UnaryOp, Value,
};

/// The text of a tree, each statement on a line of its own.
pub(super) fn text(ast: &Ast) -> String {
    lines(&ast.items)
}

fn lines(items: &[Item]) -> String {
    items.iter().map(|item| line(item) + "\n").collect()
}

fn line(item: &Item) -> String {
    match item {
        Item::Migration { from, to, why, .. } => {
            let why = why.as_ref().map(|why| " ".to_owned() + &quoted(&why.node)).unwrap_or_default();
            format!("migration {} -> {}{why}", from.node, to.node)
        }
        Item::Let { name, value } => format!("let {} = {}", name.node, expr(value)),
        Item::Include(path) => format!("include {}", quoted(&path.node)),
        Item::Use(name) => format!("use {}", name.node),
        Item::Optimizer(what) => format!("optimizer {}", what.node),
        Item::Unwrap(dict) => format!("unwrap {}", glob(dict)),
        Item::In { dicts, body, .. } => {
            let body = body.as_ref().map(|body| block(&lines(body))).unwrap_or_default();
            format!("in {}{body}", globs(dicts))
        }
        Item::Under { prefix, body, .. } => format!("under {}{}", glob(prefix), block(&lines(body))),
        Item::Statement(statement) => self::statement(statement),
    }
}

fn block(lines: &str) -> String {
    format!(" {{\n{lines}}}")
}

fn statement(Statement { verb, optional, clauses, .. }: &Statement) -> String {
    let mark = if *optional { "?" } else { "" };
    let written: Vec<String> = clauses.iter().map(clause).collect();
    match written.as_slice() {
        [only] => format!("{}{mark} {only}", verb.node),
        several => {
            let several: String = several.iter().map(|clause| clause.clone() + "\n").collect();
            format!("{}{mark}{}", verb.node, block(&several))
        }
    }
}

fn clause(clause: &Clause) -> String {
    // A line that began with one of these words would belong to the line above.
    let first = globs(&clause.patterns);
    let begins = |word: &str| first == word || first.starts_with(&format!("{word} "));
    let mut text = match ["where", "except"].into_iter().find(|word| begins(word)) {
        Some(word) => format!("{}{}", quoted(word), first.strip_prefix(word).unwrap_or_default()),
        None => first,
    };
    if !clause.templates.is_empty() {
        text += &format!(" -> {}", globs(&clause.templates));
    }
    if let Some(value) = &clause.assigned {
        text += &format!(" = {}", assigned(value));
    }
    for OptionValue { name, value } in &clause.options {
        let value = match value {
            Value::Expr(value) => expr(value),
            Value::Bindings(bindings) => {
                let written = bindings.iter().map(|(name, value)| format!("{}={}", name.node, expr(value)));
                written.collect::<Vec<_>>().join(", ")
            }
        };
        text += &format!(" {} {value}", name.node);
    }
    if let Some(condition) = &clause.condition {
        text += &format!(" where {}", expr(condition));
    }
    if !clause.except.is_empty() {
        text += &format!(" except {}", globs(&clause.except));
    }
    text
}

/// What stands behind `=`. A lone key that looks like a value stands in brackets.
fn assigned(value: &Expr) -> String {
    let text = expr(value);
    let key = matches!(value.kind, ExprKind::Keys(_));
    let like_a_value = text.starts_with('"') || ["true", "false", "none"].contains(&text.as_str());
    if key && like_a_value { format!("({text})") } else { text }
}

// ------------------------------------------------------------------ patterns and templates

fn globs(globs: &[Glob]) -> String {
    globs.iter().map(glob).collect::<Vec<_>>().join(", ")
}

fn glob(glob: &Glob) -> String {
    glob_in(glob, false)
}

/// A pattern; as an `operand` it must not look like a number or an argument's name.
fn glob_in(glob: &Glob, operand: bool) -> String {
    let parts = match &glob.kind {
        GlobKind::Regex(regex) => return format!("/{}/", regex.replace('/', "\\/")),
        GlobKind::Parts(parts) => parts,
    };
    let mut text = String::new();
    let mut bare = false; // whether the part before is bare text
    for part in parts {
        let Part::Text(part) = &part.node else {
            bare = false;
            text += &self::part(&part.node);
            continue;
        };
        let first = text.is_empty();
        let mistaken = first && operand && looks_like_no_key(part);
        bare = !bare && !mistaken && is_bare(part, first);
        text += &if bare { part.clone() } else { quoted(part) };
    }
    text
}

/// Whether a text, where it stands first in an operand, would be read as a number or an argument's name.
fn looks_like_no_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) || ["dim", "dims", "keep"].contains(&text)
}

/// Whether a text may stand without quotes. Fewer may than the grammar takes: signs that could be taken
/// for something else are quoted.
fn is_bare(text: &str, first: bool) -> bool {
    let plain = |letter: char| letter.is_alphanumeric() || letter == '_';
    let begins = |letter: char| plain(letter) || !first && "-/:+@".contains(letter);
    text.starts_with(begins) && text.chars().all(|letter| plain(letter) || "-/:+@".contains(letter))
}

fn part(part: &Part) -> String {
    let words = |words: &[crate::syntax::ast::Word], sign: &str| {
        words.iter().map(|word| word.node.as_str()).collect::<Vec<_>>().join(sign)
    };
    match part {
        Part::Text(text) => quoted(text),
        Part::Dot => ".".to_owned(),
        Part::Star => "*".to_owned(),
        Part::DoubleStar => "**".to_owned(),
        Part::Capture(name, kind) => match kind {
            None => format!("{{{}}}", name.node),
            Some(CaptureKind::Int) => format!("{{{}:int}}", name.node),
            Some(CaptureKind::Range(first, last)) => format!("{{{}:{first}..{last}}}", name.node),
            Some(CaptureKind::AnyDepth) => format!("{{{}:**}}", name.node),
        },
        Part::Alternatives(name, texts) => {
            let name = name.as_ref().map(|name| name.node.clone() + ":").unwrap_or_default();
            format!("{{{name}{}}}", words(texts, "|"))
        }
        Part::List(texts) => format!("{{{}}}", words(texts, ",")),
        Part::Arithmetic(value) => match &value.kind {
            // In braces alone, a name is a capture.
            ExprKind::Name(name) => format!("{{({name})}}"),
            _ => format!("{{{}}}", expr(value)),
        },
    }
}

/// A text in quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

// ------------------------------------------------------------------ values

/// How tightly each form binds, the loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Or,
    And,
    Not,
    Comparison,
    Sum,
    Product,
    Sign,
    Whole,
}

fn binding(kind: &ExprKind) -> Binding {
    match kind {
        ExprKind::Binary(_, op, _) => match op.node {
            BinaryOp::Or => Binding::Or,
            BinaryOp::And => Binding::And,
            BinaryOp::Add | BinaryOp::Subtract => Binding::Sum,
            BinaryOp::Multiply
            | BinaryOp::Divide
            | BinaryOp::FloorDivide
            | BinaryOp::Remainder
            | BinaryOp::MatMul => Binding::Product,
            _ => Binding::Comparison,
        },
        ExprKind::Unary(UnaryOp::Not, _) => Binding::Not,
        ExprKind::Unary(UnaryOp::Minus, _) => Binding::Sign,
        ExprKind::Integer(value) if *value < 0 => Binding::Sign,
        ExprKind::Float(value) if *value < 0.0 => Binding::Sign,
        _ => Binding::Whole,
    }
}

/// A value in brackets, if it binds more loosely than its place wants.
fn operand(value: &Expr, least: Binding) -> String {
    if binding(&value.kind) < least { format!("({})", expr(value)) } else { expr(value) }
}

fn expr(value: &Expr) -> String {
    let own = binding(&value.kind);
    match &value.kind {
        ExprKind::Integer(value) => value.to_string(),
        ExprKind::Float(value) if value.is_infinite() => {
            format!("{}1e999", if *value < 0.0 { "-" } else { "" })
        }
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Text(text) => quoted(text),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Constant(Constant::True) => "true".to_owned(),
        ExprKind::Constant(Constant::False) => "false".to_owned(),
        ExprKind::Constant(Constant::None) => "none".to_owned(),
        ExprKind::List(items) => format!("[{}]", exprs(items)),
        ExprKind::Dict(items) => {
            let items = items.iter().map(|(key, value)| format!("{}: {}", quoted(&key.node), expr(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
        ExprKind::Slice(start, end) => {
            let end_of = |end: &Option<Box<Expr>>| end.as_ref().map(|end| expr(end)).unwrap_or_default();
            format!("{}:{}", end_of(start), end_of(end))
        }
        ExprKind::Index(list, index) => format!("{}[{}]", operand(list, Binding::Whole), expr(index)),
        ExprKind::Call(function, arguments) => format!("{}({})", function.node, exprs(arguments)),
        ExprKind::KeysCall(function, pattern) => format!("{}({})", function.node, glob(pattern)),
        ExprKind::Keys(pattern) => glob_in(pattern, true),
        ExprKind::Unary(UnaryOp::Minus, value) => format!("-{}", operand(value, own)),
        ExprKind::Unary(UnaryOp::Not, value) => format!("not {}", operand(value, own)),
        ExprKind::Binary(left, op, right) => {
            // Operators join from the left; a comparison has no comparison beside it.
            let tighter = if own == Binding::Comparison { Binding::Sum } else { own };
            let behind = match own {
                Binding::Or => Binding::And,
                Binding::And => Binding::Not,
                Binding::Comparison => Binding::Sum,
                Binding::Sum => Binding::Product,
                _ => Binding::Sign,
            };
            format!("{} {} {}", operand(left, tighter), op.node.sign(), operand(right, behind))
        }
        ExprKind::Named(name, value) => format!("{} {}", name.node, expr(value)),
    }
}

fn exprs(values: &[Expr]) -> String {
    values.iter().map(expr).collect::<Vec<_>>().join(", ")
}
