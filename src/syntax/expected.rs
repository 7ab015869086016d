//! The parser's rules in people's words, for "expected …".

use super::parser::Rule;

/// What a person would call `rule`, or `None` for a rule that says nothing to people.
pub(super) fn name(rule: Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::arrow => "`->`",
        Rule::assign => "`=`",
        Rule::comma => "`,`",
        Rule::close_brace => "`}`",
        Rule::close_bracket => "`]`",
        Rule::close_paren => "`)`",
        Rule::pattern | Rule::glob | Rule::patterns | Rule::templates | Rule::bare | Rule::brace => "a key",
        Rule::option | Rule::option_name => "an option",
        Rule::kw_where | Rule::where_clause => "`where`",
        Rule::kw_except | Rule::except_clause => "`except`",
        Rule::verb | Rule::statement | Rule::line => "a statement",
        Rule::version => "a version",
        Rule::text | Rule::quoted => "a quoted text",
        Rule::ident | Rule::word => "a name",
        Rule::expression | Rule::primary | Rule::number | Rule::unary | Rule::sum | Rule::constant => {
            "a value"
        }
        Rule::negation | Rule::comparison => "a value",
        Rule::element | Rule::slice => "a value",
        Rule::tensor_sum | Rule::tensor_product | Rule::tensor_unary | Rule::tensor_primary => {
            "an expression over tensors"
        }
        Rule::alternative | Rule::list_text | Rule::capture | Rule::alternatives | Rule::list_of_texts => {
            "a capture, alternatives or arithmetic"
        }
        Rule::capture_kind | Rule::kind_name => "`int`, a range or `**`",
        Rule::EOI => "the end of the line",
        _ => return None,
    })
}

/// Joins what was expected: "`->`, an option or the end of the line".
pub(super) fn list(rules: &[Rule]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in rules.iter().filter_map(|&rule| name(rule)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}
