//! Where a value stands: `check`, 2, `rule`, 0, `hint` → a place in the text.

use toml::de::DeValue;

use crate::provider::parse::Place;
use crate::provider::source::Source;

/// A way through a document.
#[derive(Debug, Clone)]
pub(super) struct Spot(Vec<Turn>);

#[derive(Debug, Clone)]
enum Turn {
    Key(String),
    Nth(usize),
}

/// The value of the top-level key `key`.
pub(super) fn at(key: &str) -> Spot {
    Spot(vec![Turn::Key(key.to_owned())])
}

impl Spot {
    /// The value of `key` there.
    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Turn::Key(key.to_owned()))
    }

    /// The element `index` there.
    pub(super) fn nth(&self, index: usize) -> Self {
        self.then(Turn::Nth(index))
    }

    fn then(&self, turn: Turn) -> Self {
        let mut turns = self.0.clone();
        turns.push(turn);
        Self(turns)
    }
}

/// The places of all values of one file, and of the file that it extends.
pub(super) struct Spots<'t>(Option<Source<'t>>);

impl<'t> Spots<'t> {
    /// The places in `text`; none when it cannot be read.
    pub(super) fn of(file: &str, text: &'t str) -> Self {
        Self(Source::read(file, text).ok())
    }

    /// The file and the place at which the value at `spot` starts, or the nearest value around it that exists.
    pub(super) fn place(&self, spot: &Spot) -> Option<(String, Place)> {
        let source = self.0.as_ref()?;
        let mut turns = spot.0.iter();
        let Some(Turn::Key(first)) = turns.next() else { return None };
        let mut value = source.root().get(first.as_str())?;
        for turn in turns {
            let next = match (value.get_ref(), turn) {
                (DeValue::Table(table), Turn::Key(key)) => table.get(key.as_str()),
                (DeValue::Array(items), Turn::Nth(index)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            value = next;
        }
        Some(source.place(value.span().start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[[check]]\nid = 'x'\n[[check]]\n[check.auth]\nkeys = ['p', 'q']\n[[check.rule]]\nwhen = { json = { '/e' = 2 } }\n";

    fn line(spot: &Spot) -> Option<(usize, usize)> {
        Spots::of("x.toml", TEXT).place(spot).and_then(|(_, place)| place.0)
    }

    #[test]
    fn every_kind_of_value_is_found() {
        let second = at("check").nth(1);
        assert_eq!(line(&at("a")), Some((1, 5)));
        assert_eq!(line(&at("check").nth(0).key("id")), Some((3, 6)));
        assert_eq!(line(&second), Some((4, 1)));
        assert_eq!(line(&second.key("auth").key("keys").nth(1)), Some((6, 14)));
        assert_eq!(line(&second.key("rule").nth(0).key("when").key("json").key("/e")), Some((8, 26)));
    }

    #[test]
    fn what_is_missing_is_placed_where_it_would_stand() {
        assert_eq!(line(&at("check").nth(1).key("auth").key("name").key("x")), Some((5, 1)));
        assert_eq!(line(&at("check").nth(1).key("effects")), Some((4, 1)));
        assert_eq!(line(&at("nothing")), None);
    }
}
