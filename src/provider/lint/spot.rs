//! Where a value stands: `check`, 2, `rule`, 0, `hint` → a byte in the text.

use toml_edit::{Document, Item, Table, TableLike, Value};

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

/// The places of all values of one text.
pub(super) struct Spots(Option<Document<String>>);

/// What a turn can be taken from.
enum Node<'a> {
    Table(&'a dyn TableLike),
    Tables(&'a toml_edit::ArrayOfTables),
    Array(&'a toml_edit::Array),
    Leaf,
}

impl<'a> Node<'a> {
    fn of(item: &'a Item) -> Self {
        match item {
            Item::Table(table) => Self::Table(table),
            Item::ArrayOfTables(tables) => Self::Tables(tables),
            Item::Value(value) => Self::of_value(value),
            Item::None => Self::Leaf,
        }
    }

    fn of_value(value: &'a Value) -> Self {
        match value {
            Value::InlineTable(table) => Self::Table(table),
            Value::Array(array) => Self::Array(array),
            _ => Self::Leaf,
        }
    }

    /// The node that `turn` leads to, with the byte where it starts.
    fn follow(&self, turn: &Turn) -> Option<(Node<'a>, Option<usize>)> {
        match (self, turn) {
            (Self::Table(table), Turn::Key(key)) => {
                let item = table.get(key)?;
                Some((Self::of(item), item.span().map(|span| span.start)))
            }
            (Self::Tables(tables), Turn::Nth(index)) => {
                let table: &Table = tables.get(*index)?;
                Some((Self::Table(table), table.span().map(|span| span.start)))
            }
            (Self::Array(array), Turn::Nth(index)) => {
                let value = array.get(*index)?;
                Some((Self::of_value(value), value.span().map(|span| span.start)))
            }
            _ => None,
        }
    }
}

impl Spots {
    /// The places in `text`; none when it is not TOML.
    pub(super) fn of(text: &str) -> Self {
        Self(Document::parse(text.to_owned()).ok())
    }

    /// The byte at which the value at `spot` starts, or the nearest value around it that exists.
    pub(super) fn offset(&self, spot: &Spot) -> Option<usize> {
        let root: &Table = self.0.as_ref()?.as_table();
        let mut node = Node::Table(root);
        let mut offset = None;
        for turn in &spot.0 {
            let Some((next, start)) = node.follow(turn) else { break };
            // A table that is only implied by its children has no place of its own.
            offset = start.or(offset);
            node = next;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    const TEXT: &str = "a = 1\n[[check]]\nid = 'x'\n[[check]]\n[check.auth]\nkeys = ['p', 'q']\n[[check.rule]]\nwhen = { json = { '/e' = 2 } }\n";

    fn line(spot: &Spot) -> Option<(usize, usize)> {
        Spots::of(TEXT).offset(spot).and_then(|offset| Place::of(TEXT, offset).0)
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
