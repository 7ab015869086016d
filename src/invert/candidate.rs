//! Lines that may say what one act does and others like it, the most readable first.
//!
//! Nothing here is trusted: `trial.rs` runs each line over the keys.

use std::collections::{BTreeSet, HashMap};

use super::act::Act;
use super::formula::{Example, Formula};
use super::glob::{Segment, Side, literal, literal_key, number, sides};
use super::line::Line;
use crate::keyset::Key;

/// The names that indices get, in this order.
const NAMES: [&str; 8] = ["i", "j", "k", "l", "m", "p", "q", "r"];
/// The name of the index that `over` runs.
const OVER: &str = "n";

/// A piece of a segment, with the numbers apart.
#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Number(u64),
    Whole(String),
}

/// What of the numbers between the common beginning and end is captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Numbers {
    /// Segments that are numbers.
    Segments,
    /// None.
    None,
    /// Every run of digits.
    All,
}

/// What acts of one form have in common, and where they differ.
type Examples = HashMap<(Numbers, String), Vec<(Vec<i64>, Vec<i64>)>>;

/// What is known of the acts of one statement.
pub(super) struct Forms(Examples);

impl Forms {
    /// Looks at all acts.
    pub fn of(acts: &[&Act]) -> Forms {
        let mut examples: Examples = HashMap::new();
        for act in acts {
            for (from, to) in pairs_of_sides(act) {
                let parts = Parts::new(&from, &to);
                for numbers in [Numbers::Segments, Numbers::All] {
                    let (form, inputs, outputs) = parts.form(numbers);
                    examples.entry((numbers, form)).or_default().push((inputs, outputs));
                }
            }
        }
        Forms(examples)
    }
}

/// The line that says an act and no other.
pub(super) fn concrete(act: &Act, options: &str) -> Line {
    let glob = |key: &Key| vec![literal_key(key)];
    let from: Vec<_> = act.from.iter().map(glob).collect();
    let to: Vec<_> = act.results().map(glob).collect();
    // What is made from nothing has a pattern and no template.
    let (from, to) = if from.is_empty() { (to, from) } else { (from, to) };
    Line { from, to: if act.in_place() { Vec::new() } else { to }, options: options.to_owned() }
}

/// Lines for an act, with its options.
pub(super) fn candidates(act: &Act, options: &str, forms: &Forms) -> Vec<Line> {
    let empty = |key: &&str| key.split('.').any(str::is_empty);
    let keys = || act.from.iter().chain(act.results()).map(|key| &**key);
    if keys().any(|key| empty(&key)) {
        return Vec::new();
    }
    if act.to.is_empty() || act.from.is_empty() || act.in_place() {
        let key = act.from.iter().chain(act.results()).next().map_or("", |key| key);
        return in_place(key, options);
    }
    let mut lines = Vec::new();
    for (from, to) in pairs_of_sides(act) {
        let options = with_over(act, &from, &to, options);
        let parts = Parts::new(&from, &to);
        for numbers in [Numbers::Segments, Numbers::None, Numbers::All] {
            for formulas in parts.formulas(numbers, forms) {
                for first in parts.beginnings() {
                    for last in parts.endings() {
                        lines.extend(parts.line(&first, &last, numbers, &formulas, &options));
                    }
                }
            }
        }
    }
    lines
}

/// The sides of an act, in each way to write them.
fn pairs_of_sides(act: &Act) -> Vec<(Side, Side)> {
    let from = sides(&act.from.iter().collect::<Vec<_>>());
    let to = sides(&act.results().collect::<Vec<_>>());
    let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (from.clone(), to.clone())));
    // One index runs at a time, over the side that is several.
    pairs.filter(|(from, to)| from.over.is_none() || to.over.is_none()).collect()
}

/// The options with the index that runs.
fn with_over(act: &Act, from: &Side, to: &Side, options: &str) -> String {
    let over = match (from.over, to.over) {
        (Some(_), _) => format!("over {OVER}"),
        (_, Some((0, last))) if act.verb != "unstack" => format!("over {OVER} into {}", last + 1),
        (_, Some(_)) => format!("over {OVER}"),
        (None, None) => return options.to_owned(),
    };
    format!("{over} {options}").trim_end().to_owned()
}

/// Lines for a key that keeps its name, or goes.
fn in_place(key: &str, options: &str) -> Vec<Line> {
    let segments: Vec<String> = key.split('.').map(literal).collect();
    let stars: Vec<String> = key
        .split('.')
        .map(|segment| number(segment).map_or_else(|| literal(segment), |_| "*".to_owned()))
        .collect();
    let count = segments.len();
    let mut globs = vec![stars.clone()];
    for kept in (1..count).rev() {
        globs.push([segments[..kept].to_vec(), vec!["*".to_owned()]].concat());
        globs.push([stars[..kept].to_vec(), vec!["*".to_owned()]].concat());
    }
    for kept in (1..count).rev() {
        globs.push([vec!["**".to_owned()], segments[count - kept..].to_vec()].concat());
        globs.push([vec!["**".to_owned()], stars[count - kept..].to_vec()].concat());
    }
    if count > 2 {
        globs.push(vec![segments[0].clone(), "**".to_owned(), segments[count - 1].clone()]);
    }
    // A pattern of wildcards alone would say nothing of what is meant.
    let speaks = |glob: &Vec<String>| glob.iter().any(|segment| !segment.starts_with('*'));
    let line = |glob| Line { from: vec![glob], to: Vec::new(), options: options.to_owned() };
    globs.into_iter().filter(speaks).map(line).collect()
}

/// The first and the last index that `over` runs, where it runs one.
type Range = Option<(u64, u64)>;

/// An act's keys: what they begin with, what they end with, and what lies between.
struct Parts {
    first: Vec<String>,
    last: Vec<String>,
    from: Vec<Vec<Segment>>,
    to: Vec<Vec<Segment>>,
    over: (Range, Range),
}

/// A common beginning or end as it is written, or as segments of which the numbers are captured.
#[derive(Clone, Debug)]
enum Common {
    Written(Vec<String>),
    Captured(Vec<String>),
}

impl Parts {
    fn new(from: &Side, to: &Side) -> Parts {
        let all: Vec<&Vec<Segment>> = from.globs.iter().chain(&to.globs).collect();
        let text = |segment: Option<&Segment>| match segment {
            Some(Segment::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let shortest = all.iter().map(|glob| glob.len()).min().unwrap_or(0);
        let common = |at: &dyn Fn(&Vec<Segment>) -> Option<String>| {
            let own = at(all.first()?)?;
            all.iter().all(|glob| at(glob).as_ref() == Some(&own)).then_some(own)
        };
        let mut first = Vec::new();
        while first.len() < shortest {
            let place = first.len();
            match common(&|glob| text(glob.get(place))) {
                Some(segment) => first.push(segment),
                None => break,
            }
        }
        let mut last: Vec<String> = Vec::new();
        while first.len() + last.len() < shortest {
            let back = last.len() + 1;
            match common(&|glob| text(glob.len().checked_sub(back).and_then(|place| glob.get(place)))) {
                Some(segment) => last.push(segment),
                None => break,
            }
        }
        last.reverse();
        let between = |glob: &Vec<Segment>| glob[first.len()..glob.len() - last.len()].to_vec();
        let (from_between, to_between) =
            (from.globs.iter().map(between).collect(), to.globs.iter().map(between).collect());
        Parts { from: from_between, to: to_between, over: (from.over, to.over), first, last }
    }

    /// What lies between without its numbers, the numbers of the first pattern and those of the templates.
    fn form(&self, numbers: Numbers) -> (String, Vec<i64>, Vec<i64>) {
        let mut form = String::new();
        let mut read = |globs: &[Vec<Segment>]| {
            let mut found = Vec::new();
            for glob in globs {
                for segment in glob {
                    for piece in pieces(segment, numbers) {
                        match piece {
                            Piece::Number(value) => {
                                found.push(i64::try_from(value).unwrap_or(i64::MAX));
                                form.push('#');
                            }
                            Piece::Text(text) | Piece::Whole(text) => form.push_str(&text),
                        }
                    }
                    form.push('.');
                }
                form.push(' ');
            }
            found
        };
        let inputs = read(&self.from[..self.from.len().min(1)]);
        let outputs = read(&self.to);
        let others: Vec<i64> = read(self.from.get(1..).unwrap_or_default());
        // Where the patterns differ in their numbers, none of them can be one capture.
        let same = others.chunks(inputs.len().max(1)).all(|chunk| chunk == inputs.as_slice());
        (form, if same { inputs } else { Vec::new() }, outputs)
    }

    /// Ways to say the templates' numbers: by what holds for all acts of this form, and by shifts of this one.
    fn formulas(&self, numbers: Numbers, forms: &Forms) -> Vec<Vec<Option<Formula>>> {
        if numbers == Numbers::None {
            return vec![Vec::new()];
        }
        let (form, inputs, outputs) = self.form(numbers);
        let examples = forms.0.get(&(numbers, form)).map(Vec::as_slice).unwrap_or_default();
        let of_output = |output: usize| {
            let examples: Option<Vec<Example>> = examples
                .iter()
                .map(|(inputs, outputs)| Some((inputs.clone(), *outputs.get(output)?)))
                .collect();
            Formula::find(&examples?)
        };
        let all: Vec<Option<Formula>> = (0..outputs.len()).map(of_output).collect();
        let shifts: Vec<Option<Formula>> = outputs
            .iter()
            .enumerate()
            .map(|(place, output)| {
                // The last index of a template is most often the last of the pattern.
                let input = (inputs.len() + place + 1).checked_sub(outputs.len() + 1)?;
                Formula::shift(&(inputs.clone(), *output), input)
            })
            .collect();
        let last_alone = |formulas: &[Option<Formula>]| {
            let mut alone = vec![None; formulas.len()];
            if let (Some(own), Some(last)) = (alone.last_mut(), formulas.last()) {
                *own = last.clone();
            }
            alone
        };
        let alone = last_alone(&shifts);
        let mut ways = vec![all, shifts, alone];
        ways.dedup();
        ways
    }

    fn beginnings(&self) -> Vec<Common> {
        let mut ways = vec![Common::Written(self.first.iter().map(|text| literal(text)).collect())];
        if self.first.iter().any(|text| number(text).is_some()) {
            ways.push(Common::Captured(self.first.clone()));
        }
        if self.first.len() > 1 {
            ways.push(Common::Written(vec![literal(&self.first[0]), "**".to_owned()]));
        }
        if !self.first.is_empty() {
            ways.push(Common::Written(vec!["**".to_owned()]));
        }
        ways
    }

    fn endings(&self) -> Vec<Common> {
        let mut ways = vec![Common::Written(self.last.iter().map(|text| literal(text)).collect())];
        if !self.last.is_empty() {
            ways.push(Common::Written(vec!["*".to_owned()]));
        }
        if self.last.iter().any(|text| number(text).is_some()) {
            ways.push(Common::Captured(self.last.clone()));
        }
        if let [_, .., last] = self.last.as_slice() {
            ways.push(Common::Written(vec!["**".to_owned(), literal(last)]));
        }
        ways
    }

    /// The line of these choices, or `None` where there are more indices than names for them.
    fn line(
        &self,
        first: &Common,
        last: &Common,
        numbers: Numbers,
        formulas: &[Option<Formula>],
        options: &str,
    ) -> Option<Line> {
        let used: BTreeSet<usize> = formulas.iter().flatten().flat_map(Formula::inputs).collect();
        let count = |common: &Common| match common {
            Common::Written(_) => 0,
            Common::Captured(segments) => segments.iter().filter(|text| number(text).is_some()).count(),
        };
        let (of_first, of_last) = (count(first), count(last));
        if of_first + used.len() + of_last > NAMES.len() {
            return None;
        }
        let of_input = |input: usize| {
            let nth = used.iter().position(|own| *own == input)?;
            NAMES.get(of_first + nth).copied()
        };
        let common = |common: &Common, names: usize| -> Vec<String> {
            let mut names = NAMES.iter().skip(names);
            match common {
                Common::Written(segments) => segments.clone(),
                Common::Captured(segments) => segments
                    .iter()
                    .map(|text| match number(text).and_then(|_| names.next()) {
                        Some(name) => format!("{{{name}}}"),
                        None => literal(text),
                    })
                    .collect(),
            }
        };
        let wrap =
            |between: Vec<String>| [common(first, 0), between, common(last, of_first + used.len())].concat();
        let mut from = Vec::new();
        for glob in &self.from {
            let mut input = 0;
            let name = |_: u64| {
                input += 1;
                of_input(input - 1).map(|name| format!("{{{name}}}"))
            };
            from.push(wrap(write(glob, numbers, self.over.0, name)));
        }
        let (mut to, mut output) = (Vec::new(), 0);
        for glob in &self.to {
            let name = |_: u64| {
                output += 1;
                match formulas.get(output - 1)?.as_ref()? {
                    Formula::Same(input) => Some(format!("{{{}}}", of_input(*input)?)),
                    Formula::Expression(text, inputs) => {
                        let mut text = text.clone();
                        for input in inputs {
                            text = text.replace(&format!("@{input}"), of_input(*input)?);
                        }
                        Some(format!("{{{text}}}"))
                    }
                }
            };
            to.push(wrap(write(glob, numbers, self.over.1, name)));
        }
        let options = options.to_owned();
        Some(Line { from, to, options })
    }
}

/// The pieces of a segment.
fn pieces(segment: &Segment, numbers: Numbers) -> Vec<Piece> {
    match segment {
        Segment::List(texts) => vec![Piece::Whole(format!("{{{}}}", texts.join(",")))],
        Segment::Over(before, after) => vec![Piece::Whole(format!("{before}\u{0}{after}"))],
        Segment::Text(text) => match (numbers, number(text)) {
            (Numbers::None, _) => vec![Piece::Text(text.clone())],
            (_, Some(value)) => vec![Piece::Number(value)],
            (Numbers::Segments, None) => vec![Piece::Text(text.clone())],
            (Numbers::All, None) => runs(text),
        },
    }
}

/// A text with its runs of digits apart.
fn runs(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|char: char| char.is_ascii_digit()) {
        let digits = &rest[start..];
        let end = digits.find(|char: char| !char.is_ascii_digit()).unwrap_or(digits.len());
        if start > 0 {
            pieces.push(Piece::Text(rest[..start].to_owned()));
        }
        match number(&digits[..end]) {
            Some(value) => pieces.push(Piece::Number(value)),
            None => pieces.push(Piece::Text(digits[..end].to_owned())),
        }
        rest = &digits[end..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    pieces
}

/// Segments as a pattern or template writes them; `name` says what stands for a number, where it is not itself.
fn write(
    glob: &[Segment],
    numbers: Numbers,
    over: Option<(u64, u64)>,
    mut name: impl FnMut(u64) -> Option<String>,
) -> Vec<String> {
    let quoted = |text: &str| if text.is_empty() { String::new() } else { literal(text) };
    let mut written = Vec::new();
    for segment in glob {
        if let Segment::Over(before, after) = segment {
            let index = match over {
                Some((first, last)) if first > 0 => format!("{{{OVER}:{first}..{last}}}"),
                _ => format!("{{{OVER}}}"),
            };
            written.push(format!("{}{index}{}", quoted(before), quoted(after)));
            continue;
        }
        let mut text = String::new();
        for piece in pieces(segment, numbers) {
            match piece {
                Piece::Whole(piece) => text.push_str(&piece),
                Piece::Text(piece) => text.push_str(&literal(&piece)),
                Piece::Number(value) => text.push_str(&name(value).unwrap_or_else(|| value.to_string())),
            }
        }
        written.push(text);
    }
    written
}
