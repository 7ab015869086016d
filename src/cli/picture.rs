//! `migrate plan --html`: a plan as one page that needs no network.

use serde_json::{Value, json};

use super::json_text::inert;
use crate::plan::Plan;

const PAGE: &str = include_str!("picture/page.html");
const STYLE: &str = include_str!("picture/page.css");
/// One role each; the last one starts what the others say.
const SCRIPT: &str = concat!(
    "\"use strict\";\n",
    include_str!("picture/model.js"),
    include_str!("picture/tree.js"),
    include_str!("picture/view.js"),
    include_str!("picture/overview.js"),
    include_str!("picture/details.js"),
    include_str!("picture/page.js"),
);

/// The page of plans: what `migrate plan --json` prints of them, and the keys that they start from.
///
/// `data` is that of `--json`, with one of its `dicts` for each of the plans.
pub(super) fn page(mut data: Value, plans: &[Plan]) -> String {
    let dicts = data.get_mut("dicts").and_then(Value::as_array_mut);
    for (dict, plan) in dicts.into_iter().flatten().zip(plans) {
        let sources = plan.source().iter().map(
            |(key, info)| json!({ "key": &**key, "dtype": info.spec.dtype.name(), "shape": info.spec.shape }),
        );
        dict["sources"] = sources.collect();
    }
    // The data goes in last and by its place, so that nothing in it is taken for a mark of the template.
    let page = PAGE.replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    let (before, after) = page.split_once("{{plan}}").unwrap_or((&page, ""));
    format!("{before}{}{after}", inert(&data))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_template_has_each_mark_once_and_no_address() {
        for mark in ["{{style}}", "{{plan}}", "{{script}}"] {
            assert_eq!(PAGE.matches(mark).count(), 1, "{mark}");
        }
        assert!(!STYLE.contains("{{") && !SCRIPT.contains("{{"));
        assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("</script"));
        let namespace = "http://www.w3.org/2000/svg";
        let all = [PAGE, STYLE, SCRIPT].concat().replace(namespace, "");
        assert!(!all.contains("://") && !all.contains("url("), "the page would need a network");
    }

    #[test]
    fn what_a_file_says_cannot_leave_the_data() {
        let hostile = "</script><!--<script>{{script}}\u{202e}\u{0}\u{85}\u{2028}&amp;";
        let page = page(json!({ "source": hostile }), &[]);
        assert!(!page.contains(hostile) && !page.contains('\u{202e}'));
        assert_eq!(page.matches("</script").count(), 2, "one for the data, one for the script");
    }
}
