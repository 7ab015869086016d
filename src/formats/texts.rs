//! JSON objects of texts, in which no key may come twice.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserializer, MapAccess, Visitor};

/// A JSON object of texts, in its order; remembers a key that came twice, of which serde would keep the last.
pub(super) struct Texts {
    pub(super) map: IndexMap<String, String>,
    pub(super) duplicate: Option<String>,
}

impl<'de> serde::Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut texts = Texts { map: IndexMap::new(), duplicate: None };
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    if texts.map.insert(key.clone(), value).is_some() {
                        texts.duplicate = Some(key);
                    }
                }
                Ok(texts)
            }
        }
        deserializer.deserialize_map(TextsVisitor)
    }
}
